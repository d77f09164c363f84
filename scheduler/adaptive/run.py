"""Run a policy on its scenario: tasks for the simulator, and the row that comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from heterolith.errors import InputError, unknown_name
from heterolith.scheduler.adaptive.model import Scenario
from heterolith.scheduler.adaptive.policy import AdaptivePolicy, deadlines, pieces
from heterolith.scheduler.realtime import Options, Point, Resource, Task, TaskSet
from heterolith.scheduler.realtime.arrivals import (
    Arrival,
    extremes,
    periodic,
    sporadic,
    uniform,
    worst,
)
from heterolith.scheduler.realtime.simulate import Machine

EXECUTIONS = {"wcet": worst, "uniform": uniform, "extremes": extremes}
ARRIVALS = {"periodic": periodic, "sporadic": sporadic(0.5)}
BOARD = "(board)"
"""The resource without work that draws the idle power and pays for changes of the point."""


def arrivals(scenario: Scenario) -> Arrival:
    """Return the scenario's arrivals: a client asks again when its deadline is over."""
    index = {task.name: i for i, task in enumerate(scenario.tasks)}
    usual = ARRIVALS[scenario.arrival]

    def times(task: Task, rng: Random) -> Iterator[int]:
        adaptive = scenario.tasks[index[task.name]]
        if adaptive.deadline_low_ns is None:
            yield from usual(task, rng)
        now = task.offset_ns
        for relative in deadlines(adaptive, scenario.seed, index[task.name]):
            yield now
            now += relative

    return times


def taskset(scenario: Scenario) -> TaskSet:
    """Return tasks and resources for the simulator; the board itself is one more resource."""
    board = scenario.board
    work = tuple(
        Point(name=p.name, slowdown_ppm=p.slowdown_ppm, active_mw=p.active_mw) for p in board.points
    )
    idle = tuple(Point(name=p.name, idle_mw=p.idle_mw) for p in board.points)
    resources = [
        Resource(name=name, points=work, switch_ns=board.switch_ns) for name in board.resources
    ]
    tasks = tuple(
        Task(
            name=task.name,
            period_ns=task.deadline_low_ns or task.period_ns,
            deadline_ns=task.deadline_ns,
            offset_ns=task.offset_ns,
            pieces=tuple(options[0] for options in pieces(task.network)),
        )
        for task in scenario.tasks
    )
    return TaskSet(
        resources=(*resources, Resource(name=BOARD, points=idle, switch_pj=board.switch_pj)),
        tasks=tasks,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRow:
    """Outcome of one policy on one scenario; simulated.

    Attributes
    ----------
    jobs
        Ended jobs, and unfinished ones whose deadline is over.
    misses, hard_misses
        Jobs without an answer at their deadline; those of hard tasks among them.
    dropped
        Misses that never started.
    accuracy
        Share of right answers, a job without one counts as wrong; None without a trace.
    accuracy_of_answered
        Among the jobs that answered.
    energy_mj
        Of the whole board until the horizon, idle included.
    mean_depth
        Exits reached by an answered job.
    mean_loss
        Sum of the single-block losses of what an answered job ran, an estimate.
    """

    policy: str
    scenario: str
    jobs: int
    misses: int
    hard_misses: int
    dropped: int
    accuracy: float | None
    accuracy_of_answered: float | None
    energy_mj: float
    mean_depth: float
    mean_loss: float
    switches: int
    mean_ms: float
    p99_ms: float

    @property
    def miss_rate(self) -> float:
        """Misses per job."""
        return self.misses / self.jobs if self.jobs else 0.0


def evaluate(name: str, policy: AdaptivePolicy) -> PolicyRow:
    """Simulate a policy on its scenario.

    Raises
    ------
    InputError
        If execution or arrival are unknown, or the policy has run before.
    """
    scenario, books = policy.scenario, policy.books
    for what, value, known in (
        ("execution", scenario.execution, EXECUTIONS),
        ("arrival", scenario.arrival, ARRIVALS),
    ):
        if value not in known:
            raise unknown_name(what, value, known)
    if books.jobs:
        raise InputError(f"policy {name!r} has run already; make a new one")
    options = Options(
        arrival=arrivals(scenario), execution=EXECUTIONS[scenario.execution], seed=scenario.seed
    )
    result = Machine(taskset(scenario), policy, options).run(scenario.horizon_ns)
    for view in policy.live:  # unfinished though the deadline has passed
        if view is not None and view.job.deadline_ns < scenario.horizon_ns:
            books.enter(view)
    answered, responses = max(1, books.answered), books.responses
    return PolicyRow(
        policy=name,
        scenario=scenario.name,
        jobs=books.jobs,
        misses=books.misses,
        hard_misses=books.hard_misses,
        dropped=books.dropped,
        accuracy=books.right / books.judged if books.judged else None,
        accuracy_of_answered=(
            books.right / books.answered_judged if books.answered_judged else None
        ),
        energy_mj=result.energy_pj / 1e9,
        mean_depth=books.depth / answered,
        mean_loss=books.loss / answered,
        switches=result.resources[-1].switches,
        mean_ms=responses.total / max(1, responses.count) / 1e6,
        p99_ms=responses.quantile(0.99) / 1e6,
    )
