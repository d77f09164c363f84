"""ApNet: every deadline is kept by approximating layers as little as the time allows.

A reconstruction (Bateni and Liu, RTSS 2018; of the paper only the abstract was at hand): per layer
degrees with their time and loss, a share of the deadline per layer, at run time the smallest
sufficient degree, and overlapping layers of several networks that share the resource. LAG is the
time a job is ahead of its shares, positive = ahead. What a job spends is its part of the resource's
time; waiting is in the share, see `pace`.

The guarantee: EDF on one resource, floors admitted by `floors`; whatever is done beyond a floor
(a better degree, a batch) must leave the floors of all jobs, active and to come, room (`reserve`),
which assumes no sharing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from heterolith.errors import InputError
from heterolith.scheduler.adaptive.books import JobView, view_of
from heterolith.scheduler.adaptive.floors import (
    Demand,
    fits,
    floors,
    one_resource,
    piece_limits,
    sub_deadlines,
)
from heterolith.scheduler.adaptive.model import AdaptiveTask, Scenario
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.reserve import Room
from heterolith.scheduler.adaptive.sharing import Sharing, Tally
from heterolith.scheduler.realtime.simulate import Job, Machine

PPM = 1_000_000


def demand(task: AdaptiveTask) -> Demand:
    """Return what a task asks of its resource, losses in ppm.

    Raises
    ------
    InputError
        If the task draws its deadlines at random: nothing is guaranteed then.
    """
    if task.deadline_low_ns is not None:
        raise InputError(
            f"task {task.name!r} draws its deadlines at random; ApNet guarantees fixed ones"
        )
    return Demand(
        name=task.name,
        period_ns=task.period_ns,
        deadline_ns=task.deadline_ns,
        layers=tuple(
            tuple((degree.wcet_ns, round(degree.loss * PPM)) for degree in layer.degrees)
            for layer in task.network.layers
        ),
    )


def pace(demands: Sequence[Demand], longest: Sequence[int]) -> int:
    """Return the time that exact networks may take, as ppm of their worst case, to fit together.

    This times a job's exact time is the deadline less what the other tasks take: ``D / gamma``.
    """
    exact = [sum(layer[0][0] for layer in d.layers) for d in demands]
    low, high = 0, min(PPM * d.deadline_ns // e for d, e in zip(demands, exact, strict=True))
    while low < high:
        middle = (low + high + 1) // 2
        if fits(demands, [e * middle // PPM for e in exact], longest):
            low = middle
        else:
            high = middle - 1
    return low


class ApNet(AdaptivePolicy):
    """The least approximation that keeps every deadline.

    Parameters
    ----------
    scenario
        All tasks on one resource.
    sharing
        What sharing saves; None turns it off.

    Raises
    ------
    InfeasibleError
        If the tasks cannot be admitted at their deepest degrees, with the reason.
    InputError
        If they use several resources.
    """

    def __init__(self, scenario: Scenario, sharing: Sharing | None = None) -> None:
        super().__init__(scenario)
        one_resource(scenario)
        self.sharing, self.tally = sharing, Tally()
        self.demands = tuple(demand(task) for task in scenario.tasks)
        self.floors = floors(self.demands)
        self._limits = piece_limits(self.demands, [floor.time_ns for floor in self.floors])
        part = pace(self.demands, [floor.longest_ns for floor in self.floors])
        self._shares, self._left = [], []
        for task, floor in zip(self.demands, self.floors, strict=True):
            exact = [layer[0][0] for layer in task.layers]
            self._shares.append(sub_deadlines(sum(exact) * part // PPM, exact))
            times = [layer[d][0] for layer, d in zip(task.layers, floor.degrees, strict=True)]
            self._left.append([sum(times[at:]) for at in range(len(times) + 1)])
        self._next = [0] * len(scenario.tasks)
        self._begun_ns = self._parts = 0
        self._room: Room | None = None

    def on_release(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        super().on_release(machine, job)
        view = view_of(job)
        view.data = 0  # LAG
        self._next[view.index] = job.release_ns + view.task.period_ns

    def on_start(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        view = view_of(job)
        resource = job.pieces[job.index].resource
        self._begun_ns, self._room = machine.now_ns, None
        team, degree, time = self._team(view, machine.waiting(resource))
        self.begin(view, degree)
        for rider, own in team:
            self.begin(rider, own)
            machine.ride(rider.job, resource)
        if team:
            self._lengthen(job, time)
        self.tally.add(len(team) + 1)
        self._parts = len(team) + 1

    def on_boundary(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        view = view_of(job)
        spent = (machine.now_ns - self._begun_ns) // self._parts
        view.data += self._shares[view.index][job.index - 1] - spent
        super().on_boundary(machine, job)

    @staticmethod
    def _lengthen(job: Job, time: int) -> None:
        """Let a job's next piece stand for a whole team."""
        old = job.pieces[job.index]
        piece = replace(old, wcet_ns=time, bcet_ns=max(1, old.bcet_ns * time // old.wcet_ns))
        job.remaining_ns += time - old.wcet_ns
        job.pieces = (*job.pieces[: job.index], piece, *job.pieces[job.index + 1 :])

    def _bears(self, team: Sequence[JobView], time: int) -> bool:
        """Whether all floors keep room if a team's blocks take some time now."""
        if self._room is None:
            self._room = self._look()
        grown = [
            (v.job.deadline_ns, self._left[v.index][v.layer + 1] - self._left[v.index][v.layer])
            for v in team
        ]
        return self._room.bears([(min(deadline for deadline, _ in grown), time), *grown])

    def _look(self) -> Room:
        active = [
            (v.job.deadline_ns, self._left[v.index][v.layer]) for v in self.live if v is not None
        ]
        future = [
            (d, left[0], arrival)
            for d, left, arrival in zip(self.demands, self._left, self._next, strict=True)
        ]
        return Room(self._begun_ns, active, future)

    def _team(
        self, view: JobView, waiting: Sequence[Job]
    ) -> tuple[list[tuple[JobView, int]], int, int]:
        """Return who rides along and in which degree, the job's own degree, and the time of all."""
        if self.sharing is not None and waiting:
            others = [view_of(job) for job in waiting]
            same = [v for v in others if v.network is view.network and v.layer == view.layer]
            for count in range(min(len(same), self.sharing.largest - 1), 0, -1):
                found = self._degree([view, *same[:count]])
                if found is not None:
                    return [(rider, found[0]) for rider in same[:count]], *found
            if self.sharing.corun_ppm < PPM:
                return self._pair(view, others[0])
        return [], *self._alone(view)

    def _alone(self, view: JobView) -> tuple[int, int]:
        found = self._degree([view])
        assert found is not None, "the floor is always allowed"
        return found

    def _degree(self, team: Sequence[JobView]) -> tuple[int, int] | None:
        """Return the smallest sufficient degree of one block for a team, and its time.

        No member gets a deeper degree than its floor's; None if none is allowed.
        """
        at, layer = team[0].layer, team[0].network.layers[team[0].layer]
        deepest = min(self.floors[v.index].degrees[at] for v in team)
        ahead = min(v.data + self._shares[v.index][at] for v in team)
        limit = min(self._limits[v.index] for v in team)
        for degree in range(deepest + 1):
            time = layer.degrees[degree].wcet_ns
            if len(team) > 1:
                assert self.sharing is not None
                name = team[0].network.name
                time = self.sharing.batch_ns(name, layer, degree, len(team))
            elif degree == deepest:
                return degree, time
            if degree < deepest and time > ahead * len(team):
                continue
            if time <= limit and self._bears(team, time):
                return degree, time
        return None

    def _pair(self, view: JobView, other: JobView) -> tuple[list[tuple[JobView, int]], int, int]:
        """Run a job's block together with a different one, the other at its floor."""
        assert self.sharing is not None
        own = self.floors[view.index].degrees[view.layer]
        theirs = self.floors[other.index].degrees[other.layer]
        times = [v.network.layers[v.layer].degrees[d].wcet_ns
                 for v, d in ((view, own), (other, theirs))]  # fmt: skip
        time = self.sharing.corun_ns(times)
        limit = min(self._limits[view.index], self._limits[other.index])
        if time < sum(times) and time <= limit and self._bears([view, other], time):
            return [(other, theirs)], own, time
        return [], *self._alone(view)
