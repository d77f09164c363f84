"""The load, compute and store units of the cycle model, burst by burst and command by command.

At most 16 reads and 8 writes are under way, so short rows are bound by latency. Results that a
COMPUTE writes into the activation buffer keep the loader from its port. The constants are start-up
costs, measured on this project's RTL (simulated, no board) with ``benchmarks/cycle_model.py``.
Invariant: a unit begins a command when its waits are met and the command before has begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from heterolith.hw.commands import Memory
from heterolith.hw.geometry import BURST_BEATS, Geometry
from heterolith.hw.program import Compute, Load, Store
from heterolith.hw.timing.bursts import bursts, position, written_words
from heterolith.hw.timing.events import State

START_CYCLES = 2
"""From a COMPUTE's last wait to its first step, besides a cycle per pixel slot."""

DRAIN_CYCLES = 16
"""From a COMPUTE's last reduction step to its completion, less the requantizers' passes."""

WALK_CYCLES = 4
"""From a LOAD's or STORE's last wait to its first burst."""

LOADED_CYCLES = 1
"""From a LOAD's last word to its completion."""

ANSWER_CYCLES = 2
"""From a write response to a STORE's completion."""

LOADS_BEGUN = 5
"""LOADs whose bursts are issued: four in the queue, one at the writer."""

DATA_WORDS = 8
"""Words that a STORE reads ahead of its data channel."""

WRITE_LAG = 64
"""Beats that the memory's server may lag before it takes no more data."""

PART_BEATS = 4
"""Beats of a write burst that are modelled as one."""

READS, WRITES = 16, 8
"""Bursts under way."""


def last_group_cycles(c: Compute, geometry: Geometry) -> int:
    """Return the cycles of a COMPUTE's last group of pixels."""
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


class Unit:
    """A queue of commands, taken in order; ``freed`` is called when a full one has room."""

    def __init__(self, run: State) -> None:
        self.run, self.queue = run, deque[int]()
        self.freed: Callable[[], None] | None = None
        self.busy, self.beats = 0.0, 0
        self._woken = -1.0
        run.listeners.append(self.poke)

    def wake(self, time: float) -> None:
        """Poke the unit at a time."""
        if time != self._woken:
            self._woken = time
            self.run.clock.at(time, self.poke)

    def take(self) -> int:
        """Take the first command from the queue."""
        index = self.queue.popleft()
        if self.freed is not None:
            self.run.clock.at(self.run.clock.now + 1, self.freed)
            self.freed = None
        return index

    def poke(self) -> None:
        """Begin whatever may begin now."""
        raise AssertionError("a unit without work")


