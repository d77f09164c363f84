"""Runs that try to make jobs late: adversarial offsets, arrivals and execution times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from heterolith.scheduler.realtime.arrivals import extremes, periodic, sporadic, uniform, worst
from heterolith.scheduler.realtime.simulate import Options
from heterolith.scheduler.realtime.tasks import TaskSet

PATTERNS = (
    (periodic, worst),
    (sporadic(0.05), worst),
    (periodic, extremes),
    (sporadic(0.3), uniform),
)


def attacks(taskset: TaskSet, runs: int, seed: object) -> Iterator[tuple[TaskSet, Options]]:
    """Yield a task set with other offsets, and the options to simulate it with.

    All tasks start together in the first run. Later, two of four runs draw every offset; in the
    other two, tasks less urgent than one drawn at random start 1 ns before the rest, so that they
    block it. Arrivals and execution times go through `PATTERNS`.
    """
    for run in range(runs):
        rng = Random(f"{seed} {run}")
        offsets = [0] * len(taskset.tasks)
        if run % 4 in {1, 2}:
            offsets = [rng.randrange(task.period_ns) for task in taskset.tasks]
        elif run:
            target = rng.choice(taskset.tasks).priority
            offsets = [int(task.priority <= target) for task in taskset.tasks]
        tasks = tuple(
            replace(task, offset_ns=offset)
            for task, offset in zip(taskset.tasks, offsets, strict=True)
        )
        arrival, execution = PATTERNS[run % len(PATTERNS)]
        options = Options(arrival=arrival, execution=execution, seed=run)
        yield replace(taskset, tasks=tasks), options


def horizon_ns(taskset: TaskSet) -> int:
    """Return how long a run takes: some jobs of the slowest task, not too many of the fastest."""
    periods = [task.period_ns for task in taskset.tasks]
    return min(3 * max(periods), 150 * min(periods))
