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
    """Cut the work of a phase and hand it out, dearest first, to whoever has least so far."""
    total = sum(work.cost_us for work in works)
    tasks: list[Task] = []
    for work in works:
        alone = work.cost_us <= max(_LEAST_US, total / threads / 4)
        count = 1 if alone else min(threads, work.units)
        edges = [work.units * k // count for k in range(count + 1)]
        tasks += [Task(work, a, b) for a, b in pairwise(edges)]
    shares: list[list[Task]] = [[] for _ in range(threads)]
    loads = [0.0] * threads
    for task in sorted(tasks, key=lambda task: -task.cost_us):
        least = min(range(threads), key=loads.__getitem__)
        shares[least].append(task)
        loads[least] += task.cost_us
    return shares


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
