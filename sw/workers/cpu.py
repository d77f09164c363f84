"""The CPU worker: numpy on some of this machine's cores.

Layers are cut into parts for a `Team` of threads (`heterolith.sw.ops.tiling`). Invariant: what a
worker returns depends on layer, constants and inputs alone; several workers may run side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from time import perf_counter_ns

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.execute import apply, naming
from heterolith.sw.network import Array, Layer, Network, TensorType
from heterolith.sw.ops import check
from heterolith.sw.workers.team import Team, available_cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A layer, its constants as dense arrays, and the types of its activations."""

    network: Network
    layer: Layer
    constants: Mapping[str, Array]
    activations: Mapping[str, TensorType]

    @classmethod
    def of(cls, network: Network, layer: Layer) -> Loaded:
        """Collect what a worker needs of a network for one layer.

        Constants are in row-major order; those with zero strides, one value seen many times, are
        written out.
        """
        names = {name for name in (*layer.inputs, layer.residual) if name in network.constants}
        return cls(
            network=network,
            layer=layer,
            constants={name: np.ascontiguousarray(network.constants[name]) for name in names},
            activations={name: network.tensors[name] for name in network.activations(layer)},
        )

    def check(self, inputs: Mapping[str, Array]) -> None:
        """Check that the activations are there in their type.

        Raises
        ------
        InputError
            If one is missing or has another shape or dtype.
        """
        for name, expected in self.activations.items():
            needs = f"{expected.dtype} of shape {expected.shape} is needed"
            if name not in inputs:
                raise InputError(f"layer {self.layer.name!r} got no {name!r}; {needs}")
            value = inputs[name]
            if (value.shape, value.dtype.name) != (expected.shape, expected.dtype):
                raise InputError(
                    f"layer {self.layer.name!r} got {name!r} as {value.dtype.name} of shape "
                    f"{value.shape}; {needs}"
                )


class CpuWorker:
    """A `heterolith.sw.worker.Worker` on numpy.

    Parameters
    ----------
    threads
        Threads to use, by default one per core that this process may use.
    """

    kind = "cpu"
    number_format = "float32"

    def __init__(self, threads: int | None = None) -> None:
        self._team = Team(available_cores() if threads is None else threads)
        plural = "" if self._team.threads == 1 else "s"
        self.backend = f"numpy {np.__version__}, {self._team.threads} thread{plural}"
        self._loaded: dict[str, Loaded] = {}
        self._lock = Lock()
        self._counters = {"layers": 0, "macs": 0, "busy_ns": 0}

    def load(self, network: Network, layer: Layer) -> None:
        """Prepare a layer: check its operator and lay its constants out.

        Raises
        ------
        InputError
            If the operator or an attribute is not known.
        """
        with naming(layer):
            check(layer.op, layer.attributes)
        known = self._loaded.get(layer.name)
        if known is None or known.network is not network or known.layer is not layer:
            self._loaded[layer.name] = Loaded.of(network, layer)

    def run(self, layer: Layer, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Compute a loaded layer; see `heterolith.sw.worker.Worker.run`.

        Raises
        ------
        InputError
            If the layer was not loaded, or an activation has another shape or dtype.
        """
        loaded = self._loaded.get(layer.name)
        if loaded is None or loaded.layer is not layer:
            raise InputError(f"layer {layer.name!r} is not loaded on this CPU worker; load it first")
        loaded.check(inputs)
        start_ns = perf_counter_ns()
        with self._team.at_work(), naming(layer):
            results = apply(layer, {**inputs, **loaded.constants}, self._team)
        with self._lock:
            self._counters["layers"] += 1
            self._counters["macs"] += layer.macs
            self._counters["busy_ns"] += perf_counter_ns() - start_ns
        return results

    def counters(self) -> Mapping[str, int]:
        """Return layers run, multiply-accumulates done and nanoseconds spent in `run`."""
        with self._lock:
            return dict(self._counters)

    def close(self) -> None:
        """End the threads and forget all layers."""
        self._team.close()
        self._loaded.clear()
