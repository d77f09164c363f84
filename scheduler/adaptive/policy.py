"""The base of all adaptive policies: what they decide, and how that reaches the simulator.

A policy decides four things, each when a real system could: the operating point once per instant,
the degree of a block right before it starts, whether to go on at an exit, and who goes first. It
sees the confidence of exits that were reached, never whether they were right.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush
from random import Random

from heterolith.scheduler.adaptive.books import Books, JobView, view_of
from heterolith.scheduler.adaptive.model import AdaptiveTask, Board, KnobNetwork, Scenario
from heterolith.scheduler.realtime import Piece, Policy
from heterolith.scheduler.realtime.simulate import Job, Machine


class Knobs:
    """What a policy may decide; as it stands, exact networks to the end at the reference point."""

    def admit(self, view: JobView, machine: Machine) -> bool:
        """Say whether to take a job that arrives; one that is not taken is dropped and missed."""
        del view, machine
        return True

    def degree(self, view: JobView, machine: Machine) -> int:
        """Return the degree of the block `view.layer`, which starts now."""
        del view, machine
        return 0

    def goes_on(self, view: JobView, machine: Machine) -> bool:
        """Say whether a job that has reached an exit, not the last, computes on."""
        del view, machine
        return True

    def point(self, machine: Machine) -> int | None:
        """Return the board's operating point from now on; None keeps it."""
        del machine
        return None

    def ended(self, view: JobView, machine: Machine) -> None:
        """Act after a job has ended, for whatever reason."""


class AdaptivePolicy(Knobs, Policy):
    """EDF at the reference point with exact networks to the end; subclasses turn the knobs."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.board: Board = scenario.board
        self.live: list[JobView | None] = [None] * len(scenario.tasks)
        """The job that each task is busy with; jobs of a task run one after the other."""
        self.books = Books()
        self._numbers = {task.name: i for i, task in enumerate(scenario.tasks)}
        self._count = [0] * len(scenario.tasks)
        rng = Random(f"{scenario.seed} image")
        self._first = [rng.randrange(10**9) for _ in scenario.tasks]
        self._drawn = [deadlines(task, scenario.seed, i) for i, task in enumerate(scenario.tasks)]
        self._pieces = [pieces(task.network) for task in scenario.tasks]
        self._expiry: list[tuple[int, int, JobView]] = []

    def key(self, job: Job, now_ns: int) -> int:
        """Return the absolute deadline: EDF."""
        del now_ns
        return job.deadline_ns

    def on_release(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        index = self._numbers[job.task.name]
        task = self.scenario.tasks[index]
        trace, number = task.network.trace, self._first[index] + self._count[index]
        self._count[index] += 1
        image = trace.held_out + number % (trace.images - trace.held_out) if trace else 0
        job.deadline_ns = job.release_ns + next(self._drawn[index])
        view = job.data = self.live[index] = JobView(task, index, job, image)
        heappush(self._expiry, (job.deadline_ns, index, view))
        if machine.now_ns >= job.deadline_ns or not self.admit(view, machine):
            machine.drop(job)

    def on_instant(self, machine: Machine) -> None:  # noqa: D102 - as in Policy
        while self._expiry and self._expiry[0][0] <= machine.now_ns:
            view = heappop(self._expiry)[2]
            if not view.ended and not machine.runs(view.job):
                machine.drop(view.job)
        point = self.point(machine)
        if point is not None:
            for resource in range(len(machine.points)):
                machine.set_point(resource, point)

    def on_start(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        view = view_of(job)
        self.begin(view, self.degree(view, machine))

    def begin(self, view: JobView, degree: int) -> None:
        """Fix the degree of the block that starts."""
        job, at = view.job, view.job.index
        view.degrees.append(degree)
        piece = self._pieces[view.index][at][degree]
        if piece is not job.pieces[at]:
            job.remaining_ns += piece.wcet_ns - job.pieces[at].wcet_ns
            job.pieces = (*job.pieces[:at], piece, *job.pieces[at + 1 :])

    def on_boundary(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        view = view_of(job)
        if job.index - 1 == view.network.exits[view.depth]:
            self.books.reach(view, machine.now_ns)
            if machine.now_ns >= job.deadline_ns or not self.goes_on(view, machine):
                machine.reroute(job, ())
        elif machine.now_ns >= job.deadline_ns:
            machine.drop(job)

    def on_complete(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        view = view_of(job)
        if job.index == len(view.network.layers) and view.depth < len(view.network.exits):
            self.books.reach(view, machine.now_ns)
        view.ended = True
        self.live[view.index] = None
        self.books.enter(view)
        self.ended(view, machine)


def pieces(network: KnobNetwork) -> tuple[tuple[Piece, ...], ...]:
    """Return the simulator's piece of every block in every degree."""
    return tuple(
        tuple(
            Piece(
                resource=layer.resource,
                kind=layer.kind,
                wcet_ns=degree.wcet_ns,
                bcet_ns=degree.bcet_ns,
                name=f"{layer.name}:{degree.name}",
            )
            for degree in layer.degrees
        )
        for layer in network.layers
    )


def deadlines(task: AdaptiveTask, seed: int, index: int) -> Iterator[int]:
    """Yield the relative deadline of each job; the same for every policy."""
    low, high = task.deadline_low_ns, task.deadline_ns
    rng = Random(f"{seed} deadline {index}")
    while True:
        yield high if low is None else rng.randint(low, high)