class Array(Unit):
    """COMPUTEs back to back; the walker is a group ahead of the array."""

    def __init__(self, run: State) -> None:
        super().__init__(run)
        self.walker_free, self.free = 0.0, 0.0
        self.entries: deque[float] = deque([0.0, 0.0])
        # When results take the activation buffer's port: from, to, share left to the loader.
        self.taken: deque[tuple[float, float, float]] = deque()

    def around(self, begin: float, words: float) -> float:
        """Return when words are written from ``begin`` on where results leave the port free."""
        while self.taken and self.taken[0][1] <= begin:
            self.taken.popleft()
        time = begin
        for start, end, share in self.taken:
            idle = max(start - time, 0.0)
            if words <= idle:
                break
            words, time = words - idle, time + idle
            if words <= (end - time) * share:
                return time + words / share
            words, time = words - (end - time) * share, end
        return time + words

    def poke(self) -> None:
        """Begin the next COMPUTE if walker and queue let it."""
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
        first = max(now + g.pixels + START_CYCLES, self.free)
        self.free = first + cycles
        self.walker_free = max(self.free - last_group_cycles(c, g), first) + 1
        self.entries.popleft()
        self.entries.append(self.free)
        self.busy += cycles
        if c.to_activation:
            share = max(1.0 - c.blocks * c.outputs / cycles, 0.0)
            self.taken.append((first + DRAIN_CYCLES, self.free + DRAIN_CYCLES, share))
        passes = 1 if c.partial else blocks * g.pixels * (g.lanes // g.requantizers)
        end = self.free - blocks * c.residual + DRAIN_CYCLES + passes
        run.clock.at(end, partial(run.complete, index))
        self.wake(self.walker_free)


class Loader(Unit):
    """Bursts ahead across commands; a writer that takes a word a cycle, behind the array's."""

    def __init__(self, run: State, array: Array) -> None:
        super().__init__(run)
        self.array = array
        self.index, self.command = -1, Load()
        self.left: deque[int] = deque()
        self.next, self.arrival = 0.0, 0.0
        self.beat, self.position, self.open = 0, 0, 0
        self.written = 0.0
        self.behind: deque[tuple[int, float]] = deque()

    def poke(self) -> None:
        """Issue a burst, or begin the next LOAD."""
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
        now, run = self.run.clock.now, self.run
        ready = self.queue and run.met(run.commands[self.queue[0]])
        if not ready or self.open >= LOADS_BEGUN:
            return False
        self.index = self.take()
        command = run.commands[self.index]
        assert isinstance(command, Load)
        self.command, self.beat, self.position = command, 0, 0
        self.open += 1
        if command.fill:
            self.next = now + 1
            self._expect(max(self.arrival, now + 2), 0, written_words(command, run.geometry))
        else:
            self.next = now + WALK_CYCLES
            self.left.extend(bursts(command, run.geometry))
        return True

    def _issue(self, beats: int) -> None:
        geometry = self.run.geometry
        self.beats, self.beat = self.beats + beats, self.beat + beats
        words = position(self.command, geometry, self.beat - 1) - self.position
        self.position += words
        tail = 0 if self.left else written_words(self.command, geometry) - self.position
        self._expect(self.run.memory.read(beats), words, tail)

    def _expect(self, arrival: float, words: int, tail: int) -> None:
        """Write words once they are there; ``tail`` is the padding after a command's last."""
        self.arrival = arrival
        index = -1 if self.left else self.index
        ports = self.command.memory in (Memory.ACTIVATION, Memory.IMAGE)
        what = (self.beats, words, tail, ports, index)
        self.run.clock.at(arrival, partial(self._write, what))

    def _write(self, what: tuple[int, int, int, bool, int]) -> None:
        (beats, words, tail, ports, index), now = what, self.run.clock.now
        through = self.array.around if ports else after
        begin = max(self.written, now - words)
        self.written = max(through(begin, words), now + 1 if words else now)
        self.busy += self.written - begin
        if words:
            room = now
            while self.behind and self.behind[0][0] <= beats - 2 * BURST_BEATS:
                room = self.behind.popleft()[1]
            self.behind.append((beats, self.written))
            self.run.clock.at(max(room, now) + 1, self._release)
        if index >= 0:
            self.written = through(self.written, tail)
            self.run.clock.at(self.written + LOADED_CYCLES, partial(self._end, index))

    def _release(self) -> None:
        self.run.memory.reads -= 1
        self.poke()

    def _end(self, index: int) -> None:
        self.open -= 1
        self.run.complete(index)


def after(begin: float, words: float) -> float:
    """Return when words are written at a port of their own."""
    return begin + words


class Storer(Unit):
    """Addresses ahead; data in order, while the DRAM's backlog lets it; responses in order."""

    def __init__(self, run: State) -> None:
        super().__init__(run)
        self.index, self.left, self.next = -1, deque[int](), 0.0
        self.reading = -1  # the STORE whose words are not all read
        self.open = 0
        self.data: deque[tuple[int, int]] = deque()
        self.sending = False

    def poke(self) -> None:
        """Offer an address, or begin the next STORE."""
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
        if self.reading >= 0 or not self.queue or not run.met(run.commands[self.queue[0]]):
            return False
        self.index = self.take()
        command = run.commands[self.index]
        assert isinstance(command, Store)
        self.left.extend(bursts(command, run.geometry))
        self.reading = self.index if sum(self.left) > DATA_WORDS else -1
        self.next = now + WALK_CYCLES
        return True

    def _send(self) -> None:
        """Send data of the next burst."""
        if not self.sending and self.data:
            self.sending = True
            beats, index = self.data[0]
            self.beats += beats
            self.busy += beats
            self._part(beats, index)

    def _part(self, left: int, index: int) -> None:
        """Send a few beats, unless the server lags too far behind."""
        now, memory = self.run.clock.now, self.run.memory
        lag = memory.free - WRITE_LAG * memory.beat_cycles
        if lag > now:
            self.run.clock.at(lag + 1e-3, partial(self._part, left, index))
            return
        beats = min(left, PART_BEATS)
        if left <= DATA_WORDS and index == self.reading:
            self.reading = -1
            self.run.clock.at(now, self.poke)
        if left > beats:
            self.run.clock.at(now + beats, partial(self._part, left - beats, index))
        else:
            self.run.clock.at(now + beats, self._sent)

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
