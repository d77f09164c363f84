"""What runs layers: the Protocol that every worker keeps, and the one of those that take segments.

A worker owns one device. The dispatcher loads the layers a plan gives it, then hands it inputs in
the worker's own number format and gets outputs back in it: float32 for CPU and GPU, int8 codes for
the FPGA (`heterolith.sw.quantize`). Conversion belongs to the transfer, not to the worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.segments.partition import Unit


class Worker(Protocol):
    """A device that computes layers.

    Attributes
    ----------
    kind
        ``cpu``, ``fpga`` or ``gpu``.
    number_format
        dtype name of activations at its door: ``float32`` or ``int8``.
    backend
        What really computes, e.g. ``numpy, 2 threads``, ``golden model``,
        ``onnxruntime CPUExecutionProvider``; it is printed with every result.
    """

    kind: str
    number_format: str
    backend: str

    def load(self, network: Network, layer: Layer) -> None:
        """Prepare a layer.

        Raises
        ------
        InputError
            If the worker cannot compute it; the message names layer, operator and reason.
        """

    def run(self, layer: Layer, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Compute a loaded layer.

        Parameters
        ----------
        layer
            A layer that was loaded.
        inputs
            Activation name -> array in the worker's number format, at least those of
            ``network.activations(layer)``.

        Returns
        -------
        sequence of arrays
            One per output of the layer, in the worker's number format.
        """

    def counters(self) -> Mapping[str, int]:
        """Return what was counted so far: layers run, MACs, busy nanoseconds, ..."""

    def close(self) -> None:
        """Give back threads, sessions, buffers."""


@runtime_checkable
class UnitWorker(Worker, Protocol):
    """A worker that may take several layers at once.

    Attributes
    ----------
    lanes
        Channels of a block of its memory if it takes segments (`heterolith.sw.segments`), else 0.
    stretches
        Whether it takes stretches (`heterolith.sw.segments.stretch`). A worker that takes neither
        is given layer by layer.
    """

    lanes: int
    stretches: bool

    def load_unit(self, network: Network, unit: Unit) -> None:
        """Prepare a unit.

        Raises
        ------
        InputError
            If the worker cannot compute it.
        """

    def run_unit(self, unit: Unit, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Compute a loaded unit.

        Parameters
        ----------
        inputs
            Arrays in the worker's number format, one per name in ``unit.inputs``.

        Returns
        -------
        mapping
            At least one array per name in ``unit.outputs``, in the worker's number format.
        """
