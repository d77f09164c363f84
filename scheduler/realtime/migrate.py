"""LaLaRAND's migration at run time: an idle resource takes over a waiting layer.

A reconstruction from the development snapshots of LaLaRAND (Kang et al., RTSS 2021). When resource
``To`` has nothing to do, every layer that waits on another resource ``From`` is looked at, with
``slack = deadline - now - work left at its planned places``. It may move if

1. ``slack > c(To) - c(From)``: the job can afford it;
2. ``W + c(From) > B + X + c(To)``: it ends earlier than by waiting;
3. ``L > B + X + c(To)``: it is back before From would have been free for it;

where W is the time until From would reach it (what runs, and what is more urgent, with the
consecutive layers that follow there), L the same up to the next change of resource of what runs,
X the transfer to To and back, and B the longest layer on From of another task. The job with the
least slack moves. The move may delay tasks on To beyond their bounds, so a guarantee does not carry
over: this policy is for tasks without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from heterolith.scheduler.realtime.policies import FixedPriority
from heterolith.scheduler.realtime.profile import Assignment, NetworkTask
from heterolith.scheduler.realtime.simulate import Job, Machine


class Migration(FixedPriority):
    """Fixed priorities with LaLaRAND's migration of waiting layers.

    Parameters
    ----------
    tasks
        The tasks of the simulated set, by name; pieces must be layers (no chunks, no link).
    assignments
        Their planned resources, by name.
    """

    def __init__(
        self, tasks: Mapping[str, NetworkTask], assignments: Mapping[str, Assignment]
    ) -> None:
        self._tasks, self._planned = tasks, assignments
        self._longest: dict[tuple[str, int], int] = {}
        self.moves = 0

    def on_idle(self, machine: Machine, resource: int) -> None:
        """Move the waiting layer with the least slack for which all three conditions hold."""
        best: tuple[int, Job] | None = None
        for origin in range(len(machine.running)):
            if origin == resource:
                continue
            for job in machine.waiting(origin):
                slack = self._slack(machine, job, origin, resource)
                if slack is not None and (best is None or slack < best[0]):
                    best = (slack, job)
        if best is not None:
            self._move(machine, best[1], resource)

    def _cost(self, job: Job, resource: int) -> int | None:
        return self._tasks[job.task.name].network.layers[job.index][resource]

    def _slack(self, machine: Machine, job: Job, origin: int, target: int) -> int | None:
        """Return the slack of a job if it may move, else None."""
        here, there = self._cost(job, origin), self._cost(job, target)
        if here is None or there is None:
            return None
        slack = job.deadline_ns - machine.now_ns - job.remaining_ns
        if slack <= there - here:
            return None
        network, index = self._tasks[job.task.name].network, job.index
        before = self._planned[job.task.name][index - 1] if index else target
        back = max((table[target][origin] for table in network.enter_ns[index + 1 :]), default=0)
        away = (network.enter_ns[index][before][target] if index else 0) + back
        cost = self._blocking(job.task.name, origin) + away + there
        near, whole = self._wait(machine, job, origin)
        return slack if whole + here > cost and near > cost else None

    def _blocking(self, name: str, resource: int) -> int:
        """Return the longest layer of another task that is planned on a resource."""
        key = (name, resource)
        if key not in self._longest:
            self._longest[key] = max(
                (
                    layer[resource] or 0
                    for other, task in self._tasks.items()
                    if other != name
                    for layer, place in zip(task.network.layers, self._planned[other], strict=True)
                    if place == resource
                ),
                default=0,
            )
        return self._longest[key]

    @staticmethod
    def _wait(machine: Machine, job: Job, origin: int) -> tuple[int, int]:
        """Return how long what runs keeps the resource, and with what is more urgent."""

        def run(other: Job, begin: int) -> int:
            total = 0
            for piece in other.pieces[begin:]:
                if piece.resource != origin:
                    break
                total += piece.wcet_ns
            return total

        running = machine.running[origin]
        near = 0
        if running is not None:
            near = machine.left_ns(origin)
            if running.task.priority < job.task.priority:
                near += run(running, running.index + 1)
        ahead = [
            run(other, other.index)
            for other in machine.waiting(origin)
            if other.task.priority < job.task.priority
        ]
        return near, near + sum(ahead)

    def _move(self, machine: Machine, job: Job, resource: int) -> None:
        name, index = job.task.name, job.index
        planned = self._planned[name]
        trial = (*planned[:index], resource, *planned[index + 1 :])
        moved = self._tasks[name].network.pieces(trial)[index : index + 2]
        kept = job.pieces[index + len(moved) :]
        machine.reroute(job, (*(replace(piece, name=f"{piece.name}*") for piece in moved), *kept))
        self.moves += 1
