"""When devices and links can be at work at all, and how long everything then takes at least.

Whatever the order of dispatch, nothing runs on a device before the inputs of some task can be
there, and after its last task results have to get home: for any set of tasks on one device the
latency is no less than the least head, the work and the least tail of the set (heads and tails of
Carlier, "The one-machine sequencing problem", European Journal of Operational Research 11, 1982).
Transfers on a link likewise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from heterolith.scheduler.model import Model
from heterolith.scheduler.problem import HOME
from heterolith.scheduler.solvers.linear import Program, combine

NEVER = 2**55
"""Stands for the time of what cannot be; sums of several stay integers of 64 bits."""
WEIGHED = 20
"""Items with the most work, any of which says that a resource is used."""
NONE = 1e-6
"""Variables up to this are taken as 0."""
MOST = 4
"""Sets of one resource that are added to a program at a time."""
LEAST = 1e-4
"""Part of the latency by which a set must raise it to be added."""

Offered = Sequence[Sequence[tuple[int, int, int]]]
"""Per task: (variable, device, latency in ns)."""
Moves = Mapping[tuple[int, int, int], int]
"""(tensor, origin, target) -> variable."""


class Item(NamedTuple):
    """What a resource may have to do: its variable, and least times in ns.

    ``head_ns`` from the start of everything to its own, ``tail_ns`` from its end to the last
    delivery that waits for it.
    """

    variable: int
    head_ns: int
    tail_ns: int
    work_ns: int


class _Times:
    """Least times on free resources, per task and device."""

    def __init__(self, model: Model) -> None:
        self.model, problem = model, model.problem
        self.devices = range(len(problem.devices))
        self.own = [[NEVER] * len(self.devices) for _ in problem.tasks]
        for row, options in zip(self.own, model.options, strict=True):
            for option in options:
                row[option.device] = min(row[option.device], int(option.latency_ns.min()))
        self.heads: list[list[int]] = []
        for task in problem.tasks:
            arrivals = [[self.arrival(tensor, d) for d in self.devices] for tensor in task.inputs]
            self.heads.append([max((row[d] for row in arrivals), default=0) for d in self.devices])
        # What must follow a tensor that is made on a device, and a tensor that has got there.
        self.rest = [[0] * len(self.devices) for _ in problem.tensors]
        self.reads = [[NEVER] * len(self.devices) for _ in problem.tensors]
        for tensor in set(problem.outputs):
            self.rest[tensor] = [self.way(tensor, d, problem.home) for d in self.devices]
            self.reads[tensor][problem.home] = 0
        self.tails = [[0] * len(self.devices) for _ in problem.tasks]
        for index in range(len(problem.tasks) - 1, -1, -1):
            self._close(index)

    def _close(self, index: int) -> None:
        task = self.model.problem.tasks[index]
        for d in self.devices:
            self.tails[index][d] = max((self.rest[t][d] for t in task.outputs), default=0)
        then = [own + tail for own, tail in zip(self.own[index], self.tails[index], strict=True)]
        for tensor in task.inputs:
            for d in self.devices:
                after = min(self.way(tensor, d, e) + then[e] for e in self.devices)
                self.rest[tensor][d] = max(self.rest[tensor][d], min(after, NEVER))
                self.reads[tensor][d] = min(self.reads[tensor][d], then[d])

    def way(self, tensor: int, origin: int, target: int) -> int:
        """Return how long a tensor travels."""
        if origin == target:
            return 0
        legs = self.model.routes[tensor].get((origin, target))
        return NEVER if legs is None else sum(leg.latency_ns for leg in legs)

    def made(self, tensor: int, device: int) -> int:
        """Return when a tensor can be made on a device."""
        maker = self.model.problem.tensors[tensor].producer
        if maker == HOME:
            return 0 if device == self.model.problem.home else NEVER
        return min(self.heads[maker][device] + self.own[maker][device], NEVER)

    def arrival(self, tensor: int, device: int) -> int:
        """Return when a tensor can be on a device."""
        origins = ((self.made(tensor, o), self.way(tensor, o, device)) for o in self.devices)
        return min(NEVER, *(made + way for made, way in origins))


def resources(model: Model, offered: Offered, moves: Moves) -> list[list[Item]]:
    """Return what each device and then each link may have to do."""
    times = _Times(model)
    found: list[list[Item]] = [[] for _ in (*model.problem.devices, *model.problem.links)]
    for index, offers in enumerate(offered):
        for variable, device, latency_ns in offers:
            head_ns, tail_ns = times.heads[index][device], times.tails[index][device]
            found[device].append(Item(variable, head_ns, tail_ns, latency_ns))
    for (tensor, origin, target), variable in moves.items():
        head_ns = times.made(tensor, origin)
        tail_ns = times.way(tensor, origin, target) + times.reads[tensor][target]
        for leg in model.routes[tensor][origin, target]:
            tail_ns -= leg.latency_ns
            item = Item(variable, head_ns, tail_ns, leg.latency_ns)
            found[len(times.devices) + leg.link].append(item)
            head_ns += leg.latency_ns
    return found


def enclose(program: Program, latency: int, items: Sequence[Item]) -> None:
    """Bound the latency by all work of a resource and the time in which it cannot be at work."""
    terms = [(latency, 1), *((item.variable, -item.work_ns) for item in items)]
    idle_ns = min((i.head_ns for i in items), default=0) + min(
        (i.tail_ns for i in items), default=0
    )
    if 0 < idle_ns < NEVER:
        used = program.variable(1)
        for item in sorted(items, key=lambda item: -item.work_ns)[:WEIGHED]:
            program.at_least({used: 1, item.variable: -1})
        terms.append((used, -idle_ns))
    program.at_least(combine(terms))


def violated(items: Sequence[Item], latency: int, values: Sequence[float]) -> list[dict[int, int]]:
    """Return what sets of items add up to where that is more than the latency, the most first.

    Parameters
    ----------
    latency
        The variable of the latency.
    values
        Solution of a linear program, by variable.

    Returns
    -------
    sums
        Variable -> ns; the latency of any plan is no less than the sum over its variables.
    """
    chosen = [item for item in items if values[item.variable] > NONE]
    if not chosen:
        return []
    share = np.array([values[item.variable] for item in chosen])
    heads, tails, work = np.array([item[1:] for item in chosen], float).T
    by_tail = np.argsort(-tails, kind="stable")
    found: list[tuple[float, int, int]] = []
    for head in np.unique(heads):
        own = by_tail[heads[by_tail] >= head]
        sums = np.maximum.accumulate(share[own]) * (head + tails[own])
        sums += np.cumsum(share[own] * work[own])
        best = int(sums.argmax())
        if sums[best] > values[latency] * (1 + LEAST):
            found.append((float(sums[best]), int(head), int(tails[own[best]])))
    found.sort(reverse=True)
    return [_sum(items, head, tail, values) for _, head, tail in found[:MOST]]


def _sum(
    items: Sequence[Item], head_ns: int, tail_ns: int, values: Sequence[float]
) -> dict[int, int]:
    """Return work, head and tail of the set that starts and ends no nearer than these."""
    own = [item for item in items if item.head_ns >= head_ns and item.tail_ns >= tail_ns]
    most = max(values[item.variable] for item in own)
    # Any weighted mean of their variables is 0 if none is chosen, and 1 at most.
    certain = [item.variable for item in own if values[item.variable] >= most - NONE]
    idle_ns = (head_ns + tail_ns) // len(certain)
    work = ((item.variable, item.work_ns) for item in own)
    return combine([*work, *((variable, idle_ns) for variable in certain)])
