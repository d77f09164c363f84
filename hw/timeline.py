"""Cycles of a command stream: fetch, three units, their waits and one DRAM, burst by burst.

A COMPUTE takes the cycles of ``hw/doc/accelerator.md``, section 5. LOADs and STOREs move the bursts
of section 4 through one DRAM that serves them in order of arrival; at most 16 reads and 8 writes
are under way, so short rows are bound by latency. Fetch reads commands ahead by two bursts. The
constants below are start-up costs, measured on this project's RTL (simulated, no board) with
``benchmarks/cycle_model.py``.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from heterolith.hw.bursts import bursts, position, written_words
from heterolith.hw.geometry import BURST_BEATS, COMMAND_BYTES, Geometry
from heterolith.hw.program import Command, Compute, Load, Store

QUEUE_COMMANDS = 8
"""Depth of each unit's command queue."""

START_CYCLES = 4
"""From a COMPUTE's last wait to its first step, with two pixels."""

DRAIN_CYCLES = 18
"""From a COMPUTE's last reduction step to its completion, less the requantizers' passes."""

FETCH_CYCLES = 6
"""Between two commands at the dispatcher."""

WALK_CYCLES = 4
"""From a LOAD's or STORE's last wait to its first burst."""

ADDRESS_CYCLES = 3
"""From a burst's issue to the memory."""

LOADED_CYCLES = 1
"""From a LOAD's last word to its completion."""

ANSWER_CYCLES = 2
"""From a write response to a STORE's completion."""

FINISH_CYCLES = 0
"""From the last completion to the end of the job, with what precedes the first fetch."""

READS, WRITES = 16, 8
"""Bursts under way."""

LOADS_BEGUN = 5
"""LOADs whose bursts are issued: four in the queue, one at the writer."""

DATA_WORDS = 8
"""Words that a STORE reads ahead of its data channel."""

WRITE_LAG = 64
"""Beats that the memory's server may lag before it takes no more data."""


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


def last_group_cycles(c: Compute, geometry: Geometry) -> int:
    pixels, rate = geometry.pixels, geometry.lanes // geometry.requantizers
    blocks = c.group_blocks(geometry)
    words = blocks * c.residual
    floor = max(pixels, 1 if c.partial else blocks * pixels * rate)
    if c.window == 1:
        return max(c.steps + words, floor)
    return max(c.k_rows * (min(c.window, c.col_step) if c.cols > 1 else c.window) + words, floor)


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


class _Clock:
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


class _Memory:
    """The DRAM: one server for both directions, and the order of the read channel."""

    def __init__(self, clock: _Clock, dram: Dram, lanes: int) -> None:
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

    def read(self, beats: int, room: float = 0.0) -> float:
        """Issue a read burst; returns when its last beat is taken, not before ``room``."""
        begin = self.serve(beats) + ADDRESS_CYCLES + self.latency
        self.read_end = max(begin + beats * self.beat_cycles, self.read_end + beats, room)
        self.reads += 1
        return self.read_end


class _Simulation:
    """State of one run: what all units share."""

    def __init__(self, commands: Sequence[Command], geometry: Geometry, dram: Dram) -> None:
        self.commands, self.geometry = commands, geometry
        self.clock = _Clock()
        self.memory = _Memory(self.clock, dram, geometry.lanes)
        self.ends = [math.inf] * len(commands)
        self.done: dict[type[Command], int] = {Load: 0, Compute: 0, Store: 0}
        self.units: dict[type[Command], _Unit] = {
            Load: _Loader(self),
            Compute: _Array(self),
            Store: _Storer(self),
        }
        self.fetch: _Fetch | None = None

    def run(self, command_offset: int) -> Run:
        """Run to the end of all commands."""
        self.fetch = _Fetch(self, command_offset)
        self.clock.run()
        load, compute, store = (self.units[kind] for kind in (Load, Compute, Store))
        size, commands = self.geometry.lanes, COMMAND_BYTES * len(self.commands)
        return Run(
            cycles=math.ceil(max(self.ends, default=0.0)) + FINISH_CYCLES,
            load_busy=math.ceil(load.busy),
            compute_busy=math.ceil(compute.busy),
            store_busy=math.ceil(store.busy),
            read_bytes=load.beats * size + commands,
            write_bytes=store.beats * size,
            completions=tuple(self.ends),
        )

    def complete(self, index: int) -> None:
        """Count a completion; every unit may have waited for it."""
        self.ends[index] = self.clock.now
        self.done[type(self.commands[index])] += 1
        for unit in self.units.values():
            unit.poke()

    def met(self, c: Command) -> bool:
        """Return whether the waits of a command are met."""
        return (
            self.done[Load] >= c.wait_load
            and self.done[Compute] >= c.wait_compute
            and self.done[Store] >= c.wait_store
        )


