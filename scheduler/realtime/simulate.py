"""Discrete-event simulation of a task set on its resources.

All that happens at one instant (ends and releases) is taken in before a resource that is free
chooses, so a piece that ends and the request of the next one on the same resource are one event:
a less urgent task cannot slip in between. Jobs of one task run one after the other; responses and
deadlines count from the arrival, release jitter included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from random import Random

from heterolith.errors import InputError, unknown_name
from heterolith.scheduler.dispatch import Event, Trace
from heterolith.scheduler.realtime.arrivals import Arrival, Execution, periodic, worst
from heterolith.scheduler.realtime.policies import HOOKS, Policy
from heterolith.scheduler.realtime.stats import ResourceReport, Responses, Simulation, TaskReport
from heterolith.scheduler.realtime.tasks import Piece, Task, TaskSet, chunked

OVERRUNS = ("queue", "skip", "abort")
BACKLOG = 1000
"""Most jobs of one task that wait for an earlier one; further ones are dropped."""
_PPM = 1_000_000


class Job:
    """One run of a task; `data` belongs to the policy."""

    __slots__ = ("data", "deadline_ns", "index", "pieces", "release_ns", "remaining_ns", "task")

    def __init__(self, task: Task, release_ns: int) -> None:
        self.task, self.release_ns = task, release_ns
        self.deadline_ns = release_ns + task.deadline_ns
        self.pieces, self.index, self.remaining_ns = task.pieces, 0, task.wcet_ns
        self.data: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to simulate; every field has a default.

    `overrun` says what becomes of a job released while an earlier one of its task is unfinished:
    ``queue`` it, ``skip`` it, or ``abort`` unfinished jobs at the first boundary past their
    deadline. `trace_limit` is the number of pieces kept in the trace.
    """

    arrival: Arrival = periodic
    execution: Execution = worst
    seed: int = 0
    overrun: str = "queue"
    trace_limit: int = 0


class _TaskState:
    """What one task is doing, and the counts of its report."""

    __slots__ = (
        "active", "arrival_ns", "backlog", "draw", "dropped", "misses", "released", "responses",
        "rng", "times",
    )  # fmt: skip

    def __init__(self, task: Task, options: Options, index: int) -> None:
        self.rng = Random(f"{options.seed} a {index}")
        self.times: Iterator[int] = options.arrival(task, self.rng)
        self.arrival_ns = 0
        self.draw = options.execution(task, Random(f"{options.seed} x {index}"))
        self.active: Job | None = None
        self.backlog: deque[int] = deque()
        self.released = self.misses = self.dropped = 0
        self.responses = Responses()


class _Meter:
    """Time and energy of one resource; a piece keeps the power of the point it started at."""

    __slots__ = (
        "active_mw", "busy_ns", "end_ns", "energy_pj", "since_busy_ns", "since_ns", "switches",
    )  # fmt: skip

    def __init__(self) -> None:
        self.busy_ns = self.end_ns = self.energy_pj = self.since_busy_ns = self.since_ns = 0
        self.active_mw = self.switches = 0

    def settle(self, now_ns: int, idle_mw: int) -> None:
        """Account for the idle time since the last change of point."""
        ahead = max(0, self.end_ns - now_ns)
        idle = now_ns - self.since_ns - (self.since_busy_ns - ahead)
        self.energy_pj += idle * idle_mw
        self.since_ns, self.since_busy_ns = now_ns, ahead


