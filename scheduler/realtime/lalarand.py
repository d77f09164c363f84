"""LaLaRAND: one resource per layer, chosen so that every response bound meets its deadline.

Kang et al., RTSS 2021; the search is a reconstruction. It starts from every one-resource-per-task
assignment, so it accepts whatever a coarser scheme accepts, and then moves blocks of layers while
that lowers the relative lateness ``F = sum max(0, (R - D) / D)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from heterolith.scheduler.realtime.baselines import all_on, dart_cut, preferable, task_level
from heterolith.scheduler.realtime.profile import Assignment, NetworkTask, check_tasks
from heterolith.scheduler.realtime.response import Load, blocks, bound, summary

BLOCKS = (1, 2, 4, 8)
REACH = 4
"""A response beyond this many periods counts as this many: how late no longer matters."""
SHORTLIST = 48
"""Moves tried first, by promise; the others only if none of these helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """The assignment found, in the order of the tasks, and how."""

    assignments: tuple[Assignment, ...]
    schedulable: bool
    lateness: float
    method: str
    evaluations: int


class Evaluator:
    """Lateness of assignments of one task set; remembers what it has summarised."""

    def __init__(self, tasks: Sequence[NetworkTask], link: int | None = None) -> None:
        check_tasks(tasks)
        self.tasks = tuple(tasks)
        self.order = sorted(range(len(tasks)), key=lambda i: tasks[i].priority)
        self.evaluations = 0
        self._link = link
        self._resources = max(tasks[0].network.resources, (link or 0) + 1)
        self._loads: list[dict[Assignment, Load]] = [{} for _ in tasks]
        self._values: dict[tuple[object, ...], int] = {}

    def loads(self, assignments: Sequence[Assignment]) -> list[Load]:
        """Return the loads, most urgent task first."""
        found = []
        for index in self.order:
            known = self._loads[index]
            assignment = assignments[index]
            if assignment not in known:
                task = self.tasks[index]
                steps = task.network.steps(assignment, self._link)
                known[assignment] = summary(
                    steps, self._resources, task.period_ns, task.deadline_ns
                )
            found.append(known[assignment])
        return found

    def lateness(self, assignments: Sequence[Assignment], stop: float) -> tuple[float, int | None]:
        """Return F, and the most urgent task (index) that is late; stop early at F >= `stop`."""
        self.evaluations += 1
        loads = self.loads(assignments)
        total, first = 0.0, None
        above: list[tuple[Load, int]] = []
        for rank, block in enumerate(blocks(loads)):
            own = loads[rank]
            value = self._value(own, above, block)
            if value > own.deadline_ns:
                total += (value - own.deadline_ns) / own.deadline_ns
                first = self.order[rank] if first is None else first
                if total >= stop:
                    break
            above.append((own, value))
        return total, first

    def _value(self, own: Load, above: list[tuple[Load, int]], block: tuple[int, ...]) -> int:
        """Return a task's bound, or the reach; the same question is answered once."""
        key = (id(own), block, *((id(load), value) for load, value in above))
        value = self._values.get(key)
        if value is None:
            best = bound(own, above, block, REACH)
            value = self._values[key] = best[0] if best else own.period_ns * REACH
        return value


def schedulable(tasks: Sequence[NetworkTask], assignments: Sequence[Assignment]) -> bool:
    """Whether fixed assignments meet every deadline by their response bounds."""
    return Evaluator(tasks).lateness(assignments, stop=1e-12)[1] is None


