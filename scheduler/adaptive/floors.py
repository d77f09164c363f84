"""Floors: the plan of degrees per task that meets its deadline for certain, at the least loss.

A reconstruction of ApNet's guarantee (Bateni and Liu, RTSS 2018; of the paper only the abstract was
at hand). One task is a multiple-choice knapsack: one degree per layer, times add up to the budget
at most, the sum of losses is least. Several tasks on one resource under EDF are admitted by
processor demand (`heterolith.scheduler.realtime.demand`): in every interval t the floors due in it,
plus one piece that is due later, fit into t. Times are integer nanoseconds, losses integer parts
per million of top-1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from itertools import accumulate
from math import lcm

import numpy as np
from numpy.typing import NDArray

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.adaptive.model import Scenario

Points = NDArray[np.int64]
Option = tuple[int, int]
"""Time in ns and loss in ppm of one layer at one degree."""

POINTS = 200_000
"""Most intervals that a test looks at; a set that needs more is not accepted."""
CLOSE = 1e-9
"""Distance from 1 below which utilization is computed in fractions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """One degree per layer, their worst-case time, the longest layer, and the sum of losses."""

    degrees: tuple[int, ...]
    time_ns: int
    longest_ns: int
    loss_ppm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a task asks of the resource; `layers` hold its options, the exact degree first.

    `reach_ns` is how long before its deadline a piece may start, the deadline if 0.
    """

    name: str
    period_ns: int
    deadline_ns: int
    layers: tuple[tuple[Option, ...], ...]
    reach_ns: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.deadline_ns <= self.period_ns:
            raise InputError(
                f"task {self.name!r}: deadline {self.deadline_ns} ns must be in 1..{self.period_ns}"
                " ns, its period, for a guarantee"
            )
        if not self.layers or not all(self.layers):
            raise InputError(f"task {self.name!r} needs a layer, and each layer a degree")


def one_resource(scenario: Scenario) -> int:
    """Return the one resource that all blocks are on; raises `InputError` if they use several."""
    used = {layer.resource for task in scenario.tasks for layer in task.network.layers}
    if len(used) > 1:
        names = ", ".join(scenario.board.resources[r] for r in sorted(used))
        raise InputError(
            f"the tasks of {scenario.name!r} use {names}; this policy decides for one resource: "
            "place all blocks on one"
        )
    return used.pop()


def sub_deadlines(deadline_ns: int, times: Sequence[int]) -> tuple[int, ...]:
    """Share a deadline out to layers in proportion to their times; the shares add up to it."""
    total = sum(times)
    ends = [deadline_ns * done // total for done in accumulate(times)]
    return tuple(end - begin for begin, end in zip([0, *ends], ends, strict=False))


def staircase(layers: Sequence[Sequence[Option]]) -> tuple[Floor, ...]:
    """Solve the knapsack for all budgets at once.

    Returns
    -------
    tuple of Floor
        Every plan than which no other is as fast with less loss, fastest first. Exact: a partial
        plan is dropped only for one that is as fast and loses as little.
    """
    steps = [Floor(degrees=(), time_ns=0, longest_ns=0, loss_ppm=0)]
    for layer in layers:
        grown = sorted(
            (
                Floor(
                    degrees=(*step.degrees, degree),
                    time_ns=step.time_ns + time,
                    longest_ns=max(step.longest_ns, time),
                    loss_ppm=step.loss_ppm + loss,
                )
                for step in steps
                for degree, (time, loss) in enumerate(layer)
            ),
            key=lambda floor: (floor.time_ns, floor.loss_ppm, floor.longest_ns, floor.degrees),
        )
        steps = []
        for floor in grown:
            if not steps or floor.loss_ppm < steps[-1].loss_ppm:
                steps.append(floor)
    return tuple(steps)


def knapsack(layers: Sequence[Sequence[Option]], budget_ns: int) -> Floor | None:
    """Return the plan with the least loss within a budget, None if the fastest is beyond it."""
    steps = staircase(layers)
    rank = bisect_right([floor.time_ns for floor in steps], budget_ns)
    return steps[rank - 1] if rank else None


def _utilization(tasks: Sequence[Demand], work: Sequence[int]) -> float | Fraction:
    """Return the utilization, exact where a float cannot tell it from 1."""
    total = sum(w / t.period_ns for w, t in zip(work, tasks, strict=True))
    if abs(total - 1) > CLOSE:
        return total
    return sum((Fraction(w, t.period_ns) for w, t in zip(work, tasks, strict=True)), Fraction(0))


def _intervals(tasks: Sequence[Demand], work: Sequence[int], block: int) -> Points | None:
    """Return the intervals in which demand may exceed time, None if they are too many."""
    total = float(_utilization(tasks, work))
    last = max(t.deadline_ns for t in tasks)
    if total < 1 - CLOSE:
        late = sum(
            w * (t.period_ns - t.deadline_ns) / t.period_ns
            for w, t in zip(work, tasks, strict=True)
        )
        last = max(last, int((late + block) / (1 - total)) + 2)
    else:
        last += 2 * lcm(*(t.period_ns for t in tasks))
    if sum((last - t.deadline_ns) // t.period_ns + 1 for t in tasks) > POINTS:
        return None
    return np.unique(
        np.concatenate(
            [np.arange(t.deadline_ns, last + 1, t.period_ns, dtype=np.int64) for t in tasks]
        )
    )


def slack(
    tasks: Sequence[Demand], work: Sequence[int], longest: Sequence[int]
) -> tuple[int, int] | None:
    """Return the least slack, ns, of any interval, and that interval.

    Parameters
    ----------
    tasks
        On one resource under EDF.
    work, longest
        Worst-case work and longest piece of a job, ns, per task.

    Returns
    -------
    tuple or None
        Below 0 the tasks do not fit. None where utilization is above 1, or too near to it to tell.
    """
    if _utilization(tasks, work) > 1:
        return None
    points = _intervals(tasks, work, max(longest))
    if points is None:
        return None
    free = points.copy()
    for task, w in zip(tasks, work, strict=True):
        free -= np.maximum(0, (points - task.deadline_ns) // task.period_ns + 1) * w
    block = np.zeros_like(points)
    for task, piece in zip(tasks, longest, strict=True):
        reach = task.reach_ns or task.deadline_ns
        np.maximum(block, np.where(reach > points, piece, 0), out=block)
    free -= block
    worst = int(np.argmin(free))
    return int(free[worst]), int(points[worst])


def fits(tasks: Sequence[Demand], work: Sequence[int], longest: Sequence[int]) -> bool:
    """Whether every deadline is met under EDF, pieces never interrupted."""
    found = slack(tasks, work, longest)
    return found is not None and found[0] >= 0


def piece_limits(tasks: Sequence[Demand], work: Sequence[int]) -> tuple[int, ...]:
    """Return per task the longest piece, ns, that blocks no deadline of more urgent jobs."""
    limits = []
    points = _intervals(tasks, work, 0)
    assert points is not None, "asked of sets that fit alone"
    free = points.copy()
    for task, w in zip(tasks, work, strict=True):
        free -= np.maximum(0, (points - task.deadline_ns) // task.period_ns + 1) * w
    for task in tasks:
        ahead = free[points < (task.reach_ns or task.deadline_ns)]
        limits.append(int(ahead.min()) if len(ahead) else 2**62)
    return tuple(limits)


def floors(tasks: Sequence[Demand]) -> tuple[Floor, ...]:
    """Choose every task's floor: admitted together, at little loss.

    All tasks start at their fastest plan. Then, again and again, the plan with the most loss saved
    per utilization among those that still fit replaces its task's. One task alone gets the exact
    knapsack; for several this greedy choice is not the optimum.

    Raises
    ------
    InfeasibleError
        If the tasks do not fit at their fastest plans.
    """
    return _floors(tuple(tasks))


@lru_cache(maxsize=16)
def _floors(tasks: tuple[Demand, ...]) -> tuple[Floor, ...]:
    stairs = [_monotone(staircase(task.layers)) for task in tasks]
    at, tops = [0] * len(tasks), [len(steps) - 1 for steps in stairs]

    def accepted(index: int, step: int) -> bool:
        chosen = [stairs[i][step if i == index else s] for i, s in enumerate(at)]
        return fits(tasks, [f.time_ns for f in chosen], [f.longest_ns for f in chosen])

    if not accepted(0, 0):
        raise InfeasibleError(_why(tasks, [steps[0] for steps in stairs]))
    while True:
        best: tuple[float, int, int] | None = None
        for index, task in enumerate(tasks):
            tops[index] = _highest(at[index], tops[index], partial(accepted, index))
            now = stairs[index][at[index]]
            for step in range(at[index] + 1, tops[index] + 1):
                new = stairs[index][step]
                gain = (now.loss_ppm - new.loss_ppm) * task.period_ns / (new.time_ns - now.time_ns)
                if best is None or gain > best[0]:
                    best = (gain, index, step)
        if best is None:
            return _raised(tasks, [steps[s] for steps, s in zip(stairs, at, strict=True)])
        at[best[1]] = best[2]


def _raised(tasks: Sequence[Demand], chosen: list[Floor]) -> tuple[Floor, ...]:
    """Take steps that only the view of `_monotone` ruled out."""
    for index, task in enumerate(tasks):
        steps = staircase(task.layers)
        for step, seen in zip(reversed(steps), reversed(_monotone(steps)), strict=True):
            now = chosen[index]
            if step.time_ns <= now.time_ns:
                break
            if now.longest_ns <= step.longest_ns < seen.longest_ns:
                trial = [*chosen[:index], step, *chosen[index + 1 :]]
                if fits(tasks, [f.time_ns for f in trial], [f.longest_ns for f in trial]):
                    chosen = trial
                    break
    return tuple(chosen)


def _monotone(steps: Sequence[Floor]) -> list[Floor]:
    """Return steps whose longest layer never falls: a safe view that makes fitting monotone."""
    highest = accumulate((floor.longest_ns for floor in steps), max)
    return [
        Floor(degrees=floor.degrees, time_ns=floor.time_ns, longest_ns=top, loss_ppm=floor.loss_ppm)
        for floor, top in zip(steps, highest, strict=True)
    ]


def _highest(low: int, high: int, accepted: Callable[[int], bool]) -> int:
    """Return the last step of a task that fits; `low` does."""
    if low < high and accepted(high):
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if accepted(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _why(tasks: Sequence[Demand], deepest: Sequence[Floor]) -> str:
    work = [floor.time_ns for floor in deepest]
    share = sum(w / t.period_ns for w, t in zip(work, tasks, strict=True))
    most = max(range(len(tasks)), key=lambda i: work[i] / tasks[i].period_ns)
    found = slack(tasks, work, [floor.longest_ns for floor in deepest])
    head = (
        f"rejected: even at the deepest degrees utilization is {share:.3f}"
        if found is None
        else f"rejected: even at the deepest degrees {-found[0]} ns are missing within {found[1]} "
        f"ns (utilization {share:.3f})"
    )
    return f"{head}; {tasks[most].name!r} needs most of it: lengthen its period or leave it out"
