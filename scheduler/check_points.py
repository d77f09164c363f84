"""The checker's part on operating points: where domains may change theirs, and what that takes.

Like `check` it shares no code with solver or timeline: cuts are found here once more, by looking at
every earlier task's descendants.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heterolith.scheduler.plan import Plan
from heterolith.scheduler.problem import HOME, Choice, Problem


def idle_before(problem: Problem) -> list[bool]:
    """Return, per task, whether everything is idle before it and nothing older is needed later.

    That is so if every tensor read from here on, and every output, was made by the task just
    before, all earlier tasks lead to it, and every task from here on has an input.
    """
    count = len(problem.tasks)
    ancestors: list[set[int]] = []
    for task in problem.tasks:
        makers = {problem.tensors[t].producer for t in task.inputs} - {HOME}
        ancestors.append(makers.union(*(ancestors[maker] for maker in makers)))
    flags = [True] + [False] * (count - 1)
    for index in range(1, count):
        later = problem.tasks[index:]
        read = {t for task in later for t in task.inputs} | set(problem.outputs)
        older = {problem.tensors[t].producer for t in read if problem.tensors[t].producer < index}
        flags[index] = (
            older <= {index - 1}
            and ancestors[index - 1] == set(range(index - 1))
            and all(task.inputs for task in later)
        )
    return flags


def segments(problem: Problem) -> Iterator[range]:
    """Yield the tasks between two cuts."""
    starts = [index for index, idle in enumerate(idle_before(problem)) if idle]
    for first, last in zip(starts, [*starts[1:], len(problem.tasks)], strict=True):
        yield range(first, last)


def needed_changes(
    problem: Problem, choices: Sequence[Choice]
) -> tuple[list[tuple[int, int, str, str]], str]:
    """Return the changes (task, domain, old, new) that choices need, and why they cannot be."""
    place = {d: row for row, domain in enumerate(problem.domains) for d in domain.devices}
    needed: list[tuple[int, int, str, str]] = []
    at: dict[int, str] = {}
    for tasks in segments(problem) if problem.domains else ():
        points: dict[int, set[str]] = {}
        for index in tasks:
            if choices[index].device in place:
                points.setdefault(place[choices[index].device], set()).add(choices[index].point)
        for row in sorted(points):
            domain = problem.domains[row]
            if len(points[row]) > 1:
                return [], f"domain {domain.name!r} is at several points at once"
            (point,) = points[row]
            if at.setdefault(row, point) != point:
                if domain.switch_ns is None:
                    return [], f"domain {domain.name!r} cannot switch"
                needed.append((tasks[0], row, at[row], point))
                at[row] = point
    return needed, ""


def check_changes(problem: Problem, plan: Plan, choices: Sequence[Choice]) -> Iterator[str]:
    """Check that the plan changes points where it must, one after another, and nowhere else."""
    needed, why = needed_changes(problem, choices)
    if why:
        yield why
        return
    expected = [
        (problem.domains[row].name, problem.tasks[task].name, old, new)
        for task, row, old, new in needed
    ]
    if [(c.domain, c.layer, c.origin, c.target) for c in plan.changes] != expected:
        yield "the changes of operating points are not those that the choices need"
        return
    layers = {row.layer: index for index, row in enumerate(plan.assignments)}
    for (_, row, *_), change in zip(needed, plan.changes, strict=True):
        domain, first = problem.domains[row], layers[change.layer]
        before = [other.end_ns for other in plan.assignments[:first]]
        before += [
            c.end_ns
            for c in plan.changes
            if c.layer == change.layer
            and c is not change
            and plan.changes.index(c) < plan.changes.index(change)
        ]
        cause = max(before, default=0)
        took = (change.start_ns, change.end_ns - change.start_ns, change.energy_pj)
        if took != (cause, domain.switch_ns, domain.switch_pj):
            yield f"the change of {change.domain!r} before {change.layer!r} is not as it must be"
