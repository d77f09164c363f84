"""Layer times measured on the machine at hand.

A pass times every layer once, in order, on the inputs it gets in a real inference: repetitions are
interleaved, so that a slow second of the machine falls on all layers and each finds the caches as
its predecessor leaves them. Warming up is whole runs too: a layer that has just run itself takes
up to a third less than in its network. A network has just run when it is timed, as in use: of
several, each runs twice a pass, the first time untimed. Reported are the median over passes and, as
interval, the 5th and 95th percentile. A reading beyond `OUTLIER` robust deviations above its median
is an interruption, not the layer, and is left out. Energy is not measured here and stays unknown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from heterolith.metrics.profile import Cost
from heterolith.metrics.work import moved_bytes
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.worker import Worker
from heterolith.sw.workers.team import hold_blas

OUTLIER = 5.0
Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Passes that warm up, and passes that are timed."""

    warmup: int = 2
    repetitions: int = 10


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to time, and its inputs by name."""

    network: Network
    inputs: Mapping[str, Array]


@contextmanager
def pinned(threads: int | None) -> Iterator[None]:
    """Keep this process on as many of its cores as it has threads, where the system can."""
    if threads is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:threads]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def one_run(subject: Subject, worker: Worker, times: list[int]) -> None:
    """Run a network once, layer by layer, and append the time of each, ns.

    Inputs are written anew and tensors dropped after their last use, so that a layer finds memory
    and caches as in an inference: its input just written, its output's memory used before.
    """
    last = _last_uses(subject.network)
    values: dict[str, Array] = {name: array.copy() for name, array in subject.inputs.items()}
    with hold_blas():  # as a run of a plan does
        for index, layer in enumerate(subject.network.layers):
            worker.load(subject.network, layer)
            begin = perf_counter_ns()
            outputs = worker.run(layer, values)
            times.append(perf_counter_ns() - begin)
            values.update(zip(layer.outputs, outputs, strict=True))
            for name in [name for name in values if last.get(name, index) <= index]:
                del values[name]


def _last_uses(network: Network) -> dict[str, int]:
    """Return tensor -> index of the last layer that reads it."""
    return {
        name: index
        for index, layer in enumerate(network.layers)
        for name in network.activations(layer)
    }


def passes(
    subjects: Sequence[Subject],
    worker: Worker | Sequence[Worker],
    warmup: int,
    unfinished: list[int] | None = None,
) -> Iterator[Times]:
    """Yield the times of one pass after another, shape (layers,), without end.

    Parameters
    ----------
    worker
        One for all subjects, or one for each: a layer then works in memory that its own network
        left behind, as in use.
    warmup
        Untimed passes before the first timed one.
    unfinished
        Gets the times of the pass under way, for whoever is interrupted in it.
    """
    workers = worker if isinstance(worker, Sequence) else [worker] * len(subjects)
    pairs = list(zip(subjects, workers, strict=True))
    for _ in range(warmup):
        for subject, own in pairs:
            one_run(subject, own, [])
    times = [] if unfinished is None else unfinished
    while True:
        times.clear()
        for subject, own in pairs:
            if len(pairs) > 1:
                one_run(subject, own, [])
            one_run(subject, own, times)
        yield np.array(times, dtype=np.int64)


def summarise(times: Times) -> tuple[NDArray[np.float64], int]:
    """Return 5th, 50th and 95th percentile of each layer, and how many readings were outliers.

    Parameters
    ----------
    times
        Nanoseconds, shape (passes, layers).
    """
    median = np.median(times, axis=0)
    spread = 1.4826 * np.median(np.abs(times - median), axis=0)
    kept = times <= median + np.maximum(OUTLIER * spread, 0.05 * median)
    values = np.where(kept, times, np.nan)
    return np.nanpercentile(values, [5, 50, 95], axis=0), int((~kept).sum())


def rows(subjects: Sequence[Subject], kind: str, times: Times) -> tuple[Cost, ...]:
    """Return measured rows in order, from times of shape (passes, layers).

    Times of the first layers alone give the rows of these.
    """
    (low, median, high), _ = summarise(times)
    layers = [(subject.network, layer) for subject in subjects for layer in subject.network.layers]
    return tuple(
        _row(network, layer, kind, (float(low[i]), float(median[i]), float(high[i])))
        for i, (network, layer) in enumerate(layers[: len(median)])
    )


def _row(
    network: Network, layer: Layer, kind: str, percentiles: tuple[float, float, float]
) -> Cost:
    low, median, high = percentiles
    return Cost(
        layer=layer.name,
        op=layer.op,
        device=kind,
        point="host",
        variant="fp32",
        latency_ns=round(median),
        energy_pj=None,
        peak_bytes=moved_bytes(network, layer),
        weight_bytes=network.weight_bytes(layer),
        source="measured",
        latency_low_ns=low,
        latency_high_ns=high,
    )


def measure(
    network: Network,
    worker: Worker,
    inputs: Mapping[str, Array],
    protocol: Protocol | None = None,
) -> tuple[Cost, ...]:
    """Time every layer of a network on a float32 worker.

    Parameters
    ----------
    inputs
        Network inputs by name, float32.

    Returns
    -------
    tuple of Cost
        One row per layer, in order, with source ``measured`` and the worker's kind as device.
    """
    protocol = protocol or Protocol()
    subjects = [Subject(network, inputs)]
    timed = passes(subjects, worker, protocol.warmup)
    times = np.stack([next(timed) for _ in range(protocol.repetitions)])
    return rows(subjects, worker.kind, times)
