"""Where a problem falls apart into modules.

A cut after task c is allowed if (1) every tensor that is still needed was made by c, (2) every
earlier task is an ancestor of c, (3) every later task has an input. Then all devices and links are
idle when c ends, everything later starts at or after that instant, and what follows depends on
the past only through the device of c: the timeline from there on is merely shifted. Invariant:
modules cover the tasks in order, and the latency of a plan is the sum of the modules' latencies.
"""

from __future__ import annotations

from dataclasses import dataclass

from heterolith.scheduler.problem import HOME, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """Tasks ``first .. last - 1``, between two cuts.

    ``entries`` are the tensors needed here that exist before: the network inputs at home, or
    the outputs of task ``first - 1``. The final module also sends the network outputs home.
    """

    first: int
    last: int
    entries: tuple[int, ...]
    final: bool


def last_uses(problem: Problem) -> list[int]:
    """Return, per tensor, the last task that reads it; -1 if none, len(tasks) for an output."""
    uses = [-1] * len(problem.tensors)
    for index, task in enumerate(problem.tasks):
        for tensor in task.inputs:
            uses[tensor] = index
    for tensor in problem.outputs:
        uses[tensor] = len(problem.tasks)
    return uses


def split(problem: Problem) -> tuple[Module, ...]:
    """Return the modules of a problem; there is at least one."""
    count = len(problem.tasks)
    uses = last_uses(problem)
    sources = [index for index, task in enumerate(problem.tasks) if not task.inputs]
    last_source = max(sources, default=-1)
    live = {t for t, tensor in enumerate(problem.tensors) if tensor.producer == HOME}
    live = {tensor for tensor in live if uses[tensor] >= 0}
    modules = []
    first, entries = 0, tuple(sorted(live))
    leaves: set[int] = set()
    for index, task in enumerate(problem.tasks):
        leaves.difference_update(problem.tensors[tensor].producer for tensor in task.inputs)
        leaves.add(index)
        live.update(task.outputs)
        live = {tensor for tensor in live if uses[tensor] > index}
        made_here = all(problem.tensors[tensor].producer == index for tensor in live)
        # No leaf but this task: everything before has a reader, hence a path that ends here.
        if made_here and leaves == {index} and last_source <= index < count - 1:
            modules.append(Module(first=first, last=index + 1, entries=entries, final=False))
            first, entries = index + 1, tuple(sorted(live))
    modules.append(Module(first=first, last=count, entries=entries, final=True))
    return tuple(modules)
