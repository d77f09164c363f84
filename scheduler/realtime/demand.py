"""Processor demand of EDF on one resource, with pieces that are never interrupted.

In any interval of length t the jobs that arrive and are due in it need

    dbf(t) = sum over i: max(0, floor((t + J(i) - D(i)) / T(i)) + 1) * C(i)

(Baruah, Rosier and Howell, 1990), and one piece of a task that is due later may be in the way:
``max M(k) over D(k) > t`` (Baruah, "The limited-preemption uniprocessor scheduling of sporadic task
systems", ECRTS 2005). Schedulable if the sum is at most t for all t up to the busy-period bound.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from heapq import merge
from itertools import count, takewhile
from math import lcm

from heterolith.errors import InputError
from heterolith.scheduler.realtime.tasks import Task, TaskSet, chunked

POINTS = 1_000_000
"""Most test points; beyond them the answer is a refusal, not a guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Outcome: the interval with the least slack, and what fills it most."""

    schedulable: bool
    interval_ns: int
    demand_ns: int
    blocking_ns: int
    dominant: str

    @property
    def slack_ns(self) -> int:
        """Time of the interval that nothing needs."""
        return self.interval_ns - self.demand_ns - self.blocking_ns


def edf_demand(taskset: TaskSet) -> Demand:
    """Test EDF on the one resource that the tasks use.

    Raises
    ------
    InputError
        If pieces are on more than one resource, or the test needs more than a million points.
    """
    cut = chunked(taskset)
    used = sorted({piece.resource for task in cut.tasks for piece in task.pieces})
    if len(used) > 1:
        names = ", ".join(cut.resources[r].name for r in used)
        raise InputError(
            f"pieces are on {len(used)} resources ({names}); the demand test holds for one. "
            "Use response-time analysis"
        )
    tasks = cut.tasks
    total = cut.utilization(used[0])
    longest = {task.name: max(p.wcet_ns for p in task.pieces) for task in tasks}
    if total > 1:
        # dbf(t) > U t - sum U(i) D(i), which is above t from here on
        due = sum(Fraction(t.wcet_ns * t.deadline_ns, t.period_ns) for t in tasks)
        return _at(cut.tasks, longest, int(due / (total - 1)) + 1)
    horizon = _horizon(taskset, total, max(longest.values()))
    worst: Demand | None = None
    steps = merge(
        *(
            takewhile(
                lambda t: t <= horizon,
                count(max(1, task.deadline_ns - task.jitter_ns), task.period_ns),
            )
            for task in tasks
        )
    )
    for number, t in enumerate(steps):
        if number >= POINTS:
            raise InputError(
                f"the demand test needs more than {POINTS} points; utilization {float(total):.4f} "
                "is too close to 1 for these periods"
            )
        found = _at(tasks, longest, t)
        if not found.schedulable:
            return found
        if worst is None or found.slack_ns < worst.slack_ns:
            worst = found
    assert worst is not None
    return worst


def _at(tasks: Sequence[Task], longest: Mapping[str, int], t: int) -> Demand:
    parts = {
        task.name: max(0, (t + task.jitter_ns - task.deadline_ns) // task.period_ns + 1)
        * task.wcet_ns
        for task in tasks
    }
    block = max((longest[task.name] for task in tasks if task.deadline_ns > t), default=0)
    top = max(parts, key=lambda name: parts[name])
    return Demand(
        schedulable=sum(parts.values()) + block <= t,
        interval_ns=t,
        demand_ns=sum(parts.values()),
        blocking_ns=block,
        dominant="blocking" if block > parts[top] else top,
    )


def _horizon(taskset: TaskSet, total: Fraction, longest: int) -> int:
    """Return the last interval to test: the demand line meets t, or two hyperperiods at U = 1."""
    tasks = taskset.tasks
    last = max(task.deadline_ns for task in tasks)
    if total < 1:
        slack = sum(
            (
                Fraction(task.wcet_ns, task.period_ns)
                * max(0, task.period_ns + task.jitter_ns - task.deadline_ns)
                for task in tasks
            ),
            Fraction(0),
        )
        return max(last, int((slack + longest) / (1 - total)) + 1)
    return last + 2 * lcm(*(task.period_ns for task in tasks))
