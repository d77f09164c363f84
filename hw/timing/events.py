"""What the cycle model's units share: events in order of time, one DRAM, tokens.

The DRAM is one server for both directions that takes bursts in order of arrival. Invariant: a
completion is counted when its time has come, never before.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from heterolith.hw.geometry import Geometry
from heterolith.hw.program import Command, Compute, Load, Store

ADDRESS_CYCLES = 3
"""From a burst's issue to the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dram:
    """What the memory gives: bytes per cycle of both directions together, latency in cycles."""

    bytes_per_cycle: float
    latency_cycles: int = 100


class Clock:
    """Events in order of time; those of one time in the order they were asked for."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Call ``action`` at a time, at the earliest now."""
        self._count += 1
        heapq.heappush(self._events, (max(time, self.now), self._count, action))

    def run(self) -> None:
        """Advance until nothing is left to happen."""
        while self._events:
            self.now, _, action = heapq.heappop(self._events)
            action()


class Server:
    """The DRAM: one server for both directions, and the order of the read channel."""

    def __init__(self, clock: Clock, dram: Dram, lanes: int) -> None:
        self.clock, self.latency = clock, dram.latency_cycles
        self.beat_cycles = max(lanes / dram.bytes_per_cycle, 1e-3)
        self.free = 0.0
        self.read_end = 0.0
        self.reads = 0

    def serve(self, beats: int) -> float:
        """Occupy the server; returns when the transfer starts."""
        start = max(self.free, self.clock.now)
        self.free = start + beats * self.beat_cycles
        return start

    def read(self, beats: int) -> float:
        """Issue a read burst; returns when its last beat arrives."""
        begin = self.serve(beats) + ADDRESS_CYCLES + self.latency
        self.read_end = max(begin + beats * max(self.beat_cycles, 1.0), self.read_end + beats)
        self.reads += 1
        return self.read_end


class State:
    """Commands, tokens and completions of one run."""

    def __init__(self, commands: Sequence[Command], geometry: Geometry, dram: Dram) -> None:
        self.commands, self.geometry = commands, geometry
        self.clock = Clock()
        self.memory = Server(self.clock, dram, geometry.lanes)
        self.ends = [math.inf] * len(commands)
        self.done: dict[type[Command], int] = {Load: 0, Compute: 0, Store: 0}
        self.listeners: list[Callable[[], None]] = []

    def complete(self, index: int) -> None:
        """Count a completion and tell every listener, which may have waited for it."""
        self.ends[index] = self.clock.now
        self.done[type(self.commands[index])] += 1
        for listener in self.listeners:
            listener()

    def met(self, c: Command) -> bool:
        """Return whether the waits of a command are met."""
        return (
            self.done[Load] >= c.wait_load
            and self.done[Compute] >= c.wait_compute
            and self.done[Store] >= c.wait_store
        )
