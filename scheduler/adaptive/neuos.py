"""NeuOS, PredJoule and the governors they are measured against, as policies for the simulator.

NeuOS decides for a cohort (`cohort`). PredJoule (Bateni and Liu, RTSS 2018) is the special case of
a network that acts for itself by the operating point alone. In the published code of NeuOS being
late slows the board down, the index of points may fall below the table, and there is one level of
approximation; none of that is here.
"""

from __future__ import annotations

from heterolith.scheduler.adaptive.books import JobView, view_of
from heterolith.scheduler.adaptive.cohort import Due, Member, Situation, decide, lag_ns, mode
from heterolith.scheduler.adaptive.floors import one_resource, sub_deadlines
from heterolith.scheduler.adaptive.model import KnobNetwork, Scenario
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.powerup import tables
from heterolith.scheduler.realtime.simulate import Job, Machine


class MaxFrequency(AdaptivePolicy):
    """Everything exact at the board's highest point, which it never leaves."""


class RaceToIdle(AdaptivePolicy):
    """Exact at the fastest point that draws least; the least idle power in between."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        points = scenario.board.points
        quickest = [p for p, at in enumerate(points) if set(at.slowdown_ppm) == {1_000_000}]
        self._race = min(quickest, key=lambda p: (points[p].idle_mw, sum(points[p].active_mw)))
        self._rest = min(range(len(points)), key=lambda p: (points[p].idle_mw, p))

    def point(self, machine: Machine) -> int | None:  # noqa: D102 - as in AdaptivePolicy
        return self._race if any(view is not None for view in self.live) else self._rest


class NeuOS(AdaptivePolicy):
    """One operating point for the cohort and a degree per layer, decided at every boundary.

    Parameters
    ----------
    scenario
        Networks on one resource.
    goal
        A mode of `cohort.MODES`.
    record
        Keep LAG at every boundary in `lags`: task, job's release, time, LAG by the clock, LAG by
        the time that its own layers took, waiting left out.
    """

    def __init__(self, scenario: Scenario, goal: str = "balanced", record: bool = False) -> None:
        super().__init__(scenario)
        self._resource = one_resource(scenario)
        self._rule = mode(goal)
        self._tables = tables(scenario.board)
        self._exact = [_left(task.network, 0) for task in scenario.tasks]
        self._deepest = [_left(task.network, -1) for task in scenario.tasks]
        self._shares = [
            sub_deadlines(t.deadline_ns, [layer.degrees[0].wcet_ns for layer in t.network.layers])
            for t in scenario.tasks
        ]
        self._times = [
            [tuple(d.wcet_ns for d in layer.degrees) for layer in task.network.layers]
            for task in scenario.tasks
        ]
        self._next = [0] * len(scenario.tasks)
        self._degree = 0
        self.lags: list[tuple[int, int, int, int, int]] | None = [] if record else None
        self._begun_ns = 0
        self._spent_ns = [0] * len(scenario.tasks)

    def on_release(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        super().on_release(machine, job)
        view = view_of(job)
        self._next[view.index] = job.release_ns + view.task.period_ns
        self._spent_ns[view.index] = 0
        self._report(view, machine.now_ns)

    def on_start(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        self._begun_ns = machine.now_ns
        super().on_start(machine, job)

    def on_boundary(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        self._spend(view_of(job), machine.now_ns)
        super().on_boundary(machine, job)

    def ended(self, view: JobView, machine: Machine) -> None:  # noqa: D102 - as in AdaptivePolicy
        if view.job.index == len(view.network.layers):
            self._spend(view, machine.now_ns)

    def _spend(self, view: JobView, now_ns: int) -> None:
        self._spent_ns[view.index] += now_ns - self._begun_ns
        self._report(view, now_ns)

    def _report(self, view: JobView, now_ns: int) -> None:
        if self.lags is not None:
            release, shares = view.job.release_ns, self._shares[view.index]
            clock, own = (
                lag_ns(shares, view.job.index, passed)
                for passed in (now_ns - release, self._spent_ns[view.index])
            )
            self.lags.append((view.index, release, now_ns, clock, own))

    def point(self, machine: Machine) -> int | None:  # noqa: D102 - as in AdaptivePolicy
        if machine.running[self._resource] is not None:
            return None
        waiting = machine.waiting(self._resource)
        if not waiting:
            return None
        situation = self._situation(view_of(waiting[0]), machine)
        chosen, self._degree = decide(situation, self._rule)
        return chosen

    def degree(self, view: JobView, machine: Machine) -> int:  # noqa: D102 - as in AdaptivePolicy
        return self._degree

    def _situation(self, runner: JobView, machine: Machine) -> Situation:
        others = [v for v in self.live if v is not None and v is not runner]
        others.sort(key=lambda view: view.job.deadline_ns)
        return Situation(
            tables=self._tables,
            members=tuple(self._member(v, machine.now_ns) for v in (runner, *others)),
            due=tuple(self._due(machine.now_ns, max(v.job.deadline_ns for v in (runner, *others)))),
            point=machine.points[0],
            switch_ns=self.board.switch_ns,
        )

    def _member(self, view: JobView, now_ns: int) -> Member:
        index, at, shares = view.index, view.layer, self._shares[view.index]
        ahead = lag_ns(shares, at, now_ns - view.job.release_ns)
        return Member(
            sum(shares[at:]) + ahead,
            self._exact[index][at],
            self._deepest[index][at],
            view.network.layers[at].kind,
            self._times[index][at],
        )

    def _due(self, now_ns: int, last_ns: int) -> list[Due]:
        """Return the jobs that may yet arrive and be due by an instant."""
        found = []
        for index, task in enumerate(self.scenario.tasks):
            end = max(now_ns, self._next[index]) + task.deadline_ns
            while end <= last_ns:
                found.append((end - now_ns, self._exact[index][0], self._deepest[index][0]))
                end += task.period_ns
        return found


class PredJoule(NeuOS):
    """Every network for itself, exact: the point of least power that meets its own deadline."""

    def __init__(self, scenario: Scenario, record: bool = False) -> None:
        super().__init__(scenario, "min-energy", record)

    def _situation(self, runner: JobView, machine: Machine) -> Situation:
        own = self._member(runner, machine.now_ns)
        exact = Member(own.left_ns, own.exact_ns, own.exact_ns, own.kind, own.times[:1])
        return Situation(
            tables=self._tables,
            members=(exact,),
            point=machine.points[0],
            switch_ns=self.board.switch_ns,
        )


def _left(network: KnobNetwork, degree: int) -> tuple[int, ...]:
    """Return the work left before every block, and 0 at the end."""
    times = [layer.degrees[degree].wcet_ns for layer in network.layers]
    return tuple(sum(times[at:]) for at in range(len(times) + 1))
