"""Cycles of a command stream: three units, their waits, one DRAM, command by command.

A COMPUTE takes the cycles of ``hw/doc/accelerator.md``, section 5. LOADs and STOREs share the
DRAM's bytes per cycle evenly while both move data; each is bounded by its bus direction. A LOAD's
first beat comes one DRAM latency after its waits are met, or right behind the previous LOAD's last.
Model, not RTL: the constants below are start-up costs to be measured there.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from heterolith.hw.commands import Memory
from heterolith.hw.geometry import COMMAND_BYTES, Geometry
from heterolith.hw.hazards import row_beats
from heterolith.hw.program import Command, Compute, Load, Store

QUEUE_COMMANDS = 8
"""Depth of each unit's command queue."""

START_CYCLES = 10
"""From one COMPUTE's last step to the next one's first, when nothing is waited for."""

DRAIN_CYCLES = 24
"""From a COMPUTE's last step to its last write."""

FETCH_CYCLES = 5
"""Between two commands at the dispatcher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dram:
    """What the memory gives: bytes per cycle of both directions together, latency in cycles."""

    bytes_per_cycle: float
    latency_cycles: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Modelled cycles of a job; busy figures are those of the units."""

    cycles: int
    load_busy: int
    compute_busy: int
    store_busy: int
    read_bytes: int
    write_bytes: int
    completions: tuple[float, ...]


