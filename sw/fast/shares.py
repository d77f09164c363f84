"""Cuts the work of each phase and hands it out to workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from heterolith.sw.fast.spots import Scratch, Step
from heterolith.sw.fast.work import Work

# Less than this is not worth a second worker's attention.
_LEAST_US = 12.0

Phases = tuple[tuple[tuple[Step, ...], ...], ...]
"""For each phase and worker the steps."""


@dataclass(frozen=True, slots=True)
class Task:
    """A range of units of some work."""

    work: Work
    first: int
    last: int

    @property
    def cost_us(self) -> float:
        """Share of the work's estimated time."""
        return self.work.cost_us * (self.last - self.first) / self.work.units


def assigned(works: Sequence[Work], threads: int) -> list[list[Task]]:
    """Cut the work of a phase and hand it out.

    Small works go whole, dearest first, to whoever has least so far. Others are cut into even
    ranges, of which every worker takes the one of its own number, so that it reads what it wrote a
    phase before; the dearest is cut last, into ranges that level the loads.
    """
    most = max(_LEAST_US, sum(work.cost_us for work in works) / threads / 4)
    dearest_first = sorted(works, key=lambda work: -work.cost_us)
    whole = [work for work in dearest_first if _stays_whole(work, threads, most)]
    cut = [work for work in dearest_first if not _stays_whole(work, threads, most)]
    shares: list[list[Task]] = [[] for _ in range(threads)]
    loads = [0.0] * threads
    for work in whole:
        worker = min(range(threads), key=loads.__getitem__)
        shares[worker].append(Task(work, 0, work.units))
        loads[worker] += work.cost_us
    for work in reversed(cut):
        parts = (
            _levelling(loads, work.cost_us)
            if work is cut[0]
            else [work.cost_us / threads] * threads
        )
        edges = [round(work.units * sum(parts[:k]) / work.cost_us) for k in range(threads + 1)]
        for worker, (first, last) in enumerate(pairwise(edges)):
            if last > first:
                task = Task(work, first, last)
                shares[worker].append(task)
                loads[worker] += task.cost_us
    # Alone, small ones first: what all read is then in a cache still, which large ones would sweep.
    # Side by side the other way round, so that workers meet after short steps.
    return [sorted(row, key=lambda task: task.cost_us, reverse=threads > 1) for row in shares]


def _stays_whole(work: Work, threads: int, most_us: float) -> bool:
    return threads == 1 or work.units == 1 or work.cost_us <= most_us


def _levelling(loads: Sequence[float], cost_us: float) -> list[float]:
    """Return shares of a cost that level loads as far as it goes."""
    level = (cost_us + sum(loads)) / len(loads)
    while True:
        low = [load for load in loads if load < level]
        even = (cost_us + sum(low)) / len(low)
        if even >= level:
            return [max(0.0, level - load) for load in loads]
        level = even


def scratch_bytes(shares: Sequence[Sequence[Sequence[Task]]], threads: int) -> list[int]:
    """Return how much scratch memory each worker needs; steps are built and dropped one by one."""
    rulers = [Scratch() for _ in range(threads)]
    for phase in shares:
        for tasks, ruler in zip(phase, rulers, strict=True):
            for task in tasks:
                ruler.reset()
                task.work.build(task.first, task.last, ruler)
    return [ruler.peak_bytes for ruler in rulers]


def steps_of(shares: Sequence[Sequence[Sequence[Task]]], scratches: Sequence[Scratch]) -> Phases:
    """Build the steps of all tasks, each worker's on scratch memory of its own."""
    phases = []
    for phase in shares:
        row: list[tuple[Step, ...]] = []
        for tasks, scratch in zip(phase, scratches, strict=True):
            steps: list[Step] = []
            for task in tasks:
                scratch.reset()
                steps += task.work.build(task.first, task.last, scratch)
            row.append(tuple(steps))
        phases.append(tuple(row))
    return tuple(phases)
