"""Several networks as one problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from heterolith.errors import InputError
from heterolith.scheduler.problem import HOME, Limits, Member, Problem, Task, Tensor

SHARED = (
    "devices",
    "links",
    "memories",
    "memory_of",
    "memory_capacity_bytes",
    "home",
    "idle_mw",
    "domains",
)
"""What the problems must agree on: the platform."""


def together(
    problems: Sequence[Problem],
    *,
    objective: str = "energy",
    limits: Limits | None = None,
    deadlines_ns: Sequence[int | None] = (),
) -> Problem:
    """Return one problem of several networks that start together and share the platform.

    Parameters
    ----------
    deadlines_ns
        Of each network; by default none has its own.

    Raises
    ------
    InputError
        If the problems are not of one platform.
    """
    if not problems:
        raise InputError("no network given; name at least one")
    first = problems[0]
    for other in problems[1:]:
        for name in SHARED:
            if getattr(other, name) != getattr(first, name):
                raise InputError(f"{first.name!r} and {other.name!r} differ in {name}")
    tasks: list[Task] = []
    tensors: list[Tensor] = []
    members: list[Member] = []
    for row, problem in enumerate(problems):
        base, start = len(tensors), len(tasks)
        name = f"{row}:{problem.name}"
        tasks += [_task(task, row, base) for task in problem.tasks]
        tensors += [_tensor(tensor, row, start) for tensor in problem.tensors]
        members.append(
            Member(
                name=name,
                tasks=tuple(range(start, len(tasks))),
                outputs=tuple(base + tensor for tensor in problem.outputs),
                deadline_ns=deadlines_ns[row] if deadlines_ns else None,
            )
        )
    return replace(
        first,
        name="+".join(problem.name for problem in problems),
        tasks=tuple(tasks),
        tensors=tuple(tensors),
        outputs=tuple(tensor for member in members for tensor in member.outputs),
        activation_bytes=sum(problem.activation_bytes for problem in problems),
        objective=objective,
        limits=limits or Limits(),
        members=tuple(members),
    )


def _task(task: Task, row: int, base: int) -> Task:
    """Return a task of network ``row`` whose tensors are counted from ``base``."""
    return replace(
        task,
        name=f"{row}:{task.name}",
        inputs=tuple(base + tensor for tensor in task.inputs),
        outputs=tuple(base + tensor for tensor in task.outputs),
    )


def _tensor(tensor: Tensor, row: int, start: int) -> Tensor:
    """Return a tensor of network ``row`` whose tasks are counted from ``start``."""
    producer = tensor.producer if tensor.producer == HOME else start + tensor.producer
    return replace(tensor, name=f"{row}:{tensor.name}", producer=producer)
