"""When jobs are released and how long their pieces take.

An `Arrival` yields the release times of one task; an `Execution` gives a function from a piece to
its time in nanoseconds. Both draw from a generator of their own per task, so that a run does not
depend on the order in which a policy asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from random import Random

from heterolith.errors import InputError
from heterolith.scheduler.realtime.tasks import Piece, Task

Arrival = Callable[[Task, Random], Iterator[int]]
Execution = Callable[[Task, Random], Callable[[Piece], int]]


def periodic(task: Task, rng: Random) -> Iterator[int]:
    """Release at the offset and then once a period."""
    del rng
    return count(task.offset_ns, task.period_ns)


def sporadic(slack: float = 0.5) -> Arrival:
    """Release at least a period apart, later by a uniform share of it up to `slack`."""
    if not 0 <= slack < 1e6:
        raise InputError(f"sporadic slack is {slack}; it must be 0 or more")

    def times(task: Task, rng: Random) -> Iterator[int]:
        now = task.offset_ns
        while True:
            yield now
            now += task.period_ns + int(task.period_ns * slack * rng.random())

    return times


def poisson(load: float = 1.0) -> Arrival:
    """Release with exponential gaps of mean ``period / load``; no least distance is kept."""
    if not 0 < load < 1e6:
        raise InputError(f"Poisson load is {load}; it must be above 0")

    def times(task: Task, rng: Random) -> Iterator[int]:
        now = task.offset_ns
        while True:
            now += max(1, round(rng.expovariate(load / task.period_ns)))
            yield now

    return times


def recorded(traces: Mapping[str, Iterable[int]]) -> Arrival:
    """Release at the recorded times of each task, which must not decrease."""
    kept = {name: tuple(trace) for name, trace in traces.items()}
    for name, trace in kept.items():
        if list(trace) != sorted(trace) or (trace and trace[0] < 0):
            raise InputError(f"arrival trace of {name!r} must be sorted and start at 0 or later")

    def times(task: Task, rng: Random) -> Iterator[int]:
        del rng
        return iter(kept.get(task.name, ()))

    return times


def worst(task: Task, rng: Random) -> Callable[[Piece], int]:
    """Every piece takes its WCET."""
    del task, rng
    return lambda piece: piece.wcet_ns


def uniform(task: Task, rng: Random) -> Callable[[Piece], int]:
    """Every piece takes a uniform time between its BCET and its WCET."""
    del task
    draw = rng.random

    def time(piece: Piece) -> int:
        return piece.bcet_ns + int((piece.wcet_ns - piece.bcet_ns + 1) * draw())

    return time


def extremes(task: Task, rng: Random) -> Callable[[Piece], int]:
    """Every piece takes either its BCET or its WCET, by a fair coin: what anomalies like."""
    del task
    draw = rng.random
    return lambda piece: piece.wcet_ns if draw() < 0.5 else piece.bcet_ns
