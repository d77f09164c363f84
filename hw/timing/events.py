"""What the cycle model's units share: events in order of time, one DRAM, tokens.

The DRAM is one server for both directions that takes bursts in order of arrival, a write when its
data are there. Invariant: a completion is counted when its time has come, never before.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from heterolith.errors import InputError
from heterolith.hw.geometry import Geometry
from heterolith.hw.program import Command, Compute, Load, Store

ADDRESS_CYCLES = 3
"""From a read burst's issue to the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dram:
    """What the memory gives: bytes per cycle of both directions together, latency in cycles."""

    bytes_per_cycle: float
    latency_cycles: int = 100


DRAM_LATENCY_CYCLES = 120
"""From a burst's address to its first beat in predictions and simulations. Assumed."""

DRAM_LIMIT = 64.0
"""Most bytes per cycle of the memory model; two AXI ports of 16 bytes take half of it."""


def dram_of(gigabytes_per_s: float, clock_mhz: float) -> Dram:
    """Return the memory behind an accelerator in cycles of its clock.

    Raises
    ------
    InputError
        If the bandwidth is not above 0.
    """
    if not gigabytes_per_s > 0:
        raise InputError(f"DRAM bandwidth is {gigabytes_per_s} GB/s; it must be above 0")
    rate = min(gigabytes_per_s * 1e3 / clock_mhz, DRAM_LIMIT)
    return Dram(bytes_per_cycle=rate, latency_cycles=DRAM_LATENCY_CYCLES)


class Clock:
    """Events in order of time; those of one time in the order they were asked for.

    ``events`` is a heap of (time, number, action).
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Call ``action`` at a time, at the earliest now."""
        self._count += 1
        heapq.heappush(self.events, (time if time > self.now else self.now, self._count, action))

    @property
    def next(self) -> float:
        """Time of the next event, infinite without one."""
        return self.events[0][0] if self.events else math.inf

    def run(self, between: Between) -> None:
        """Let all events happen, and what has a time of its own between them."""
        between.advance()
        while self.events:
            self.now, _, action = heapq.heappop(self.events)
            action()
            if between.due < self.next:
                between.advance()


class Between(Protocol):
    """What happens between events: ``advance`` goes up to the next one, ``due`` is when."""

    due: float

    def advance(self) -> None:
        """Do what is due before the next event."""


class Server:
    """The DRAM, and the data channel of reads."""

    def __init__(self, dram: Dram, lanes: int) -> None:
        self.latency = dram.latency_cycles
        self.delay = ADDRESS_CYCLES + dram.latency_cycles  # from a read's start to its data
        self.beat_cycles = max(lanes / dram.bytes_per_cycle, 1e-3)
        self.pace = max(self.beat_cycles, 1.0)  # of beats on the data channel
        self.free, self.read_end = 0.0, 0.0

    def write(self, now: float, beats: int) -> float:
        """Take a burst whose data are there; returns when its response is sent."""
        self.free = max(self.free, now) + beats * self.beat_cycles
        return self.free + self.latency

    def read(self, now: float, beats: int) -> float:
        """Take the address of a burst; returns when its last beat arrives."""
        begin = max(self.free, now)
        self.free = begin + beats * self.beat_cycles
        begin += self.delay
        self.read_end = max(begin + beats * self.pace, self.read_end + beats)
        return self.read_end


class State:
    """Commands, tokens and completions of one run."""

    def __init__(self, commands: Sequence[Command], geometry: Geometry, dram: Dram) -> None:
        self.commands, self.geometry = commands, geometry
        self.clock = Clock()
        self.memory = Server(dram, geometry.lanes)
        self.ends = [math.inf] * len(commands)
        self.done: dict[type[Command], int] = {Load: 0, Compute: 0, Store: 0}
        self.units: list[Unit] = []

    def complete(self, index: int) -> None:
        """Count a completion and tell the units, which may have waited for it."""
        self.ends[index] = self.clock.now
        self.done[type(self.commands[index])] += 1
        for unit in self.units:
            if unit.queue:
                unit.poke()

    def met(self, c: Command) -> bool:
        """Return whether the waits of a command are met."""
        done = self.done
        return (
            done[Load] >= c.wait_load
            and done[Compute] >= c.wait_compute
            and done[Store] >= c.wait_store
        )


class Unit:
    """A queue of commands, taken in order; ``freed`` is called when a full one has room."""

    def __init__(self, run: State) -> None:
        self.run, self.queue = run, deque[int]()
        self.freed: Callable[[], None] | None = None
        self.busy, self.beats = 0.0, 0
        self._woken = -1.0
        run.units.append(self)

    def wake(self, time: float) -> None:
        """Poke the unit at a time."""
        if time != self._woken:
            self._woken = time
            self.run.clock.at(time, self.poke)

    def put(self, index: int) -> None:
        """Take a command into the queue; the unit sees it a cycle later."""
        self.queue.append(index)
        self.wake(self.run.clock.now + 1)

    def take(self, now: float) -> int:
        """Take the first command from the queue."""
        index = self.queue.popleft()
        if self.freed is not None:
            self.run.clock.at(now + 1, self.freed)
            self.freed = None
        return index

    def poke(self) -> None:
        """Begin whatever may begin now."""
        raise AssertionError("a unit without work")
