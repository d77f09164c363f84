"""Coarser allocations that LaLaRAND is compared with.

`dart_cut` follows DART (Xiang and Kim, RTSS 2019) as found in LaLaRAND's development code: every
network is cut once, so that both resources carry like loads. It is a reconstruction.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, product
from math import prod

from heterolith.scheduler.realtime.profile import Assignment, NetworkTask, NetworkTimes

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
    scale = prod(task.period_ns for task in tasks)
    gap = 0
    cuts: dict[str, Assignment] = {}

    def weight(task: NetworkTask) -> Fraction:
        both = sum((row[first] or 0) + (row[second] or 0) for row in task.network.layers)
        return Fraction(both, task.period_ns)

    for task in sorted(tasks, key=weight, reverse=True):
        one, two = task.network.alone(first), task.network.alone(second)
        works = (_works(task.network, one, two, r) for r in (first, second))
        rate = scale // task.period_ns
        gaps = [gap + rate * (a - b) for a, b in zip(*works, strict=True)]
        cut = min(range(len(gaps)), key=lambda cut: (abs(gaps[cut]), -cut))
        gap, cuts[task.name] = gaps[cut], one[:cut] + two[cut:]
    return tuple(cuts[task.name] for task in tasks)


def _works(network: NetworkTimes, one: Assignment, two: Assignment, resource: int) -> list[int]:
    """Return the work on a resource per cut: layers before it as in `one`, the rest as in `two`."""
    count = len(one)

    def cost(layer: int, origin: int, target: int) -> int:
        if target != resource:
            return 0
        entered = network.enter_ns[layer][origin][target] if layer else 0
        return (network.layers[layer][target] or 0) + entered

    head = [0, *accumulate(cost(i, one[i - 1], one[i]) for i in range(count))]
    tail = [0, *accumulate(cost(i, two[i - 1], two[i]) for i in range(count - 1, 0, -1))]
    joined = (cost(cut, one[cut - 1], two[cut]) for cut in range(count))
    return [*map(sum, zip(head, joined, tail[::-1], strict=False)), head[count]]
