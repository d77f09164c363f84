"""The base of all adaptive policies: what a job has chosen, what it has answered, and the books.

A policy decides four things, each when a real system could: the operating point once per instant,
the degree of a block right before it starts, whether to go on at an exit, and who goes first. It
sees the confidence of exits that were reached, never whether they were right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Any

from heterolith.scheduler.adaptive.model import AdaptiveTask, Board, KnobNetwork, Scenario
from heterolith.scheduler.realtime import Piece, Policy
from heterolith.scheduler.realtime.simulate import Job, Machine
from heterolith.scheduler.realtime.stats import Responses


class JobView:
    """What a policy knows of one job; `data` is the policy's own."""

    __slots__ = (
        "answer", "answer_ns", "confidences", "data", "degrees", "ended", "image", "index", "job",
        "network", "task",
    )  # fmt: skip

    def __init__(self, task: AdaptiveTask, index: int, job: Job, image: int) -> None:
        self.task, self.index, self.job, self.image = task, index, job, image
        self.network: KnobNetwork = task.network
        self.degrees: list[int] = []
        """Degree of each block that has started."""
        self.confidences: list[float] = []
        """Confidence of each exit that was reached; its length is the depth."""
        self.answer = -1
        """The last exit reached by the deadline; -1 if none."""
        self.answer_ns = 0
        self.ended = False
        self.data: Any = None

    @property
    def layer(self) -> int:
        """The next block, or the one that runs."""
        return self.job.index

    @property
    def depth(self) -> int:
        """Number of exits reached."""
        return len(self.confidences)


@dataclass(slots=True)
class _Books:
    """Counts over all jobs that have ended."""

    jobs: int = 0
    misses: int = 0
    hard_misses: int = 0
    dropped: int = 0
    right: int = 0
    judged: int = 0
    answered: int = 0
    answered_judged: int = 0
    depth: int = 0
    loss: float = 0.0


class AdaptivePolicy(Policy):
    """EDF at the reference point with exact networks to the end; subclasses turn the knobs."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.board: Board = scenario.board
        self.live: list[JobView | None] = [None] * len(scenario.tasks)
        """The job that each task is busy with; jobs of a task run one after the other."""
        self.books = _Books()
        self.responses = Responses()
        self._numbers = {task.name: i for i, task in enumerate(scenario.tasks)}
        self._count = [0] * len(scenario.tasks)
        rng = Random(f"{scenario.seed} image")
        self._first = [rng.randrange(10**9) for _ in scenario.tasks]
        self._drawn = [deadlines(task, scenario.seed, i) for i, task in enumerate(scenario.tasks)]
        self._pieces = [pieces(task.network) for task in scenario.tasks]
        self._expiry: list[tuple[int, int, JobView]] = []
        self._rows: dict[tuple[int, int, tuple[int, ...]], int] = {}

    # what subclasses override

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

    def key(self, job: Job, now_ns: int) -> int:
        """Return the absolute deadline: EDF."""
        del now_ns
        return job.deadline_ns

    # the simulator's hooks

    def view(self, job: Job) -> JobView:
        """Return the view of a job."""
        assert isinstance(job.data, JobView)
        return job.data

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
        view = self.view(job)
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
        view = self.view(job)
        if job.index - 1 == view.network.exits[view.depth]:
            self._reach(view, machine.now_ns)
            if machine.now_ns >= job.deadline_ns or not self.goes_on(view, machine):
                machine.reroute(job, ())
        elif machine.now_ns >= job.deadline_ns:
            machine.drop(job)

    def on_complete(self, machine: Machine, job: Job) -> None:  # noqa: D102 - as in Policy
        view = self.view(job)
        if job.index == len(view.network.layers) and view.depth < len(view.network.exits):
            self._reach(view, machine.now_ns)
        view.ended = True
        self.live[view.index] = None
        self._book(view)
        self.ended(view, machine)

    def _reach(self, view: JobView, now_ns: int) -> None:
        exit_, trace = view.depth, view.network.trace
        confidence = 1.0
        if trace is not None:
            confidence = float(trace.confidence[self._row(view, exit_), view.image, exit_])
        view.confidences.append(confidence)
        if now_ns <= view.job.deadline_ns:
            view.answer, view.answer_ns = exit_, now_ns

    def _row(self, view: JobView, exit_: int) -> int:
        network = view.network
        chosen = tuple(view.degrees[: network.exits[exit_] + 1])
        key = (view.index, exit_, chosen)
        if key not in self._rows:
            assert network.trace is not None
            names = [
                layer.degrees[d].name for layer, d in zip(network.layers, chosen, strict=False)
            ]
            self._rows[key] = network.trace.row(names, exit_)
        return self._rows[key]

    def _book(self, view: JobView) -> None:
        books, trace, answered = self.books, view.network.trace, view.answer >= 0
        books.jobs += 1
        if answered:
            books.answered += 1
            books.depth += view.answer + 1
            ran = zip(view.network.layers, view.degrees, strict=False)
            books.loss += sum(layer.degrees[d].loss for layer, d in ran)
            self.responses.add(view.answer_ns - view.job.release_ns)
        else:
            books.misses += 1
            books.hard_misses += view.task.hard
            books.dropped += not view.degrees
        if trace is not None:
            books.judged += 1
            if answered:
                row = self._row(view, view.answer)
                books.answered_judged += 1
                books.right += bool(trace.correct[row, view.image, view.answer])

    def close(self, horizon_ns: int) -> None:
        """Book the jobs that are unfinished though their deadline has passed."""
        for view in self.live:
            if view is not None and view.job.deadline_ns < horizon_ns:
                self._book(view)


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