class _Fetch:
    """Reads commands ahead by two bursts and hands them out in order."""

    def __init__(self, run: _Simulation, command_offset: int) -> None:
        self.run, self.beats = run, COMMAND_BYTES // run.geometry.lanes
        self.position = command_offset // run.geometry.lanes
        self.end = self.position + self.beats * len(run.commands)
        self.room = 2 * BURST_BEATS
        self.arrived: deque[float] = deque()
        self.next, self.waiting = 0, False
        self.partial = 0
        self.free = 0.0
        run.clock.at(0, self._request)

    def _request(self) -> None:
        memory = self.run.memory
        while self.position < self.end and self.room >= BURST_BEATS:
            boundary = (self.position // BURST_BEATS + 1) * BURST_BEATS
            beats = min(self.end, boundary) - self.position
            self.position += beats
            self.room -= beats
            last = memory.read(beats)
            self.run.clock.at(last + 1, self._release)
            for beat in range(beats):
                self.partial += 1
                if self.partial == self.beats:
                    self.partial = 0
                    self.arrived.append(last - (beats - 1 - beat) * memory.beat_cycles)
        self._take()

    def _release(self) -> None:
        self.run.memory.reads -= 1
        self.run.units[Load].poke()

    def _take(self) -> None:
        """Put the next command's beats together."""
        if not self.waiting and self.arrived:
            self.waiting = True
            shifted = max(self.arrived.popleft() + 1, self.free + self.beats - 1)
            self.run.clock.at(shifted, self._taken)

    def _taken(self) -> None:
        self.room += self.beats
        self.run.clock.at(self.run.clock.now + FETCH_CYCLES - self.beats + 1, self.push)
        self._request()

    def push(self) -> None:
        """Give the command at hand to its unit, unless the unit's queue is full."""
        if not self.waiting or self.run.clock.now < self.free:
            return
        unit = self.run.units[type(self.run.commands[self.next])]
        if len(unit.queue) >= QUEUE_COMMANDS:
            unit.blocks = True
            return
        unit.queue.append(self.next)
        self.next += 1
        self.waiting, self.free = False, self.run.clock.now
        unit.wake(self.run.clock.now + 1)
        self._take()


class _Unit:
    """A queue of commands, taken in order."""

    def __init__(self, run: _Simulation) -> None:
        self.run, self.queue = run, deque[int]()
        self.blocks = False
        self.busy, self.beats = 0.0, 0
        self._woken = -1.0

    def wake(self, time: float) -> None:
        """Poke the unit at a time."""
        if time != self._woken:
            self._woken = time
            self.run.clock.at(time, self.poke)

    def take(self) -> int:
        """Take the first command from the queue."""
        index = self.queue.popleft()
        if self.blocks and self.run.fetch is not None:
            self.blocks = False
            self.run.clock.at(self.run.clock.now + 1, self.run.fetch.push)
        return index

    def poke(self) -> None:
        """Begin whatever may begin now."""
        raise AssertionError("a unit without work")


class _Loader(_Unit):
    """Bursts ahead across commands; a writer that takes a word a cycle."""

    def __init__(self, run: _Simulation) -> None:
        super().__init__(run)
        self.index, self.command = -1, Load()
        self.left: deque[int] = deque()
        self.next = 0.0
        self.beat, self.position = 0, 0
        self.written = 0.0
        self.begun: deque[float] = deque([0.0] * LOADS_BEGUN)
        self.behind: deque[tuple[int, float]] = deque()

    def poke(self) -> None:
        now, memory = self.run.clock.now, self.run.memory
        while True:
            if self.next > now:
                self.wake(self.next)
                return
            if not self.left:
                if not self._begin():
                    return
            elif memory.reads < READS:
                self._issue(self.left.popleft())
                self.next = now + 1
            else:
                return

    def _begin(self) -> bool:
        now = self.run.clock.now
        if not self.queue or not self.run.met(self.run.commands[self.queue[0]]):
            return False
        if self.begun[0] > now:
            self.wake(self.begun[0])
            return False
        self.index = self.take()
        command = self.run.commands[self.index]
        assert isinstance(command, Load)
        self.command, self.beat, self.position = command, 0, 0
        self.written = max(self.written, now + 2)
        self.begun.popleft()
        self.next = now + WALK_CYCLES
        if command.fill:
            self.next = now + 1
            self._end()
        else:
            self.left.extend(bursts(command, self.run.geometry))
        return True

    def _issue(self, beats: int) -> None:
        room = 0.0
        taken = self.beats + beats
        while self.behind and self.behind[0][0] <= taken - 2 * BURST_BEATS:
            room = self.behind.popleft()[1]
        last = self.run.memory.read(beats, room)
        self.beats, self.beat = taken, self.beat + beats
        passed = position(self.command, self.run.geometry, self.beat - 1)
        begin = self.written
        self.written = max(begin + passed - self.position, last + 1)
        self.busy += self.written - max(begin, last - beats * self.run.memory.beat_cycles)
        self.position = passed
        self.behind.append((taken, self.written))
        self.run.clock.at(last + 1, self._release)
        if not self.left:
            self._end()

    def _release(self) -> None:
        self.run.memory.reads -= 1
        self.poke()

    def _end(self) -> None:
        self.written += written_words(self.command, self.run.geometry) - self.position
        # The next command but LOADS_BEGUN may begin when the writer takes this one's successor.
        self.begun.append(self.written)
        self.run.clock.at(self.written + LOADED_CYCLES, partial(self.run.complete, self.index))


class _Array(_Unit):
    """COMPUTEs back to back; the walker is a group ahead of the array."""

    def __init__(self, run: _Simulation) -> None:
        super().__init__(run)
        self.walker_free, self.free = 0.0, 0.0
        self.entries: deque[float] = deque([0.0, 0.0])

    def poke(self) -> None:
        now, run = self.run.clock.now, self.run
        if not self.queue or not run.met(run.commands[self.queue[0]]):
            return
        begin = max(self.walker_free, self.entries[0])
        if begin > now:
            self.wake(begin)
            return
        index = self.take()
        c = run.commands[index]
        assert isinstance(c, Compute)
        g = run.geometry
        cycles, blocks = compute_cycles(c, g), c.group_blocks(g)
        first = max(now + g.pixels + START_CYCLES - 2, self.free)
        self.free = first + cycles
        self.walker_free = max(self.free - last_group_cycles(c, g), first) + 1
        self.entries.popleft()
        self.entries.append(self.free)
        self.busy += cycles
        passes = 1 if c.partial else blocks * g.pixels * (g.lanes // g.requantizers)
        end = self.free - blocks * c.residual + DRAIN_CYCLES - 2 + passes
        run.clock.at(end, partial(run.complete, index))
        self.wake(self.walker_free)


class _Storer(_Unit):
    """Addresses ahead; data in order, while the DRAM's backlog lets it; responses in order."""

    def __init__(self, run: _Simulation) -> None:
        super().__init__(run)
        self.index, self.left, self.next = -1, deque[int](), 0.0
        self.reading = False
        self.open = 0
        self.data: deque[tuple[int, int]] = deque()
        self.sending = False

    def poke(self) -> None:
        now = self.run.clock.now
        while True:
            if self.next > now:
                self.wake(self.next)
                return
            if self.left:
                if self.open >= WRITES:
                    return
                self.open += 1
                beats = self.left.popleft()
                self.data.append((beats, -1 if self.left else self.index))
                self.next = now + 1
                self.run.clock.at(now + 2, self._send)
            elif not self._begin():
                return

    def _begin(self) -> bool:
        now, run = self.run.clock.now, self.run
        if self.reading or not self.queue or not run.met(run.commands[self.queue[0]]):
            return False
        self.index = self.take()
        command = run.commands[self.index]
        assert isinstance(command, Store)
        self.left.extend(bursts(command, run.geometry))
        self.reading = sum(self.left) > DATA_WORDS
        self.next = now + WALK_CYCLES
        return True

    def _send(self) -> None:
        """Send the next burst's data, unless the server lags too far behind."""
        now, memory = self.run.clock.now, self.run.memory
        if self.sending or not self.data:
            return
        lag = memory.free - WRITE_LAG * memory.beat_cycles
        if lag > now:
            self.run.clock.at(lag + 1e-3, self._send)
            return
        self.sending = True
        beats, index = self.data[0]
        self.beats += beats
        self.busy += beats
        if index >= 0:
            self.run.clock.at(now + max(beats - DATA_WORDS, 0), self._read)
        self.run.clock.at(now + beats, self._sent)

    def _read(self) -> None:
        self.reading = False
        self.poke()

    def _sent(self) -> None:
        memory, (beats, index) = self.run.memory, self.data.popleft()
        self.sending = False
        due = memory.serve(beats) + beats * memory.beat_cycles + memory.latency + ANSWER_CYCLES
        self.run.clock.at(due, partial(self._answered, index))
        self._send()

    def _answered(self, index: int) -> None:
        self.open -= 1
        if index >= 0:
            self.run.complete(index)
        self.poke()


def simulate(
    commands: Sequence[Command], geometry: Geometry, dram: Dram, command_offset: int = 0
) -> Run:
    """Return the modelled cycles of a job whose commands stand at an offset of its window."""
    return _Simulation(commands, geometry, dram).run(command_offset)