def allocate(
    tasks: Sequence[NetworkTask], *, link: int | None = None, evaluations: int = 20_000
) -> Allocation:
    """Choose a resource for every layer.

    Parameters
    ----------
    tasks
        Networks with periods, deadlines and distinct priorities.
    link
        Resource index that carries transfers; without one the entered resource does.
    evaluations
        Limit on assignments evaluated.

    Returns
    -------
    Allocation
        Schedulable if the search found an assignment whose bounds meet all deadlines; otherwise
        the least late one found. That none was found is no proof that there is none.

    Raises
    ------
    InputError
        If tasks disagree on resources or share priorities.
    """
    judge = Evaluator(tasks, link)
    count = tasks[0].network.resources
    seeds = task_level(tasks)
    extra = [preferable(tasks)]
    extra += [dart_cut(tasks, a, b) for a in range(count) for b in range(count) if a != b]
    ranked = []
    for number, assignments in enumerate([*seeds, *extra]):
        late, _ = judge.lateness(assignments, stop=float("inf"))
        method = "task-level" if number < len(seeds) else "cut or preferable"
        if late == 0:
            return _answer(judge, assignments, late, method)
        ranked.append((late, number, assignments))
    ranked.sort(key=lambda item: item[:2])
    starts = [assignments for _, _, assignments in ranked[:3]]
    starts += [all_on(tasks, r) for r in range(count)] + [extra[0]]
    best = (ranked[0][0], ranked[0][2])
    for start in dict.fromkeys(starts):
        late, assignments = _descend(judge, start, evaluations)
        best = min(best, (late, assignments), key=lambda item: item[0])
        if late == 0 or judge.evaluations >= evaluations:
            break
    return _answer(judge, best[1], best[0], "layer-level")


def _answer(
    judge: Evaluator, assignments: tuple[Assignment, ...], late: float, method: str
) -> Allocation:
    return Allocation(
        assignments=assignments,
        schedulable=late == 0,
        lateness=late,
        method=method,
        evaluations=judge.evaluations,
    )


def _descend(
    judge: Evaluator, start: tuple[Assignment, ...], limit: int
) -> tuple[float, tuple[Assignment, ...]]:
    now = start
    late, first = judge.lateness(now, stop=float("inf"))
    while first is not None and judge.evaluations < limit:
        moves = sorted(_moves(judge, now, first), key=lambda move: -move[0])
        found: tuple[float, int | None, tuple[Assignment, ...]] | None = None
        for number, (_, index, assignment) in enumerate(moves):
            if number >= SHORTLIST and found is not None:
                break
            trial = (*now[:index], assignment, *now[index + 1 :])
            value, culprit = judge.lateness(trial, stop=found[0] if found else late)
            if value < (found[0] if found else late):
                found = (value, culprit, trial)
                if value == 0:
                    break
        if found is None:
            break
        late, first, now = found
    return late, now


def _moves(
    judge: Evaluator, now: Sequence[Assignment], first: int
) -> Iterator[tuple[float, int, Assignment]]:
    """Yield moves of blocks of layers with their promise: time freed per time added.

    Only tasks that the late task waits for can help: itself, more urgent ones, and the less urgent
    ones, which block.
    """
    late = judge.tasks[first]
    for index, task in enumerate(judge.tasks):
        times, current = task.network.layers, now[index]
        jobs = 1 + (late.period_ns // task.period_ns if task.priority < late.priority else 0)
        for size in (*BLOCKS, len(current)):
            for begin in range(len(current) - size + 1):
                block = range(begin, begin + size)
                for target in range(task.network.resources):
                    if any(times[i][target] is None for i in block):
                        continue
                    moved = [i for i in block if current[i] != target]
                    if not moved:
                        continue
                    freed = sum(times[i][current[i]] or 0 for i in moved)
                    added = sum(times[i][target] or 0 for i in moved)
                    assignment = (*current[:begin], *([target] * size), *current[begin + size :])
                    yield freed * jobs / added, index, assignment


def with_speed(network: NetworkTask, resource: int, factor: float) -> NetworkTask:
    """Return the task with one resource `factor` times as fast: a declared sweep, not measured."""
    times = network.network
    layers = tuple(
        tuple(
            time if r != resource or time is None else max(1, round(time / factor))
            for r, time in enumerate(row)
        )
        for row in times.layers
    )
    return replace(network, network=replace(times, layers=layers))
