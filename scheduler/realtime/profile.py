"""Layer times of a network on every resource, and what an assignment makes of them.

Times are worst cases in nanoseconds. Moving to another resource costs the transfer and conversion
of the tensor between two layers; it is part of the entered layer's piece, or a piece of its own on
a link.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heterolith.errors import InputError
from heterolith.scheduler.realtime.tasks import Piece, Task

Assignment = tuple[int, ...]
"""Resource index per layer."""
Step = tuple[int, int, int, str]
"""A piece: resource, WCET and BCET in ns, name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTimes:
    """WCETs of one network.

    Attributes
    ----------
    layers
        Per layer and resource the WCET in ns, None where the resource cannot compute the layer.
    enter_ns
        ``enter_ns[l][a][b]``: cost of entering layer ``l`` on ``b`` when its input is on ``a``.
        Row 0 is the network's input and is not charged.
    best_ppm
        BCET as a share of the WCET, in parts per million.
    memory_ppm
        Time in memory of a layer run alone, as a share of its WCET; matters where resources share
        a DRAM (`contention`).
    """

    name: str
    layers: tuple[tuple[int | None, ...], ...]
    enter_ns: tuple[tuple[tuple[int, ...], ...], ...]
    best_ppm: int = 1_000_000
    source: str = ""
    memory_ppm: int = 1_000_000

    def __post_init__(self) -> None:
        width = {len(row) for row in self.layers}
        if len(width) != 1 or len(self.enter_ns) != len(self.layers):
            raise InputError(
                f"network {self.name!r}: {len(self.layers)} layers need one time per resource and "
                f"one row of transfer costs each; there are {len(self.enter_ns)} rows"
            )
        for index, row in enumerate(self.layers):
            if all(time is None for time in row):
                raise InputError(f"network {self.name!r}: no resource computes layer {index}")
            if any(time is not None and time < 1 for time in row):
                raise InputError(f"network {self.name!r}, layer {index}: times must be above 0 ns")
        if not 0 < self.best_ppm <= 1_000_000:
            raise InputError(f"best_ppm is {self.best_ppm}; it must be in 1..1000000")
        if not 0 <= self.memory_ppm <= 1_000_000:
            raise InputError(f"memory_ppm is {self.memory_ppm}; it must be in 0..1000000")

    @property
    def resources(self) -> int:
        """Number of resources."""
        return len(self.layers[0])

    def preferable(self) -> Assignment:
        """Return each layer's fastest resource, transfers ignored."""
        return tuple(self._fastest(index) for index in range(len(self.layers)))

    def alone(self, resource: int) -> Assignment:
        """Return all layers on one resource; what it cannot compute goes to the fastest other."""
        return tuple(
            self._fastest(index) if row[resource] is None else resource
            for index, row in enumerate(self.layers)
        )

    def _fastest(self, layer: int) -> int:
        times = [(time, r) for r, time in enumerate(self.layers[layer]) if time is not None]
        return min(times)[1]

    def pieces(self, assignment: Assignment, link: int | None = None) -> tuple[Piece, ...]:
        """Return the pieces of one job.

        Parameters
        ----------
        assignment
            Resource per layer.
        link
            Resource that carries transfers; without one the entered resource does.

        Raises
        ------
        InputError
            If a layer is assigned to a resource that cannot compute it.
        """
        return tuple(
            Piece(resource=resource, wcet_ns=worst, bcet_ns=best, name=name)
            for resource, worst, best, name in self.steps(assignment, link)
        )

    def steps(self, assignment: Assignment, link: int | None = None) -> list[Step]:
        """Return what `pieces` is made of, without its checks: what a search evaluates."""
        made: list[Step] = []
        for index, resource in enumerate(assignment):
            time = self.layers[index][resource]
            if time is None:
                raise InputError(
                    f"network {self.name!r}: resource {resource} cannot compute layer {index}"
                )
            move = self.enter_ns[index][assignment[index - 1]][resource] if index else 0
            if move and link is not None:
                made.append((link, move, self._best(move), f"to {index}"))
                move = 0
            time += move
            made.append((resource, time, self._best(time), str(index)))
        return made

    def _best(self, wcet_ns: int) -> int:
        return wcet_ns * self.best_ppm // 1_000_000 or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTask:
    """A network with its period and deadline, not yet bound to resources."""

    name: str
    network: NetworkTimes
    period_ns: int
    deadline_ns: int
    priority: int

    def bind(self, assignment: Assignment, link: int | None = None) -> Task:
        """Return the task under an assignment."""
        return Task(
            name=self.name,
            period_ns=self.period_ns,
            deadline_ns=self.deadline_ns,
            priority=self.priority,
            pieces=self.network.pieces(assignment, link),
        )


def check_tasks(tasks: Sequence[NetworkTask]) -> None:
    """Refuse tasks that differ in their number of resources, share a priority, or are none.

    Raises
    ------
    InputError
        With the first conflict.
    """
    if not tasks:
        raise InputError("there are no tasks to allocate; give at least one")
    if len({task.network.resources for task in tasks}) > 1:
        raise InputError("networks of one task set must give times for the same resources")
    priorities = [task.priority for task in tasks]
    if len(set(priorities)) < len(priorities):
        raise InputError("two tasks share a priority; allocation needs distinct ones")
