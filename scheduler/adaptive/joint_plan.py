"""What the joint policy fixes before it starts: local deadlines, limits, points, and the proof.

Blocks on one resource in a row are a *segment*. Segments of a task share its deadline in proportion
to their times; each resource serves segments by their own absolute deadlines, as sporadic EDF tasks
(`floors.slack`). A segment may start before its share begins: it keeps its deadline, so no interval
holds more demand, but it may block from farther ahead (`Demand.reach_ns`). The guarantee covers the
blocks up to the first exit, at the fastest degrees and the reference point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from heterolith.errors import InfeasibleError
from heterolith.scheduler.adaptive.floors import Demand, piece_limits, slack
from heterolith.scheduler.adaptive.model import (
    REFERENCE_PPM,
    AdaptiveTask,
    Board,
    KnobLayer,
    Scenario,
)

WORTH = 1.0
"""A percentage point of accuracy is worth this many exact runs' energy, unless told otherwise."""
EXPECTED = 0.85
"""Mean time over WCET that long-run load is judged by: half way to a BCET of 0.7."""
POINTS = 16
"""Most operating points of a front that are rehearsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanisms:
    """What the joint policy may do; all of it unless switched off."""

    placement: bool = True
    points: bool = True
    degrees: bool = True
    exits: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Blocks `first` to before `end` on a resource, due `due_ns` after the release."""

    resource: int
    first: int
    end: int
    due_ns: int
    share_ns: int


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """A placed task: the blocks that are guaranteed, and when each is due."""

    task: AdaptiveTask
    mandatory: int
    degrees: bool
    times_ns: tuple[int, ...] | None = None

    @cached_property
    def floor_ns(self) -> tuple[int, ...]:
        """Worst-case time of every block at its fastest degree, reference point."""
        if self.times_ns is not None:
            return self.times_ns
        at = -1 if self.degrees else 0
        return tuple(layer.degrees[at].wcet_ns for layer in self.task.network.layers)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """The guaranteed blocks, resource after resource."""
        layers = self.task.network.layers[: self.mandatory]
        starts = [i for i, x in enumerate(layers) if not i or layers[i - 1].resource != x.resource]
        times = [layer.degrees[0].wcet_ns for layer in layers]
        made, due = [], 0
        for first, end in pairwise([*starts, len(layers)]):
            last = self.task.deadline_ns * sum(times[:end]) // sum(times)
            made.append(
                Segment(
                    resource=layers[first].resource, first=first, end=end, due_ns=last,
                    share_ns=last - due,
                )
            )  # fmt: skip
            due = last
        return tuple(made)

    @cached_property
    def due_ns(self) -> tuple[int, ...]:
        """When each block is due after the release; optional ones at the deadline."""
        due = [self.task.deadline_ns] * len(self.task.network.layers)
        for segment in self.segments:
            due[segment.first : segment.end] = [segment.due_ns] * (segment.end - segment.first)
        return tuple(due)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What one resource guarantees: (task, segment) pairs with their demand and floor work."""

    members: tuple[tuple[int, Segment], ...]
    demands: tuple[Demand, ...]
    work_ns: tuple[int, ...]
    slack_ns: int


def service(resource: int, plans: Sequence[TaskPlan]) -> Service | None:
    """Return the guarantees of a resource; None if they do not fit."""
    members = tuple(
        (i, segment)
        for i, plan in enumerate(plans)
        for segment in plan.segments
        if segment.resource == resource
    )
    demands, work, longest = [], [], []
    for i, segment in members:
        floor = plans[i].floor_ns[segment.first : segment.end]
        demands.append(_demand(plans[i], segment.share_ns, segment.due_ns))
        work.append(sum(floor))
        longest.append(max(floor))
    if not members:
        return Service(members=(), demands=(), work_ns=(), slack_ns=2**62)
    if any(w > d.deadline_ns for w, d in zip(work, demands, strict=True)):
        return None
    found = slack(demands, work, longest)
    if found is None or found[0] < 0:
        return None
    return Service(members=members, demands=tuple(demands), work_ns=tuple(work), slack_ns=found[0])


def _demand(plan: TaskPlan, share_ns: int, reach_ns: int) -> Demand:
    return Demand(
        name=plan.task.name, period_ns=plan.task.period_ns, deadline_ns=share_ns,
        layers=(((1, 0),),), reach_ns=reach_ns,
    )  # fmt: skip


def limits(resource: int, plans: Sequence[TaskPlan], made: Service) -> dict[tuple[int, int], int]:
    """Return the longest piece per (task, block) that blocks no guarantee of more urgent work."""
    blocks = [
        (i, block, plan.due_ns[block])
        for i, plan in enumerate(plans)
        for block, layer in enumerate(plan.task.network.layers)
        if layer.resource == resource
    ]
    if not made.members:
        return {(i, block): 2**62 for i, block, _ in blocks}
    extra = [_demand(plans[i], due, due) for i, _, due in blocks]
    found = piece_limits([*made.demands, *extra], [*made.work_ns, *([0] * len(extra))])
    ends = found[len(made.demands) :]
    return {(i, block): end for (i, block, _), end in zip(blocks, ends, strict=True)}


def option_pj(board: Board, layer: KnobLayer, degree: int, point: int, rest_mw: int) -> int:
    """Return the energy, above the idle board at rest, of a block in a degree at a point."""
    at = board.points[point]
    return (at.active_mw[layer.kind] + at.idle_mw - rest_mw) * time_ns(board, layer, degree, point)


def time_ns(board: Board, layer: KnobLayer, degree: int, point: int) -> int:
    """Return the worst-case time of a block in a degree at a point."""
    slow = board.points[point].slowdown_ppm[layer.kind]
    return -(-layer.degrees[degree].wcet_ns * slow // REFERENCE_PPM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """Costs of a placed network in pJ: energy, and what lost accuracy is worth."""

    board: Board
    worth_pj: float
    rest_mw: int
    degrees: bool

    def order(self, layer: KnobLayer, point: int) -> tuple[int, ...]:
        """Return the degrees of a block at a point, the cheapest first."""
        count = len(layer.degrees) if self.degrees else 1
        return tuple(sorted(range(count), key=lambda d: self.cost(layer, d, point)))

    def cost(self, layer: KnobLayer, degree: int, point: int) -> float:
        """Return energy plus the worth of the lost accuracy."""
        return self.energy(layer, degree, point) + self.worth_pj * layer.degrees[degree].loss

    def energy(self, layer: KnobLayer, degree: int, point: int) -> int:
        """Return the energy above the board at rest."""
        return option_pj(self.board, layer, degree, point, self.rest_mw)


def gap_ns(task: AdaptiveTask) -> float:
    """Return the mean time between two jobs of a task."""
    if task.deadline_low_ns is None:
        return task.period_ns
    return (task.deadline_low_ns + task.deadline_ns) / 2


def plan_tasks(tasks: Sequence[AdaptiveTask], mechanisms: Mechanisms) -> tuple[TaskPlan, ...]:
    """Return the plans of placed tasks."""
    return tuple(
        TaskPlan(
            task=task,
            mandatory=(task.network.exits[0] if mechanisms.exits else task.network.exits[-1]) + 1,
            degrees=mechanisms.degrees,
        )
        for task in tasks
    )


def services(scenario: Scenario, plans: Sequence[TaskPlan]) -> tuple[Service, ...]:
    """Return the guarantees of every resource.

    Raises
    ------
    InfeasibleError
        If those of some resource do not fit.
    """
    made = []
    for resource, name in enumerate(scenario.board.resources):
        found = service(resource, plans)
        if found is None:
            load = sum(
                sum(p.floor_ns[s.first : s.end]) / p.task.period_ns
                for p in plans
                for s in p.segments
                if s.resource == resource
            )
            raise InfeasibleError(
                f"scenario {scenario.name!r}: the mandatory blocks on {name} need {load:.2f} of "
                "its time at the fastest degrees and do not all meet their deadlines; lengthen "
                "periods or deadlines"
            )
        made.append(found)
    return tuple(made)


def useful_points(scenario: Scenario, pricings: Sequence[Pricing]) -> tuple[int, ...]:
    """Return the points to look at, the least cost rate first; the reference is the last resort.

    Those on the front of load and cost of the whole, at which the expected load fits: once as if
    the board went to rest between jobs, once as if it stayed.
    """
    board, rows = scenario.board, []
    for point, at in enumerate(board.points):
        load, rested, stayed = [0.0] * len(board.resources), 0.0, float(at.idle_mw)
        for task, pricing in zip(scenario.tasks, pricings, strict=True):
            for layer in task.network.layers:
                degree = pricing.order(layer, point)[0]
                part = time_ns(board, layer, degree, point) / gap_ns(task)
                load[layer.resource] += part
                cost = pricing.cost(layer, degree, point) / gap_ns(task)
                rested += cost
                stayed += cost - (at.idle_mw - pricing.rest_mw) * part
        if max(load) * EXPECTED <= 1 and point:
            rows.append((stayed, rested, max(load), point))
    chosen = {point: cost for cost, _, _, point in _front([(s, s, w, p) for s, _, w, p in rows])}
    for cost, _, _, point in _front([(r, s, w, p) for s, r, w, p in rows]):
        chosen.setdefault(point, cost)
    return (*sorted(chosen, key=lambda p: chosen[p]), 0)


def _front(
    rows: Sequence[tuple[float, float, float, int]],
) -> list[tuple[float, float, float, int]]:
    """Return the front of cost and load, the cheapest first, thinned out where it is long."""
    kept: list[tuple[float, float, float, int]] = []
    for row in sorted(rows):
        if not kept or row[2] < kept[-1][2]:
            kept.append(row)
    return kept[:: max(1, -(-len(kept) // POINTS))]


def fits_at(plans: Sequence[TaskPlan], pricings: Sequence[Pricing], point: int) -> bool:
    """Whether the guaranteed blocks fit at a point, each in the degree it likes there."""
    board = pricings[0].board
    slowed = []
    for plan, pricing in zip(plans, pricings, strict=True):
        times = [
            time_ns(board, layer, pricing.order(layer, point)[0], point)
            for layer in plan.task.network.layers
        ]
        slowed.append(replace(plan, times_ns=tuple(times)))
    return all(service(r, slowed) is not None for r in range(len(board.resources)))
