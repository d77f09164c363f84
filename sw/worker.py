"""What runs layers: the Protocol that every worker keeps.

A worker owns one device. The dispatcher loads the layers a plan gives it, then hands it inputs in
the worker's own number format and gets outputs back in it: float32 for CPU and GPU, int8 codes for
the FPGA (`heterolith.sw.quantize`). Conversion belongs to the transfer, not to the worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from heterolith.sw.network import Array, Layer, Network


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
