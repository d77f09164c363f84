"""Utilization tests: quick answers, each with the model that it holds for.

``U(r)`` is the worst-case work per time that all tasks put on resource r.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod

from heterolith.scheduler.realtime.tasks import TaskSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Outcome of a test: `schedulable` is None where the test cannot tell."""

    schedulable: bool | None
    value: float
    limit: float
    dominant: str


def necessary(taskset: TaskSet) -> Verdict:
    """No policy can serve a resource whose utilization is above 1; below, nothing is said."""
    r = max(range(len(taskset.resources)), key=taskset.utilization)
    value = taskset.utilization(r)
    return Verdict(
        schedulable=False if value > 1 else None,
        value=float(value),
        limit=1.0,
        dominant=taskset.resources[r].name,
    )


def _alone(taskset: TaskSet) -> bool:
    """Whether the classic bounds hold: one resource used, implicit deadlines, no jitter."""
    used = {piece.resource for task in taskset.tasks for piece in task.pieces}
    return len(used) == 1 and all(
        task.deadline_ns == task.period_ns and not task.jitter_ns for task in taskset.tasks
    )


def _verdict(taskset: TaskSet, value: float, limit: float, *, holds: bool) -> Verdict:
    top = max(taskset.tasks, key=lambda task: Fraction(task.wcet_ns, task.period_ns))
    return Verdict(
        schedulable=True if holds and _alone(taskset) else None,
        value=value,
        limit=limit,
        dominant=top.name,
    )


def liu_layland(taskset: TaskSet) -> Verdict:
    """Rate-monotonic priorities, fully preemptive, one resource: U <= n (2^(1/n) - 1).

    Liu and Layland, JACM 20(1), 1973. Sufficient; pieces are taken as interruptible anywhere.
    """
    n = len(taskset.tasks)
    value = sum(task.wcet_ns / task.period_ns for task in taskset.tasks)
    limit = n * (2 ** (1 / n) - 1)
    return _verdict(taskset, value, limit, holds=value <= limit)


def hyperbolic(taskset: TaskSet) -> Verdict:
    """Rate-monotonic priorities, fully preemptive, one resource: prod (U(i) + 1) <= 2.

    Bini, Buttazzo and Buttazzo, IEEE Trans. Computers 52(7), 2003. Sufficient, exact arithmetic.
    """
    factors = (1 + Fraction(task.wcet_ns, task.period_ns) for task in taskset.tasks)
    value = prod(factors, start=Fraction(1))
    return _verdict(taskset, float(value), 2.0, holds=value <= 2)