class Machine:
    """The state that hooks see and may change."""

    def __init__(self, taskset: TaskSet, policy: Policy, options: Options) -> None:
        self.taskset, self.policy, self.options = taskset, policy, options
        self.now_ns = 0
        resources = taskset.resources
        self.running: list[Job | None] = [None] * len(resources)
        self.points = [0] * len(resources)
        self._ready: list[list[tuple[int, int, Job]]] = [[] for _ in resources]
        self._meters = [_Meter() for _ in resources]
        self._steady_ns = [0] * len(resources)
        self._riders: list[list[Job]] = [[] for _ in resources]
        self._index = {task.name: i for i, task in enumerate(taskset.tasks)}
        self._states = [_TaskState(task, options, i) for i, task in enumerate(taskset.tasks)]
        self._events: list[tuple[int, int]] = []
        self._trace: list[Event] = []
        self._pieces = 0
        overrides = {
            name: getattr(policy, name)
            for name in HOOKS
            if getattr(type(policy), name) is not getattr(Policy, name)
        }
        self._on_release = overrides.get("on_release")
        self._on_boundary = overrides.get("on_boundary")
        self._on_complete = overrides.get("on_complete")
        self._on_idle = overrides.get("on_idle")
        self._on_instant = overrides.get("on_instant")
        self._on_start = overrides.get("on_start")

    def waiting(self, resource: int) -> list[Job]:
        """Return the jobs that wait for a resource, most urgent first."""
        return [job for _, _, job in sorted(self._ready[resource], key=lambda item: item[:2])]

    def left_ns(self, resource: int) -> int:
        """Return how long what runs on a resource still takes."""
        return max(0, self._meters[resource].end_ns - self.now_ns)

    def reroute(self, job: Job, pieces: tuple[Piece, ...]) -> None:
        """Replace the pieces that a job still has to start.

        A waiting job is requested anew, on its new resource; an empty tuple ends the job early.
        """
        waiting = self._withdraw(job)
        started = job.pieces[: job.index + self.runs(job)]
        job.pieces = started + pieces
        job.remaining_ns = sum(piece.wcet_ns for piece in job.pieces[job.index :])
        if waiting:
            self._next(job)

    def drop(self, job: Job) -> None:
        """End a job that is not running; it counts as dropped and missed.

        Raises
        ------
        InputError
            If the job runs: a piece is never interrupted.
        """
        if self.runs(job):
            raise InputError(f"a job of {job.task.name!r} runs; drop it at a boundary")
        self._withdraw(job)
        job.pieces = job.pieces[: job.index]
        state = self._states[self._index[job.task.name]]
        state.dropped += 1
        state.misses += 1
        self._leave(job, state)

    def set_point(self, resource: int, point: int) -> None:
        """Change the point: what runs keeps its speed and power, the next waits out the switch."""
        entry = self.taskset.resources[resource]
        if not 0 <= point < len(entry.points):
            raise InputError(
                f"resource {entry.name!r} has no point {point}; it has {len(entry.points)}"
            )
        if point == self.points[resource]:
            return
        old = entry.points[self.points[resource]]
        meter = self._meters[resource]
        meter.settle(self.now_ns, old.idle_mw)
        meter.energy_pj += entry.switch_pj
        meter.switches += 1
        self.points[resource] = point
        self._steady_ns[resource] = self.now_ns + entry.switch_ns

    def ride(self, job: Job, resource: int) -> None:
        """Let a waiting job's next piece be computed along with the one about to start.

        Called from `on_start`, which also says what the shared piece takes.
        """
        self._withdraw(job)
        self._riders[resource].append(job)

    def runs(self, job: Job) -> bool:
        """Say whether a resource computes a piece of the job, alone or shared."""
        return job in self.running or any(job in riders for riders in self._riders)

    def _withdraw(self, job: Job) -> bool:
        for queue in self._ready:
            for at, item in enumerate(queue):
                if item[2] is job:
                    del queue[at]
                    heapify(queue)
                    return True
        return False

    def _next(self, job: Job) -> None:
        """Request the next piece of a job, or end the job."""
        if job.index < len(job.pieces):
            if self.options.overrun == "abort" and self.now_ns >= job.deadline_ns:
                self.drop(job)
                return
            resource = job.pieces[job.index].resource
            item = (self.policy.key(job, self.now_ns), self._index[job.task.name], job)
            heappush(self._ready[resource], item)
            return
        state = self._states[self._index[job.task.name]]
        state.responses.add(self.now_ns - job.release_ns)
        if self.now_ns > job.deadline_ns:
            state.misses += 1
        self._leave(job, state)

    def _leave(self, job: Job, state: _TaskState) -> None:
        state.active = None
        if self._on_complete is not None:
            self._on_complete(self, job)
        if state.backlog:
            self._begin(state, job.task, state.backlog.popleft())

    def _begin(self, state: _TaskState, task: Task, release_ns: int) -> None:
        job = state.active = Job(task, release_ns)
        if self._on_release is not None:
            self._on_release(self, job)
        if state.active is job:
            self._next(job)

    def _release(self, index: int) -> None:
        state, task = self._states[index], self.taskset.tasks[index]
        state.released += 1
        if state.active is None:
            self._begin(state, task, state.arrival_ns)
        elif self.options.overrun == "skip" or len(state.backlog) >= BACKLOG:
            state.dropped += 1
            state.misses += 1
        else:
            state.backlog.append(state.arrival_ns)
        self._schedule(index)

    def _schedule(self, index: int) -> None:
        state, task = self._states[index], self.taskset.tasks[index]
        time = next(state.times, None)
        if time is not None:
            state.arrival_ns = time
            jitter = state.rng.randrange(task.jitter_ns + 1) if task.jitter_ns else 0
            heappush(self._events, (time + jitter, len(self.running) + index))

    def _end(self, resource: int) -> None:
        job = self.running[resource]
        assert job is not None
        self.running[resource] = None
        riders = self._riders[resource]
        if riders:
            self._riders[resource] = []
        self._advance(job)
        for rider in riders:
            self._advance(rider)

    def _advance(self, job: Job) -> None:
        job.remaining_ns -= job.pieces[job.index].wcet_ns
        job.index += 1
        if self._on_boundary is not None and job.index < len(job.pieces):
            self._on_boundary(self, job)
            if self._states[self._index[job.task.name]].active is not job:
                return
        self._next(job)

    def _start(self, resource: int) -> None:
        _, index, job = heappop(self._ready[resource])
        if self._on_start is not None:
            self._on_start(self, job)
        piece = job.pieces[job.index]
        time = self._states[index].draw(piece)
        point = self.taskset.resources[resource].points[self.points[resource]]
        slowdown, active_mw = point.slowdown_ppm, point.active_mw
        if slowdown != _PPM:
            if isinstance(slowdown, tuple):
                slowdown = slowdown[piece.kind]
            time = -(-time * slowdown // _PPM)
        if isinstance(active_mw, tuple):
            active_mw = active_mw[piece.kind]
        if self._steady_ns[resource] > self.now_ns:
            time += self._steady_ns[resource] - self.now_ns
        meter = self._meters[resource]
        meter.active_mw = active_mw
        meter.energy_pj += time * active_mw
        end = self.now_ns + time
        meter.busy_ns += time
        meter.since_busy_ns += time
        meter.end_ns = end
        self.running[resource] = job
        self._pieces += 1
        heappush(self._events, (end, resource))
        if len(self._trace) < self.options.trace_limit:
            self._trace.append(
                Event(
                    name=f"{job.task.name}/{piece.name}",
                    kind="piece",
                    device=self.taskset.resources[resource].name,
                    start_ns=self.now_ns,
                    end_ns=end,
                )
            )

    def run(self, horizon_ns: int) -> Simulation:
        """Simulate until the horizon and report."""
        events, ready, running, count = self._events, self._ready, self.running, len(self.running)
        for index in range(len(self._states)):
            self._schedule(index)
        while events and events[0][0] < horizon_ns:
            now = self.now_ns = events[0][0]
            while events and events[0][0] == now:
                _, code = heappop(events)
                if code < count:
                    self._end(code)
                else:
                    self._release(code - count)
            if self._on_instant is not None:
                self._on_instant(self)
            for resource in range(count):
                if running[resource] is None:
                    if not ready[resource] and self._on_idle is not None:
                        self._on_idle(self, resource)
                    if ready[resource]:
                        self._start(resource)
        self.now_ns = horizon_ns
        return self._report(horizon_ns)

    def _report(self, horizon_ns: int) -> Simulation:
        resources = []
        for entry, point, meter in zip(
            self.taskset.resources, self.points, self._meters, strict=True
        ):
            meter.settle(horizon_ns, entry.points[point].idle_mw)
            beyond_ns = max(0, meter.end_ns - horizon_ns)
            resources.append(
                ResourceReport(
                    name=entry.name,
                    busy_ns=meter.busy_ns - beyond_ns,
                    energy_pj=meter.energy_pj - beyond_ns * meter.active_mw,
                    switches=meter.switches,
                )
            )
        return Simulation(
            horizon_ns=horizon_ns,
            pieces=self._pieces,
            tasks=tuple(map(self._task_report, self.taskset.tasks, self._states)),
            resources=tuple(resources),
            trace=Trace(events=tuple(self._trace), backends=()),
        )

    def _task_report(self, task: Task, state: _TaskState) -> TaskReport:
        releases = [*([state.active.release_ns] if state.active else []), *state.backlog]
        late = sum(release + task.deadline_ns <= self.now_ns for release in releases)
        count = state.responses.count
        return TaskReport(
            name=task.name,
            released=state.released,
            completed=count,
            misses=state.misses + late,
            dropped=state.dropped,
            open_jobs=len(releases) - late,
            response_max_ns=state.responses.largest,
            response_mean_ns=state.responses.total // count if count else 0,
            response_p99_ns=state.responses.quantile(0.99),
        )


def simulate(
    taskset: TaskSet, policy: Policy, horizon_ns: int, options: Options | None = None
) -> Simulation:
    """Simulate a task set under a policy until a horizon.

    Parameters
    ----------
    taskset
        Tasks and resources; pieces longer than a resource's `chunk_ns` are cut first.
    policy
        Who goes first; see `heterolith.scheduler.realtime.policies`.
    horizon_ns
        Simulated time, above 0.
    options
        Arrivals, execution times, seed, overrun rule, trace.

    Raises
    ------
    InputError
        If the horizon is not positive or the overrun rule unknown.
    """
    options = options or Options()
    if horizon_ns <= 0:
        raise InputError(f"horizon is {horizon_ns} ns; it must be above 0")
    if options.overrun not in OVERRUNS:
        raise unknown_name("overrun rule", options.overrun, OVERRUNS)
    return Machine(chunked(taskset), policy, options).run(horizon_ns)
