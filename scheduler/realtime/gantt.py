"""A simulation as a picture: who runs on which resource, and each job with its deadline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heterolith.scheduler.gantt import COLORS, new_figure, png
from heterolith.scheduler.realtime.policies import Policy
from heterolith.scheduler.realtime.tasks import TaskSet

if TYPE_CHECKING:
    from heterolith.scheduler.dispatch import Trace
    from heterolith.scheduler.realtime.simulate import Job, Machine

JOBS = 1000
"""Most jobs that are remembered for a picture."""
MISSED = "#cc0000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A job that has ended, or was dropped: when it arrived, had to end, and ended."""

    task: str
    arrival_ns: int
    deadline_ns: int
    end_ns: int
    dropped: bool

    @property
    def missed(self) -> bool:
        """Whether it was dropped or ended late."""
        return self.dropped or self.end_ns > self.deadline_ns


class Watched(Policy):
    """Another policy, with the first jobs that end written down in `jobs`."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.jobs: list[Ran] = []

    def key(self, job: Job, now_ns: int) -> int:  # noqa: D102
        return self.policy.key(job, now_ns)

    def on_release(self, machine: Machine, job: Job) -> None:  # noqa: D102
        self.policy.on_release(machine, job)

    def on_boundary(self, machine: Machine, job: Job) -> None:  # noqa: D102
        self.policy.on_boundary(machine, job)

    def on_complete(self, machine: Machine, job: Job) -> None:  # noqa: D102
        if len(self.jobs) < JOBS:
            self.jobs.append(
                Ran(
                    task=job.task.name,
                    arrival_ns=job.release_ns,
                    deadline_ns=job.deadline_ns,
                    end_ns=machine.now_ns,
                    dropped=job.remaining_ns > 0,
                )
            )
        self.policy.on_complete(machine, job)

    def on_instant(self, machine: Machine) -> None:  # noqa: D102
        self.policy.on_instant(machine)

    def on_start(self, machine: Machine, job: Job) -> None:  # noqa: D102
        self.policy.on_start(machine, job)

    def on_idle(self, machine: Machine, resource: int) -> None:  # noqa: D102
        self.policy.on_idle(machine, resource)


def picture(taskset: TaskSet, trace: Trace, jobs: Sequence[Ran], title: str) -> bytes:
    """Return a PNG: a lane per resource, coloured by task, and a lane per task with its jobs.

    A job is a bar from its arrival to its end, red if it missed; its deadline is a mark below.

    Parameters
    ----------
    trace
        Pieces, named ``task/piece``; the picture ends with the last of them.
    jobs
        What `Watched` wrote down.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    color = {task.name: COLORS[i % len(COLORS)] for i, task in enumerate(taskset.tasks)}
    lanes = [r.name for r in taskset.resources] + [t.name for t in taskset.tasks]
    figure = new_figure(12, 1.8 + 0.45 * len(lanes))
    axes = figure.subplots()
    for lane, resource in enumerate(taskset.resources):
        ran = [event for event in trace.events if event.device == resource.name]
        axes.broken_barh(
            [(event.start_ns / 1e6, (event.end_ns - event.start_ns) / 1e6) for event in ran],
            (lane - 0.4, 0.8),
            facecolors=[color[event.name.rpartition("/")[0]] for event in ran],
            edgecolors="white",
            linewidth=0.3,
        )
    for lane, task in enumerate(taskset.tasks, len(taskset.resources)):
        own = [job for job in jobs if job.task == task.name and job.arrival_ns < trace.latency_ns]
        _draw_jobs(axes, lane, own, color[task.name])
    axes.axhline(len(taskset.resources) - 0.5, color="#888888", linewidth=0.6)
    axes.set_xlim(0, trace.latency_ns / 1e6 or 1.0)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.invert_yaxis()
    axes.set_xlabel("time (ms), simulated; bar: arrival to end of a job, red: missed; |: deadline")
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def _draw_jobs(axes: Any, lane: int, jobs: Sequence[Ran], color: str) -> None:  # noqa: ANN401
    axes.broken_barh(
        [(job.arrival_ns / 1e6, (job.end_ns - job.arrival_ns) / 1e6) for job in jobs],
        (lane - 0.2, 0.4),
        facecolors=[MISSED if job.missed else color for job in jobs],
        edgecolors="white",
        linewidth=0.3,
    )
    axes.plot(
        [job.deadline_ns / 1e6 for job in jobs],
        [lane] * len(jobs),
        linestyle="none", marker="|", markersize=14, color="black",
    )  # fmt: skip
