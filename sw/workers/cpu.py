"""The CPU worker: numpy on some of this machine's cores.

Layers are cut into parts for a `Team` of threads (`heterolith.sw.ops.tiling`). Invariant: what a
worker returns depends on layer, constants and inputs alone; several workers may run side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.execute import apply_scored, check_activations, naming
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.ops import check
from heterolith.sw.scores import score_layers
from heterolith.sw.workers.team import Team, available_cores

if TYPE_CHECKING:
    from heterolith.sw.fast import CompiledNetwork, Options


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A layer and its constants, dense and in row-major order."""

    network: Network
    layer: Layer
    constants: Mapping[str, Array]
    scores: frozenset[str]


class CpuWorker:
    """A `heterolith.sw.worker.Worker` on numpy.

    Parameters
    ----------
    threads
        Threads to use, by default one per core that this process may use.

    Raises
    ------
    InputError
        If the number of threads is not positive.
    """

    kind = "cpu"
    number_format = "float32"

    def __init__(self, threads: int | None = None) -> None:
        self._team = Team(available_cores() if threads is None else threads)
        plural = "" if self._team.threads == 1 else "s"
        self.backend = f"numpy {np.__version__}, {self._team.threads} thread{plural}"
        self._loaded: dict[str, _Loaded] = {}
        self._lock = Lock()
        self._counters = {"layers": 0, "macs": 0, "busy_ns": 0}

    def load(self, network: Network, layer: Layer) -> None:
        """Prepare a layer: check its operator and lay its constants out.

        Raises
        ------
        InputError
            If the operator or an attribute is not known.
        """
        known = self._loaded.get(layer.name)
        if known is not None and known.network is network and known.layer is layer:
            return
        with naming(layer):
            check(layer.op, layer.attributes)
        names = {name for name in (*layer.inputs, layer.residual) if name in network.constants}
        # `ascontiguousarray` writes out zero strides, and makes a vector of a scalar.
        constants = {
            name: np.ascontiguousarray(network.constants[name]).reshape(
                network.constants[name].shape
            )
            for name in names
        }
        self._loaded[layer.name] = _Loaded(network, layer, constants, score_layers(network))

    def run(self, layer: Layer, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Compute a loaded layer; see `heterolith.sw.worker.Worker.run`.

        Raises
        ------
        InputError
            If the layer was not loaded, or an activation has another shape or dtype.
        """
        loaded = self._loaded.get(layer.name)
        if loaded is None or loaded.layer is not layer:
            raise InputError(
                f"layer {layer.name!r} is not loaded on this CPU worker; load it first"
            )
        start_ns = perf_counter_ns()
        with naming(layer), self._team.at_work():
            check_activations(loaded.network, layer, inputs)
            arrays = {**inputs, **loaded.constants}
            results = apply_scored(layer, arrays, self._team, loaded.scores)
        with self._lock:
            self._counters["layers"] += 1
            self._counters["macs"] += layer.macs
            self._counters["busy_ns"] += perf_counter_ns() - start_ns
        return results

    def compile(self, network: Network, options: Options | None = None) -> CompiledNetwork:
        """Return a whole network compiled for this worker's number of threads.

        A plan that keeps all layers here runs faster so than layer by layer: no tensor is handed
        over, laid out anew or copied between layers.

        Raises
        ------
        InputError
            If the network holds what no worker computes.
        """
        from heterolith.sw.fast import CompiledNetwork, Options

        return CompiledNetwork(network, replace(options or Options(), threads=self._team.threads))

    def counters(self) -> Mapping[str, int]:
        """Return layers run, multiply-accumulates done and nanoseconds spent in `run`."""
        with self._lock:
            return dict(self._counters)

    def close(self) -> None:
        """End the threads and forget all layers."""
        self._team.close()
        self._loaded.clear()
