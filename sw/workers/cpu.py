"""The CPU worker: numpy on some of this machine's cores.

Layers are cut into parts for a `Team` of threads (`heterolith.sw.ops.tiling`); on request, layers
that follow each other undisturbed are compiled into one program (`heterolith.sw.fast`). Invariant:
what a worker returns depends on layers, constants and inputs alone; several workers may run side by
side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.execute import Prepared, check_activations, check_results, named, naming, prepare
from heterolith.sw.network import Array, Layer, Network, TensorType
from heterolith.sw.ops import check
from heterolith.sw.scores import score_layers
from heterolith.sw.segments.partition import Unit
from heterolith.sw.workers.team import Team, available_cores, hold_blas

if TYPE_CHECKING:
    from heterolith.sw.fast import CompiledNetwork, Options

    _Type = tuple[tuple[int, ...], np.dtype[Any]]


@dataclass(slots=True)
class _Loaded:
    """A layer, its constants, dense and in row-major order, and once it has run, how it runs.

    Attributes
    ----------
    reads
        Name, shape and dtype of what it reads besides constants.
    gives
        Shapes and dtypes of its results, ``None`` where the network knows none.
    """

    network: Network
    layer: Layer
    constants: dict[str, Array]
    scored: bool
    reads: Sequence[tuple[str, tuple[int, ...], np.dtype[Any]]]
    gives: list[_Type | None]
    compute: Prepared | None = None

    def run(self, inputs: Mapping[str, Array], team: Team) -> Sequence[Array]:
        """Check, compute, check; whatever can be known before is known from the first run on."""
        # few lines and no calls: code is fetched anew after every layer that has filled the caches
        arrays = self.constants.copy()
        for name, shape, dtype in self.reads:
            value = inputs.get(name)
            if type(value) is not np.ndarray or value.shape != shape or value.dtype != dtype:
                check_activations(self.network, self.layer, inputs)
                value = inputs[name]  # of a subclass
            arrays[name] = value
        if self.compute is None:
            self.compute = prepare(self.layer, arrays, team, scored=self.scored)
        results = self.compute(arrays)
        if [(value.shape, value.dtype) for value in results] != self.gives:
            check_results(self.network, self.layer, results)
        return results


def _type(kind: TensorType) -> _Type:
    return kind.shape, np.dtype(kind.dtype)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A stretch as a network of its own."""

    network: Network
    unit: Unit
    program: CompiledNetwork


class CpuWorker:
    """A `heterolith.sw.worker.Worker` on numpy.

    Parameters
    ----------
    threads
        Threads to use, by default one per core that this process may use.
    stretches
        Take stretches of a plan and compile each. Loading takes as long as a few runs, a run is
        shorter; results differ by the rounding of the compiled paths.

    Raises
    ------
    InputError
        If the number of threads is not positive.
    """

    kind = "cpu"
    number_format = "float32"
    lanes = 0

    def __init__(self, threads: int | None = None, *, stretches: bool = False) -> None:
        self._team = Team(available_cores() if threads is None else threads)
        plural = "" if self._team.threads == 1 else "s"
        self._numpy = f"numpy {np.__version__}, {self._team.threads} thread{plural}"
        self.backend, self.stretches = self._numpy, stretches
        self._loaded: dict[str, _Loaded] = {}
        self._compiled: dict[str, _Compiled] = {}
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
        reads = [(name, *_type(network.tensors[name])) for name in network.activations(layer)]
        known_types = map(network.tensors.get, layer.outputs)
        gives = [None if kind is None else _type(kind) for kind in known_types]
        scored = layer.name in score_layers(network)
        self._loaded[layer.name] = _Loaded(network, layer, constants, scored, reads, gives)

    def run(self, layer: Layer, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Compute a loaded layer; see `heterolith.sw.worker.Worker.run`.

        Raises
        ------
        InputError
            If the layer was not loaded, or an activation or a result has another shape or dtype.
        """
        loaded = self._loaded.get(layer.name)
        if loaded is None or loaded.layer is not layer:
            raise InputError(
                f"layer {layer.name!r} is not loaded on this CPU worker; load it first"
            )
        start_ns = perf_counter_ns()
        try:
            if layer.macs:
                with hold_blas():
                    results = loaded.run(inputs, self._team)
            else:  # nothing for BLAS to do
                results = loaded.run(inputs, self._team)
        except InputError as error:
            raise named(layer, error) from error
        self._count(1, layer.macs, start_ns)
        return results

    def load_unit(self, network: Network, unit: Unit) -> None:
        """Prepare a unit; a stretch of several layers is compiled.

        Raises
        ------
        InputError
            As `load`.
        """
        known = self._compiled.get(unit.name)
        if known is not None and known.network is network and known.unit == unit:
            return
        part = _part(network, unit)
        # Scores whose softmax lies elsewhere would not be guarded in a network of their own.
        guarded = score_layers(network).intersection(layer.name for layer in unit.layers)
        if len(unit.layers) == 1 or guarded != score_layers(part):
            for layer in unit.layers:
                self.load(network, layer)
            return
        from heterolith.sw.fast import Options

        # Forking beside the threads of other workers is not safe.
        program = self.compile(part, Options(workers="threads", tune_s=0.0))
        self._compiled[unit.name] = _Compiled(network, unit, program)
        layers = sum(len(each.unit.layers) for each in self._compiled.values())
        self.backend = f"{self._numpy}, {layers} layers compiled into {len(self._compiled)}"

    def run_unit(self, unit: Unit, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """Compute a loaded unit; see `heterolith.sw.worker.UnitWorker.run_unit`.

        Raises
        ------
        InputError
            If the unit was not loaded, or an activation has another shape or dtype.
        """
        known = self._compiled.get(unit.name)
        if known is not None and known.unit == unit:
            start_ns = perf_counter_ns()
            outputs = known.program.run({x: inputs[x] for x in unit.inputs if x in inputs})
            self._count(len(unit.layers), sum(layer.macs for layer in unit.layers), start_ns)
            return outputs
        arrays = dict(inputs)
        for layer in unit.layers:
            arrays.update(zip(layer.outputs, self.run(layer, arrays), strict=True))
        return {name: arrays[name] for name in unit.outputs}

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
        for known in self._compiled.values():
            known.program.close()
        self._compiled.clear()

    def _count(self, layers: int, macs: int, start_ns: int) -> None:
        with self._lock:
            self._counters["layers"] += layers
            self._counters["macs"] += macs
            self._counters["busy_ns"] += perf_counter_ns() - start_ns


def _part(network: Network, unit: Unit) -> Network:
    """Return a unit as a network of its own."""
    read = {name for layer in unit.layers for name in (*layer.inputs, layer.residual)}
    made = {name for layer in unit.layers for name in layer.outputs}
    return Network(
        name=unit.name,
        inputs=unit.inputs,
        outputs=unit.outputs,
        layers=unit.layers,
        tensors={x: kind for x, kind in network.tensors.items() if x in read | made},
        constants={x: value for x, value in network.constants.items() if x in read},
        opset=network.opset,
    )
