"""Carry out a plan on live workers: one thread per device, branches in parallel.

Each device takes its units (layers, or segments and stretches where it takes these:
`heterolith.sw.segments`) in one order common to all, and starts one as soon as the inputs are
there; tensors change number format (float32 <-> int8 codes) where they enter a device. Needs numpy
and the standard library alone. Invariant: every tensor is written once, and dropped after its last
reader.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from time import perf_counter_ns
from typing import Protocol, TypeGuard

import numpy as np

from heterolith.errors import InputError
from heterolith.scheduler.plan import Plan
from heterolith.sw.network import Array, Network
from heterolith.sw.segments.partition import Unit, units
from heterolith.sw.segments.stretch import stretched
from heterolith.sw.worker import UnitWorker, Worker
from heterolith.sw.workers.team import hold_blas


class Codec(Protocol):
    """Converts an activation between float32 and int8 codes."""

    def encode(self, tensor: str, values: Array) -> Array:
        """Return int8 codes of float32 values."""

    def decode(self, tensor: str, codes: Array) -> Array:
        """Return float32 values of int8 codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened when: host time in nanoseconds since the start of the run.

    ``kind`` is ``layer``, ``segment`` (several layers at once, named by its first and last) or
    ``convert``; ``layers`` names the layers that ran.
    """

    name: str
    kind: str
    device: str
    start_ns: int
    end_ns: int
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Layers and number-format conversions of one run, measured on this host."""

    events: tuple[Event, ...]
    backends: tuple[tuple[str, str], ...]

    @property
    def latency_ns(self) -> int:
        """End of the last event."""
        return max((event.end_ns for event in self.events), default=0)


class _Store:
    """Tensors by name, with the readers still to come; every access holds the condition."""

    def __init__(self, readers: Mapping[str, int]) -> None:
        self._ready = Condition()
        self._readers = dict(readers)
        self._values: dict[str, Array] = {}
        self.error: BaseException | None = None

    def put(self, name: str, value: Array) -> None:
        with self._ready:
            if self._readers.get(name):
                self._values[name] = value
            self._ready.notify_all()

    def take(self, name: str) -> Array | None:
        """Return a tensor once it is there, or None when the run has failed elsewhere."""
        with self._ready:
            self._ready.wait_for(lambda: name in self._values or self.error is not None)
            if self.error is not None:
                return None
            self._readers[name] -= 1
            if self._readers[name]:
                return self._values[name]
            return self._values.pop(name)

    def fail(self, error: BaseException) -> None:
        with self._ready:
            self.error = self.error or error
            self._ready.notify_all()


class _Run:
    def __init__(
        self,
        outputs: Sequence[str],
        work: Sequence[Unit],
        workers: Mapping[str, Worker],
        codec: Codec | None,
    ) -> None:
        readers = dict.fromkeys(outputs, 1)
        for unit in work:
            for name in unit.inputs:
                readers[name] = readers.get(name, 0) + 1
        self.workers, self.codec = workers, codec
        self.store = _Store(readers)
        self.events: list[Event] = []
        self.begin_ns = perf_counter_ns()

    def convert(self, name: str, value: Array, number_format: str, device: str) -> Array:
        formats = (np.float32, np.int8)
        if value.dtype == number_format or value.dtype not in formats or self.codec is None:
            return value
        start_ns = perf_counter_ns() - self.begin_ns
        to_codes = number_format == "int8"
        value = self.codec.encode(name, value) if to_codes else self.codec.decode(name, value)
        self.record(name, "convert", device, start_ns)
        return value

    def record(
        self, name: str, kind: str, device: str, start_ns: int, layers: tuple[str, ...] = ()
    ) -> None:
        end_ns = perf_counter_ns() - self.begin_ns
        self.events.append(
            Event(
                name=name,
                kind=kind,
                device=device,
                start_ns=start_ns,
                end_ns=end_ns,
                layers=layers,
            )
        )

    def serve(self, device: str, queue: Sequence[Unit]) -> None:
        worker = self.workers[device]
        try:
            for unit in queue:
                inputs = {}
                for name in unit.inputs:
                    value = self.store.take(name)
                    if value is None:
                        return
                    inputs[name] = self.convert(name, value, worker.number_format, device)
                start_ns = perf_counter_ns() - self.begin_ns
                outputs = _outputs(worker, unit, inputs)
                kind = "layer" if len(unit.layers) == 1 else "segment"
                layers = tuple(layer.name for layer in unit.layers)
                self.record(unit.name, kind, device, start_ns, layers)
                for name, value in outputs.items():
                    self.store.put(name, value)
        except BaseException as error:  # handed to the caller's thread
            self.store.fail(error)


