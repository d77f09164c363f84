"""Coarser allocations that LaLaRAND is compared with.

`dart_cut` follows DART (Xiang and Kim, RTSS 2019) as found in LaLaRAND's development code: every
network is cut once, so that both resources carry like loads. It is a reconstruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product

from heterolith.scheduler.realtime.profile import Assignment, NetworkTask

TASK_LEVEL_LIMIT = 4096
"""Most one-resource-per-task assignments that are enumerated."""


def all_on(tasks: Sequence[NetworkTask], resource: int) -> tuple[Assignment, ...]:
    """Put every layer of every task on one resource."""
    return tuple(task.network.alone(resource) for task in tasks)


def preferable(tasks: Sequence[NetworkTask]) -> tuple[Assignment, ...]:
    """Put every layer on its fastest resource."""
    return tuple(task.network.preferable() for task in tasks)


def task_level(tasks: Sequence[NetworkTask]) -> list[tuple[Assignment, ...]]:
    """Return every one-resource-per-task assignment; where there are too many, a balanced one."""
    count = tasks[0].network.resources
    if count ** len(tasks) <= TASK_LEVEL_LIMIT:
        return [
            tuple(task.network.alone(r) for task, r in zip(tasks, choice, strict=True))
            for choice in product(range(count), repeat=len(tasks))
        ]
    return [*(all_on(tasks, r) for r in range(count)), _worst_fit(tasks, count)]


def _worst_fit(tasks: Sequence[NetworkTask], count: int) -> tuple[Assignment, ...]:
    loads = [Fraction(0)] * count
    chosen: dict[str, int] = {}
    shares = {
        task.name: [
            Fraction(
                sum(p.wcet_ns for p in task.bind(task.network.alone(r)).pieces), task.period_ns
            )
            for r in range(count)
        ]
        for task in tasks
    }
    for task in sorted(tasks, key=lambda task: -min(shares[task.name])):
        best = min(range(count), key=lambda r: loads[r] + shares[task.name][r])
        chosen[task.name] = best
        loads[best] += shares[task.name][best]
    return tuple(task.network.alone(chosen[task.name]) for task in tasks)


def dart_cut(tasks: Sequence[NetworkTask], first: int, second: int) -> tuple[Assignment, ...]:
    """Cut each network once: layers before the cut on `first`, the others on `second`.

    Tasks are taken by falling mean utilization; each cut balances the loads so far.
    """
    loads = {first: Fraction(0), second: Fraction(0)}
    cuts: dict[str, Assignment] = {}

    def weight(task: NetworkTask) -> Fraction:
        both = [sum(task.network.layers[i][r] or 0 for i in range(len(task.network.layers)))
                for r in (first, second)]  # fmt: skip
        return Fraction(sum(both), 2 * task.period_ns)

    for task in sorted(tasks, key=weight, reverse=True):
        count = len(task.network.layers)
        one, two = task.network.alone(first), task.network.alone(second)
        options = []
        for cut in range(count + 1):
            assignment = one[:cut] + two[cut:]
            added = {first: Fraction(0), second: Fraction(0)}
            for piece in task.bind(assignment).pieces:
                if piece.resource in added:
                    added[piece.resource] += Fraction(piece.wcet_ns, task.period_ns)
            gap = abs(loads[first] + added[first] - loads[second] - added[second])
            options.append((gap, -cut, assignment, added))
        _, _, cuts[task.name], added = min(options, key=lambda option: option[:2])
        for r in loads:
            loads[r] += added[r]
    return tuple(cuts[task.name] for task in tasks)
