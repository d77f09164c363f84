"""Placement, operating point, degrees and exits in one policy, under a guarantee.

Before the start `joint_plan` places the tasks and proves that every block up to the first exit
meets its deadline at its fastest degree and the reference point. While running, whatever is slower
(a lower point, a better degree, a stage beyond the first exit) must leave room for all that is
proved, on every resource, and for the switch back (`reserve.Room`). Among what does, the cheapest
is taken: energy, plus what lost accuracy is declared to be worth. A stage beyond an exit runs if
the expected gain in confidence, by held-out images, is worth its energy.
"""

from __future__ import annotations

from collections.abc import Sequence

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.adaptive.books import JobView, view_of
from heterolith.scheduler.adaptive.joint_place import choose
from heterolith.scheduler.adaptive.joint_plan import (
    WORTH,
    Mechanisms,
    Pricing,
    fits_at,
    limits,
    option_pj,
    plan_tasks,
    services,
    time_ns,
    useful_points,
)
from heterolith.scheduler.adaptive.joint_soft import SoftJoint, expected_confidence
from heterolith.scheduler.adaptive.model import Scenario
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.rehearse import best
from heterolith.scheduler.adaptive.reserve import Room
from heterolith.scheduler.realtime.simulate import Job, Machine

SEVERAL = 8
"""About how many operating points are looked at while running, where more than one is."""
PRUDENT = 2.0
"""A job ends at an exit only if a gain so many standard errors above the mean is not worth it."""


def pricings(scenario: Scenario, worth: float, mechanisms: Mechanisms) -> tuple[Pricing, ...]:
    """Return what energy and accuracy cost each task."""
    board = scenario.board
    rest = min(point.idle_mw for point in board.points)
    made = []
    for task in scenario.tasks:
        exact = sum(option_pj(board, layer, 0, 0, rest) for layer in task.network.layers)
        made.append(
            Pricing(
                board=board, worth_pj=worth * 100 * exact, rest_mw=rest, degrees=mechanisms.degrees
            )
        )
    return tuple(made)


