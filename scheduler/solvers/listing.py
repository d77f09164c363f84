"""List scheduling: an order of dispatch for given choices, the earliest start first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heterolith.scheduler.problem import HOME, Problem
from heterolith.scheduler.timeline import Replay, chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An order of dispatch and what it leads to; energy is dynamic."""

    order: tuple[int, ...]
    latency_ns: int
    energy_pj: int
    finish_ns: tuple[int, ...]


class Lister:
    """The graph of a problem, made ready to order its tasks many times."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        producers = [
            {problem.tensors[t].producer for t in task.inputs} - {HOME} for task in problem.tasks
        ]
        self.waits = [len(made) for made in producers]
        self.readers: list[list[int]] = [[] for _ in problem.tasks]
        for index, made in enumerate(producers):
            for maker in made:
                self.readers[maker].append(index)
        self.makers = [sorted(made) for made in producers]
        self.member_of = [-1] * len(problem.tasks)
        for row, member in enumerate(problem.members):
            for task in member.tasks:
                self.member_of[task] = row
        self.sent: dict[int, list[int]] = {}
        for tensor in problem.outputs:
            producer = problem.tensors[tensor].producer
            if producer != HOME:
                self.sent.setdefault(producer, []).append(tensor)

    def travel_ns(self, tensor: int, origin: int, target: int) -> int:
        """Return the time of a transfer with all links free."""
        if origin == target:
            return 0
        route = self.problem.tensors[tensor].routes.get((origin, target), ())
        return sum(hop.latency_ns for hop in route)

    def ranks_ns(self, selection: Sequence[int]) -> list[int]:
        """Return, per task, the longest path from its start to the end of everything."""
        problem = self.problem
        choices = chosen(problem, selection)
        ranks = [0] * len(choices)
        for index in range(len(choices) - 1, -1, -1):
            device, tail = choices[index].device, 0
            for tensor in self.sent.get(index, ()):
                tail = max(tail, self.travel_ns(tensor, device, problem.home))
            for reader in self.readers[index]:
                shared = set(problem.tasks[reader].inputs) & set(problem.tasks[index].outputs)
                way = max(self.travel_ns(t, device, choices[reader].device) for t in shared)
                tail = max(tail, way + ranks[reader])
            ranks[index] = choices[index].latency_ns + tail
        return ranks

    def run(self, selection: Sequence[int], ranks: Sequence[float]) -> Draft:
        """Dispatch the tasks, the earliest start first; of equal starts the highest rank first.

        Raises
        ------
        UnreachableError
            If a tensor cannot travel to where it is needed.
        """
        problem = self.problem
        choices = chosen(problem, selection)
        replay = Replay(problem)
        replay.lasts = {}  # members are delivered below: their last task is not known beforehand
        left = [len(member.tasks) for member in problem.members]
        finish = [0] * len(left)
        waits = self.waits.copy()
        ready = {index for index, count in enumerate(waits) if not count}
        order: list[int] = []
        while ready:
            best, start_ns, rank = -1, 0, 0.0
            for index in ready:
                own_ns = self._start(replay, index, choices[index].device)
                if best < 0 or own_ns < start_ns or (own_ns == start_ns and ranks[index] > rank):
                    best, start_ns, rank = index, own_ns, ranks[index]
            ready.remove(best)
            replay.dispatch(best, choices[best])
            order.append(best)
            member = self.member_of[best]
            if member >= 0:
                left[member] -= 1
                finish[member] = max(finish[member], replay.spans[-1][1])
                if not left[member]:
                    outputs = problem.members[member].outputs
                    finish[member] = max(
                        finish[member], *(replay.fetch(t, problem.home) for t in outputs), 0
                    )
            for reader in self.readers[best]:
                waits[reader] -= 1
                if not waits[reader]:
                    ready.add(reader)
        return Draft(
            order=tuple(order),
            latency_ns=replay.finish(),
            energy_pj=replay.energy_pj,
            finish_ns=tuple(finish),
        )

    def _start(self, replay: Replay, index: int, device: int) -> int:
        """Return when a task could start on a device if it were dispatched next."""
        start_ns = replay.device_ns[device]
        for tensor in self.problem.tasks[index].inputs:
            places = replay.at[tensor]
            arrival_ns = places.get(device)
            if arrival_ns is None:
                origin, arrival_ns = next(iter(places.items()))
                for hop in self.problem.tensors[tensor].routes.get((origin, device), ()):
                    arrival_ns = max(arrival_ns, replay.link_ns[hop.link]) + hop.latency_ns
            if arrival_ns > start_ns:
                start_ns = arrival_ns
        return start_ns