def _takes_units(worker: Worker) -> TypeGuard[UnitWorker]:
    return isinstance(worker, UnitWorker) and bool(worker.lanes or worker.stretches)


def _outputs(worker: Worker, unit: Unit, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    if _takes_units(worker):
        return worker.run_unit(unit, inputs)
    (layer,) = unit.layers
    return dict(zip(layer.outputs, worker.run(layer, inputs), strict=True))


def plan_units(
    plan: Plan, network: Network, lanes: Mapping[str, int], stretches: Collection[str] = ()
) -> tuple[Unit, ...]:
    """Return what a plan hands out at once, in an order in which it can run.

    Parameters
    ----------
    lanes
        Device -> channels of a block, for the devices that take segments.
    stretches
        Devices that take stretches.

    Raises
    ------
    InputError
        If the plan was made for another network.
    """
    if plan.fingerprint != network.fingerprint():
        raise InputError(
            f"the plan was made for network {plan.fingerprint}, this one is "
            f"{network.fingerprint()}; plan this model again"
        )
    place = {row.layer: row.device for row in plan.assignments}
    for layer in network.layers:
        if layer.name not in place:
            raise InputError(f"the plan does not place layer {layer.name!r}; plan this model again")
    return stretched(network, units(network, place, lanes), stretches)


def load_workers(plan: Plan, network: Network, workers: Mapping[str, Worker]) -> tuple[Unit, ...]:
    """Give every worker its part of a plan; return the units in an order in which they can run.

    Raises
    ------
    InputError
        As `dispatch`.
    """
    taking = {device: each for device, each in workers.items() if _takes_units(each)}
    lanes = {device: each.lanes for device, each in taking.items() if each.lanes}
    whole = [device for device, each in taking.items() if each.stretches]
    work = plan_units(plan, network, lanes, whole)
    missing = [unit.device for unit in work if unit.device not in workers]
    if missing:
        raise InputError(f"the plan uses device {missing[0]!r}, which has no worker here")
    for unit in work:
        worker = workers[unit.device]
        if _takes_units(worker):
            worker.load_unit(network, unit)
        else:
            worker.load(network, unit.layers[0])
    return work


def _serve_all(run: _Run, queues: Mapping[str, Sequence[Unit]]) -> None:
    """Serve every device from a thread of its own; raise what the first failing one raised."""
    threads = [
        Thread(target=run.serve, args=item, name=f"heterolith-{item[0]}", daemon=True)
        for item in queues.items()
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        run.store.fail(KeyboardInterrupt())
        raise
    if run.store.error is not None:
        raise run.store.error


def dispatch(
    plan: Plan,
    network: Network,
    workers: Mapping[str, Worker],
    codec: Codec | None,
    inputs: Mapping[str, Array],
    work: Sequence[Unit] | None = None,
) -> tuple[dict[str, Array], Trace]:
    """Run a plan once.

    Parameters
    ----------
    workers
        Device name -> worker, for every device the plan uses.
    codec
        Knows scale and zero point of every tensor that crosses to or from an int8 device; may be
        ``None`` if there is no such device.
    inputs
        Network inputs by name, float32.
    work
        What `load_workers` returned for these workers; without it that is called first.

    Returns
    -------
    outputs, trace
        Network outputs in float32 by name, and what ran when.

    Raises
    ------
    InputError
        If the plan was made for another network or a device has no worker.
    """
    work = load_workers(plan, network, workers) if work is None else work
    queues: dict[str, list[Unit]] = {}
    for unit in work:
        queues.setdefault(unit.device, []).append(unit)
    run = _Run(network.outputs, work, workers, codec)
    for name, value in inputs.items():
        run.store.put(name, value)
    with hold_blas():  # once, not for every layer
        _serve_all(run, queues)
    outputs: dict[str, Array] = {}
    for name in network.outputs:
        result = run.store.take(name)
        if result is not None:
            outputs[name] = run.convert(name, result, "float32", "home")
    backends = tuple((device, workers[device].backend) for device in queues)
    return outputs, Trace(events=tuple(run.events), backends=backends)