def compute_cycles(c: Compute, geometry: Geometry) -> int:
    """Return the cycles of a COMPUTE's steps."""
    pixels, rate = geometry.pixels, geometry.lanes // geometry.requantizers
    blocks = c.group_blocks(geometry)
    words = blocks * c.residual
    floor = max(pixels, 1 if c.partial else blocks * pixels * rate)
    groups = c.groups(geometry)
    if c.window == 1:
        return groups * -(-c.outputs // pixels) * max(c.steps + words, floor)
    first = max(c.k_rows * c.window + words, floor)
    later = max(c.k_rows * min(c.window, c.col_step) + words, floor)
    return groups * -(-c.rows // pixels) * (first + (c.cols - 1) * later)


def load_cycles(c: Load, geometry: Geometry) -> tuple[int, int]:
    """Return (beats read, words written) of a LOAD: it takes the longer of both."""
    beats = 0 if c.fill else c.blocks * c.rows * row_beats(c, geometry)
    if c.memory in (Memory.WEIGHT, Memory.PARAMETER):
        return beats, beats
    return beats, c.blocks * (c.top + c.rows + c.bottom) * (c.left + c.cols + c.right)


_END, _WAKE = 0, 1


class _Mover:
    """The data stream of the load or the store unit: commands in order, each with its demand."""

    def __init__(self) -> None:
        self.index = -1
        self.left = 0.0
        self.begin = 0.0


def simulate(commands: Sequence[Command], geometry: Geometry, dram: Dram) -> Run:
    """Return the modelled cycles of a job; see the module docstring."""
    return _Simulation(commands, geometry, dram).run()


class _Simulation:
    """State of one run; time advances from completion to completion."""

    def __init__(self, commands: Sequence[Command], geometry: Geometry, dram: Dram) -> None:
        self.commands, self.geometry, self.dram = commands, geometry, dram
        self.queues: dict[type[Command], list[int]] = {Load: [], Compute: [], Store: []}
        for index, command in enumerate(commands):
            self.queues[type(command)].append(index)
        self.position: dict[type[Command], int] = {Load: 0, Compute: 0, Store: 0}
        self.done: dict[type[Command], int] = {Load: 0, Compute: 0, Store: 0}
        self.ready = [0.0] * len(commands)
        self.ends: list[float] = [math.inf] * len(commands)
        self.dispatched = 0
        self.fetch_time = float(dram.latency_cycles)
        self.events: list[tuple[float, int, int]] = []
        self.movers = {Load: _Mover(), Store: _Mover()}
        self.compute_free = 0.0
        self.busy: dict[type[Command], float] = {Load: 0.0, Compute: 0.0, Store: 0.0}
        self.bytes: dict[type[Command], int] = {Load: 0, Compute: 0, Store: 0}
        self.now = 0.0

    def run(self) -> Run:
        """Advance until every command has completed."""
        while sum(self.done.values()) < len(self.commands):
            self._start_all()
            self._advance()
        cycles = max(self.ends, default=0.0)
        return Run(
            cycles=math.ceil(cycles),
            load_busy=math.ceil(self.busy[Load]),
            compute_busy=math.ceil(self.busy[Compute]),
            store_busy=math.ceil(self.busy[Store]),
            read_bytes=self.bytes[Load] + COMMAND_BYTES * len(self.commands),
            write_bytes=self.bytes[Store],
            completions=tuple(self.ends),
        )

    def _dispatch(self) -> None:
        while self.dispatched < len(self.commands):
            kind = type(self.commands[self.dispatched])
            queue = self.queues[kind]
            place = _place(queue, self.dispatched)
            if place - self.position[kind] >= QUEUE_COMMANDS:
                return
            self.fetch_time = max(self.fetch_time + FETCH_CYCLES, self.now)
            self.ready[self.dispatched] = self.fetch_time
            self.dispatched += 1

    def _may_start(self, kind: type[Command]) -> int:
        queue, place = self.queues[kind], self.position[kind]
        if place >= len(queue) or queue[place] >= self.dispatched:
            return -1
        c = self.commands[queue[place]]
        met = (
            self.done[Load] >= c.wait_load
            and self.done[Compute] >= c.wait_compute
            and self.done[Store] >= c.wait_store
        )
        return queue[place] if met else -1

    def _start_all(self) -> None:
        again = True
        while again:
            self._dispatch()
            again = False
            for kind in (Load, Compute, Store):
                index = self._may_start(kind)
                if index < 0 or self._occupied(kind):
                    continue
                self._start(kind, index)
                self.position[kind] += 1
                again = True

    def _occupied(self, kind: type[Command]) -> bool:
        if kind is Compute:
            return self.compute_free > self.now
        return self.movers[kind].index >= 0

    def _start(self, kind: type[Command], index: int) -> None:
        command, begin = self.commands[index], max(self.now, self.ready[index])
        if isinstance(command, Compute):
            cycles = compute_cycles(command, self.geometry)
            self.compute_free = begin + START_CYCLES + cycles
            self.busy[Compute] += cycles
            heapq.heappush(self.events, (self.compute_free, _WAKE, index))
            heapq.heappush(self.events, (self.compute_free + DRAIN_CYCLES, _END, index))
            return
        mover = self.movers[kind]
        mover.index = index
        if isinstance(command, Load):
            beats, words = load_cycles(command, self.geometry)
            # A LOAD that was ready while its predecessor still moved data hides its latency.
            eager = max(self._met(index), self.ready[index]) + self.dram.latency_cycles
            mover.begin = max(self.now, eager if beats else 0.0)
            mover.left = float(max(beats, words))
            self.bytes[Load] += beats * self.geometry.lanes
        else:
            beats = command.cols * command.rows * command.blocks
            mover.begin, mover.left = begin + 2, float(beats)
            self.bytes[Store] += beats * self.geometry.lanes

    def _met(self, index: int) -> float:
        """Return when the waits of a command were met: the latest completion it names."""
        c = self.commands[index]
        named = ((Load, c.wait_load), (Compute, c.wait_compute), (Store, c.wait_store))
        return max(self.ends[self.queues[kind][n - 1]] if n else 0.0 for kind, n in named)

    def _rate(self) -> float:
        """Return beats per cycle of each moving stream."""
        moving = sum(m.index >= 0 and m.begin <= self.now for m in self.movers.values())
        share = self.dram.bytes_per_cycle / self.geometry.lanes / max(moving, 1)
        return min(1.0, share)

    def _advance(self) -> None:
        rate = self._rate()
        times = [event[0] for event in self.events[:1]]
        for mover in self.movers.values():
            if mover.index >= 0:
                moving = mover.begin <= self.now
                times.append(self.now + mover.left / rate if moving else mover.begin)
        following = min(times)
        for kind, mover in self.movers.items():
            if mover.index >= 0 and mover.begin <= self.now:
                mover.left -= (following - self.now) * rate
                self.busy[kind] += following - self.now
        self.now = following
        while self.events and self.events[0][0] <= self.now:
            _, kind_of_event, index = heapq.heappop(self.events)
            if kind_of_event == _END:
                self._complete(index)
        for kind, mover in self.movers.items():
            if mover.index >= 0 and mover.begin <= self.now and mover.left <= 1e-6:
                index, mover.index = mover.index, -1
                if kind is Load:
                    self._complete(index)
                else:
                    end = self.now + self.dram.latency_cycles
                    heapq.heappush(self.events, (end, _END, index))

    def _complete(self, index: int) -> None:
        self.ends[index] = self.now
        self.done[type(self.commands[index])] += 1


def _place(queue: Sequence[int], index: int) -> int:
    """Return the position of a command in its unit's queue."""
    low, high = 0, len(queue)
    while low < high:
        middle = (low + high) // 2
        if queue[middle] < index:
            low = middle + 1
        else:
            high = middle
    return low
