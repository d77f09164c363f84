"""What a policy knows of each job, and the books: what jobs answered, looked up in the traces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from heterolith.scheduler.adaptive.model import AdaptiveTask, KnobNetwork
from heterolith.scheduler.realtime.simulate import Job
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


def view_of(job: Job) -> JobView:
    """Return what the policy knows of a job."""
    assert isinstance(job.data, JobView)
    return job.data


@dataclass(slots=True)
class Books:
    """Counts over all jobs that have ended, and the response times of those that answered."""

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
    responses: Responses = field(default_factory=Responses)
    _rows: dict[tuple[int, int, tuple[int, ...]], int] = field(default_factory=dict)

    def reach(self, view: JobView, now_ns: int) -> None:
        """Note that a job has reached an exit: its confidence, and its answer if that is timely."""
        exit_, trace = view.depth, view.network.trace
        confidence = 1.0
        if trace is not None:
            confidence = float(trace.confidence[self._row(view, exit_), view.image, exit_])
        view.confidences.append(confidence)
        if now_ns <= view.job.deadline_ns:
            view.answer, view.answer_ns = exit_, now_ns

    def enter(self, view: JobView) -> None:
        """Count a job that has ended, or whose deadline is over."""
        trace, answered = view.network.trace, view.answer >= 0
        self.jobs += 1
        if answered:
            self.answered += 1
            self.depth += view.answer + 1
            ran = zip(view.network.layers, view.degrees, strict=False)
            self.loss += sum(layer.degrees[d].loss for layer, d in ran)
            self.responses.add(view.answer_ns - view.job.release_ns)
        else:
            self.misses += 1
            self.hard_misses += view.task.hard
            self.dropped += not view.degrees
        if trace is not None:
            self.judged += 1
            if answered:
                row = self._row(view, view.answer)
                self.answered_judged += 1
                self.right += bool(trace.correct[row, view.image, view.answer])

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