def heterolith(
    scenario: Scenario, worth: float = WORTH, mechanisms: Mechanisms | None = None
) -> AdaptivePolicy:
    """Return the joint policy: guaranteed where that is possible, else by best effort.

    Parameters
    ----------
    worth
        A percentage point of accuracy is worth this many exact runs' energy, above 0.
    mechanisms
        Which it may use.

    Raises
    ------
    InputError
        If `worth` is not above 0.
    """
    if not 0 < worth < float("inf"):
        raise InputError(f"worth is {worth}; it must be above 0 and finite")
    mechanisms = mechanisms or Mechanisms()
    costs = pricings(scenario, worth, mechanisms)
    placed = choose(scenario, costs, mechanisms)
    points = useful_points(placed, costs) if mechanisms.points else (0,)
    worth_pj = sum(cost.worth_pj for cost in costs) / len(costs)

    def soft(which: Scenario, point: int) -> AdaptivePolicy:
        return SoftJoint(which, costs, mechanisms, point)

    def hard(which: Scenario, some: tuple[int, ...]) -> AdaptivePolicy:
        return Joint(which, costs, mechanisms, some)

    if not any(task.deadline_low_ns for task in scenario.tasks):
        try:
            plans = plan_tasks(placed.tasks, mechanisms)
            services(placed, plans)
        except InfeasibleError:
            pass
        else:
            steady = [point for point in points[:-1] if fits_at(plans, costs, point)]
            some = points[: -1 : max(1, len(points) // SEVERAL)]
            ways = [(*some, 0), *((point, 0) for point in steady), (0,)]
            return hard(placed, best(placed, list(dict.fromkeys(ways)), hard, worth_pj))
    return soft(placed, best(placed, points, soft, worth_pj))


class Joint(AdaptivePolicy):
    """The policy under its guarantee, on a placed scenario.

    Parameters
    ----------
    points
        Operating points to look at, the one to be at usually first, the reference last.

    Raises
    ------
    InfeasibleError
        If the mandatory blocks do not all meet their deadlines.
    """

    def __init__(
        self,
        scenario: Scenario,
        costs: Sequence[Pricing],
        mechanisms: Mechanisms,
        points: tuple[int, ...] = (0,),
    ) -> None:
        super().__init__(scenario)
        self.costs, self.mechanisms = costs, mechanisms
        self.plans = plan_tasks(scenario.tasks, mechanisms)
        self.services = services(scenario, self.plans)
        self._limits: dict[tuple[int, int], int] = {}
        for resource, made in enumerate(self.services):
            self._limits |= limits(resource, self.plans, made)
        board = self.board
        slow = mechanisms.points and all(s.slack_ns >= board.switch_ns for s in self.services)
        self.points = points if slow else (0,)
        self._rest = min(range(len(board.points)), key=lambda p: (board.points[p].idle_mw, p))
        self._rest = self._rest if slow else 0
        steady = (p for p in self.points if p == 0 or fits_at(self.plans, costs, p))
        self._usual = next(steady)
        self._switch_pj = [
            board.switch_ns * (p.idle_mw - costs[0].rest_mw + max(p.active_mw))
            for p in board.points
        ]
        self._order = [
            [[cost.order(layer, p) for p in range(len(board.points))] for layer in t.network.layers]
            for t, cost in zip(scenario.tasks, costs, strict=True)
        ]
        self._times = [
            [
                [
                    [time_ns(board, layer, d, p) for d in range(len(layer.degrees))]
                    for p in range(len(board.points))
                ]
                for layer in task.network.layers
            ]
            for task in scenario.tasks
        ]
        self._cheapest = [
            [
                [cost.cost(x, cost.order(x, p)[0], p) for p in range(len(board.points))]
                for x in task.network.layers
            ]
            for task, cost in zip(scenario.tasks, costs, strict=True)
        ]
        self._expected = [expected_confidence(task.network, PRUDENT) for task in scenario.tasks]
        self._next = [task.offset_ns for task in scenario.tasks]
        self._until = [0] * len(board.resources)
        self._steady = 0

    # what the simulator asks

    def key(self, job: Job, now_ns: int) -> int:  # noqa: D102 - as in AdaptivePolicy
        del now_ns
        index = view_of(job).index
        return job.release_ns + self.plans[index].due_ns[job.index]

    def on_release(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        super().on_release(machine, job)
        view = view_of(job)
        self._next[view.index] = job.release_ns + view.task.period_ns

    def on_instant(self, machine: Machine) -> None:  # noqa: D102 - as in Policy
        before = machine.points[0]
        super().on_instant(machine)
        if machine.points[0] != before:
            self._steady = machine.now_ns + self.board.switch_ns

    def point(self, machine: Machine) -> int | None:  # noqa: D102 - as in AdaptivePolicy
        live, now = [v for v in self.live if v is not None], machine.points[0]
        if not live:
            return self._idle_point(machine)
        while True:
            first = [v for v in self._heads(machine) if self._optional(v)]
            costs = {p: self._live_cost(live, p, machine) for p in self.points}
            for p in costs:
                costs[p] += self._switch_pj[p] if p not in (now, self._usual) else 0
            for point in sorted(self.points, key=lambda p: costs[p]):
                if self._bears_all(machine, point, first):
                    return point
            ended = [v for v in first if not self._bears_one(machine, v)]
            if not ended:
                return 0
            for view in ended:
                machine.reroute(view.job, ())
            live = [v for v in live if not v.ended]
            if not live:
                return 0 if now else None

    def _idle_point(self, machine: Machine) -> int:
        """Return the point to wait at: at rest if that saves more than coming back costs."""
        now = machine.points[0]
        idle = self.board.points
        pause = max(0, min(self._next) - machine.now_ns)
        saved = (idle[now].idle_mw - idle[self._rest].idle_mw) * pause
        return self._rest if saved > self._switch_pj[self._usual] else now

    def _live_cost(self, live: Sequence[JobView], point: int, machine: Machine) -> float:
        """Return what the blocks that live jobs still must run would cost at a point, pJ."""
        total = 0.0
        for view in live:
            first = view.layer + machine.runs(view.job)
            for block in range(first, max(self.plans[view.index].mandatory, first)):
                total += self._cheapest[view.index][block][point]
        return total

    def goes_on(self, view: JobView, machine: Machine) -> bool:  # noqa: D102 - as in AdaptivePolicy
        if not self.mechanisms.exits:
            return True
        cost, point = self.costs[view.index], machine.points[0]
        seen, exits = view.depth, view.network.exits
        expected = self._expected[view.index](seen - 1, view.confidences[-1])
        spent, gain = 0.0, 0.0
        for later in range(seen, len(exits)):
            for block in range(exits[later - 1] + 1, exits[later] + 1):
                degree = self._order[view.index][block][point][0]
                spent += cost.cost(view.network.layers[block], degree, point)
            gain = max(gain, cost.worth_pj * (expected[later] - view.confidences[-1]) - spent)
        return gain > 0

    def degree(self, view: JobView, machine: Machine) -> int:  # noqa: D102 - as in AdaptivePolicy
        block, point = view.layer, machine.points[0]
        resource = view.network.layers[block].resource
        begin = max(machine.now_ns, self._steady)
        room = self._room(machine, resource)
        times = self._times[view.index][block][point]
        chosen = len(times) - 1 if self.mechanisms.degrees else 0
        for degree in self._order[view.index][block][point]:
            if self._allowed(room, view, times[degree], (machine.now_ns, begin, point)):
                chosen = degree
                break
        self._until[resource] = begin + times[chosen]
        return chosen

    # what is allowed

    def _optional(self, view: JobView) -> bool:
        return view.layer >= self.plans[view.index].mandatory

    def _heads(self, machine: Machine) -> list[JobView]:
        """Return who would start now on each resource that is free."""
        first: dict[int, JobView] = {}
        for view in self.live:
            if view is None or machine.runs(view.job):
                continue
            resource = view.network.layers[view.layer].resource
            other = first.get(resource)
            key = (self.key(view.job, machine.now_ns), view.index)
            if machine.running[resource] is None and (
                other is None or key < (self.key(other.job, machine.now_ns), other.index)
            ):
                first[resource] = view
        return list(first.values())

    def _bears_one(self, machine: Machine, view: JobView) -> bool:
        """Whether a block may start at the reference point with all others at their floors."""
        block, resource = view.layer, view.network.layers[view.layer].resource
        steady = self._steady if not machine.points[0] else machine.now_ns + self.board.switch_ns
        begin = max(machine.now_ns, steady)
        room = self._room(machine, resource)
        times = self._times[view.index][block][0]
        return any(
            self._allowed(room, view, times[degree], (machine.now_ns, begin, 0))
            for degree in self._order[view.index][block][0]
        )

    def _bears_all(self, machine: Machine, point: int, optional: Sequence[JobView]) -> bool:
        """Whether live jobs may run their guaranteed blocks at a point as they like it there.

        `optional` are jobs whose next block, beyond an exit, would start now.
        """
        changed = point != machine.points[0]
        steady = machine.now_ns + self.board.switch_ns if changed else self._steady
        delay = max(0, steady - machine.now_ns)
        work: dict[int, list[tuple[JobView, int]]] = {}
        for view in self.live:
            if view is None:
                continue
            first = view.layer + machine.runs(view.job)
            last = max(self.plans[view.index].mandatory, first + (view in optional))
            for block in range(first, last):
                resource = view.network.layers[block].resource
                work.setdefault(resource, []).append((view, block))
        for resource, blocks in work.items():
            begin = max(self._until[resource], steady, machine.now_ns)
            changes = [(0, begin - machine.now_ns + (self.board.switch_ns if point else 0))]
            for view, block in blocks:
                degree = self._order[view.index][block][point][0]
                time = self._times[view.index][block][point][degree]
                if (
                    time + delay > self._limit(view.index, block, point)
                    or begin + time > view.job.deadline_ns
                ):
                    return False
                changes.append(self._change(view, block, time))
            if not self._room(machine, resource).bears(changes):
                return False
        return True

    def _allowed(self, room: Room, view: JobView, time: int, where: tuple[int, int, int]) -> bool:
        """Whether a job's next block may take a time; `where` is now, its begin, and the point."""
        now_ns, begin_ns, point = where
        changes = [(0, begin_ns - now_ns), self._change(view, view.layer, time)]
        if point:
            changes.append((0, self.board.switch_ns))
        return (
            begin_ns + time <= view.job.deadline_ns
            and begin_ns - now_ns + time <= self._limit(view.index, view.layer, point)
            and room.bears(changes)
        )

    def _limit(self, index: int, block: int, point: int) -> int:
        return self._limits[index, block] - (self.board.switch_ns if point else 0)

    def _change(self, view: JobView, block: int, time: int) -> tuple[int, int]:
        plan = self.plans[view.index]
        floor = plan.floor_ns[block] if block < plan.mandatory else 0
        return view.job.release_ns + plan.due_ns[block], time - floor

    def _room(self, machine: Machine, resource: int) -> Room:
        """Return the room of a resource, all waiting work at its floor.

        What it computes now, or waits for, is not in it: a change that is due at once.
        """
        made = self.services[resource]
        active, future = [], []
        for view in self.live:
            if view is None:
                continue
            plan, done = self.plans[view.index], view.layer + machine.runs(view.job)
            for segment in plan.segments:
                work = sum(plan.floor_ns[max(segment.first, done) : segment.end])
                if segment.resource == resource and work:
                    active.append((view.job.release_ns + segment.due_ns, work))
        for (index, segment), demand, work in zip(
            made.members, made.demands, made.work_ns, strict=True
        ):
            arrival = max(self._next[index], machine.now_ns) + segment.due_ns - segment.share_ns
            future.append((demand, work, arrival))
        return Room(machine.now_ns, active, future)
