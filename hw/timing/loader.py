"""LOAD in the cycle model: bursts ahead across commands, a writer that takes a word a cycle.

The reader, shared with fetch, has `READS` bursts under way and gives their beats back in order; a
queue of `QUEUE_BEATS` stands before the writer. Invariant: what happens here happens in order of
time and never later than the next event of another unit.
The constants were measured on this project's RTL (simulated) with ``benchmarks/cycle_model.py``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from heterolith.hw.commands import Memory
from heterolith.hw.geometry import BURST_BEATS
from heterolith.hw.program import Load
from heterolith.hw.timing.array import Array
from heterolith.hw.timing.bursts import Transfer, loaded, written_words
from heterolith.hw.timing.events import State, Unit

READS = 16
"""Bursts under way, those of fetch included."""

WALK_CYCLES = 4
"""From a LOAD's last wait to its first burst."""

LOADED_CYCLES = 1
"""From a LOAD's last word to its completion."""

LOADS_BEGUN = 5
"""LOADs whose bursts are issued: four in the queue, one at the writer."""

QUEUE_BEATS = 32
"""Beats that wait for the writer."""

NOTHING = Transfer((), (), 0, False)


Arrival = tuple[float, int, int, int, bool]
"""When a burst's last beat arrives, its words, beats of all LOADs up to it, the LOAD that ends with
it or -1, and whether its words go through the activation buffer's port. A LOAD that reads nothing
has `NO_BURST` words, a burst of fetch has none."""

NO_BURST = -1

EVEN_BURSTS = 18
"""Bursts after which the loader looks whether they follow each other at one distance."""


class Wanted(NamedTuple):
    """A burst of the command fetch: since when, its beats, who is told when the last arrives."""

    time: float
    beats: int
    then: Callable[[float], None]


class Loader(Unit):
    """The load unit with the reader it shares with fetch.

    `_stream` takes most of the model's time: it holds `_write` and `Server.read` inline.
    """

    def __init__(self, run: State, array: Array) -> None:
        super().__init__(run)
        self.array = array
        self.index, self.moved, self.at = -1, NOTHING, 0
        self.port = False
        self.due = 0.0  # when `advance` has something to do
        self.next = 0.0  # when the walker offers a burst, or takes a command
        self.begun = 0
        self.wanted: deque[Wanted] = deque()
        self.arrivals: deque[Arrival] = deque()
        self.reading = 0  # bursts among them
        self.tails: dict[int, int] = {}  # words of padding behind a LOAD's last beat
        self.places: deque[float] = deque()  # when the reader's other places become free
        self.written = 0.0
        self.seen: deque[float] = deque()  # when the queue gives its commands out
        # Beats up to a burst, and when the writer had taken them.
        self.behind: deque[tuple[int, float]] = deque()

    def put(self, index: int) -> None:
        """Take a command into the queue; it comes out a cycle later."""
        self.queue.append(index)
        self.seen.append(self.run.clock.now + 1)
        self.due = 0.0

    def poke(self) -> None:
        """Look again: a LOAD may have waited for what is complete now."""
        self.due = 0.0

    def want(self, beats: int, then: Callable[[float], None]) -> None:
        """Ask for a burst of the command fetch, which goes before those of LOADs."""
        self.wanted.append(Wanted(self.run.clock.now + 1, beats, then))
        self.due = 0.0

    def advance(self) -> None:
        """Issue and write until the next event of any unit."""
        clock = self.run.clock
        while True:
            if self.at < len(self.moved.beats):
                limit = min(clock.next, self.wanted[0].time) if self.wanted else clock.next
                self._stream(limit)
                if self.due < limit:
                    if self.arrivals and self.due == self.arrivals[0][0]:
                        self._write(self.arrivals.popleft())
                    continue
                if not self.wanted:
                    return
            issue = self._next()
            self.due = issue
            if self.arrivals and self.arrivals[0][0] < issue:
                self.due = self.arrivals[0][0]
            if self.due >= clock.next:
                return
            if self.due < issue:
                self._write(self.arrivals.popleft())
            elif self.wanted:
                self._fetch(issue)
            else:
                self._begin(issue)

    def _place(self) -> float:
        """Return when the reader takes a burst, infinite if words must be written before."""
        excess = self.reading + len(self.places) - READS
        if excess < 0:
            return 0.0
        return self.places[excess] if excess < len(self.places) else math.inf

    def _next(self) -> float:
        """Return when fetch's burst can be issued or a LOAD begun, infinite if neither can."""
        if self.wanted:
            return max(self.wanted[0].time, self._place())
        run = self.run
        if self.at < len(self.moved.beats) or not self.queue or self.begun >= LOADS_BEGUN:
            return math.inf
        if not run.met(run.commands[self.queue[0]]):
            return math.inf
        return max(self.next, run.clock.now, self.seen[0])

    def _begin(self, now: float) -> None:
        self.seen.popleft()
        self.index = self.take(now)
        self.begun += 1
        command = self.run.commands[self.index]
        assert isinstance(command, Load)
        self.port = command.memory in (Memory.ACTIVATION, Memory.IMAGE)
        self.at = 0
        if not command.fill:
            self.next = now + WALK_CYCLES
            self.moved = loaded(command, self.run.geometry)
            self.tails[self.index] = self.moved.tail
            return
        self.next, self.moved = now + 1, NOTHING
        time = max(self.arrivals[-1][0] if self.arrivals else 0.0, now + 2)
        self.tails[self.index] = written_words(command, self.run.geometry)
        self.arrivals.append((time, NO_BURST, 0, self.index, True))

    def _fetch(self, now: float) -> None:
        wanted = self.wanted.popleft()
        while self.places and self.places[0] <= now:
            self.places.popleft()
        self.next = max(self.next, now + 1)
        self.reading += 1
        time = self.run.memory.read(now, wanted.beats)
        self.arrivals.append((time, 0, 0, -1, False))
        wanted.then(time)

    def _stream(self, limit: float) -> None:
        """Issue a LOAD's bursts and write words; ``due`` becomes when there is more to do."""
        moved, memory, self.due = self.moved, self.run.memory, 0.0
        if moved.even:
            self._leap(limit)
        sizes, counts, last, at = moved.beats, moved.words, len(moved.beats) - 1, self.at
        stop = min(last, at + EVEN_BURSTS) if moved.even else last
        arrivals, places, behind, taken = self.arrivals, self.places, self.behind, self.array.taken
        free, end, ready, written = memory.free, memory.read_end, self.next, self.written
        cost, pace, delay = memory.beat_cycles, memory.pace, memory.delay
        held, beats = self.reading + len(places), self.beats
        while at <= stop:
            issue = ready
            if held >= READS:
                place = places[held - READS] if len(places) > held - READS else math.inf
                issue = place if place > ready else ready
            if arrivals and arrivals[0][0] < issue:
                time, words, passed, index, port = arrivals[0]
                if time >= limit or index >= 0 or (port and taken):
                    self.due = time
                    break
                arrivals.popleft()
                room = time
                if words:
                    begin = written if written > time - words else time - words
                    written = begin + words if begin + words > time + 1 else time + 1
                    self.busy += words
                    while behind and behind[0][0] <= passed - QUEUE_BEATS:
                        room = behind.popleft()[1]
                    behind.append((passed, written))
                places.append(math.ceil(room if room > time else time))
            elif issue >= limit:
                self.due = issue
                break
            else:
                while places and places[0] <= issue:
                    places.popleft()
                    held -= 1
                begin = free if free > issue else issue
                free, ready = begin + sizes[at] * cost, issue + 1
                begin += delay + sizes[at] * pace
                end = begin if begin > end + sizes[at] else end + sizes[at]
                beats += sizes[at]
                index = self.index if at == last else -1
                arrivals.append((end, counts[at], beats, index, self.port))
                held, at = held + 1, at + 1
        memory.free, memory.read_end, self.next, self.written = free, end, ready, written
        self.reading, self.beats, self.at = held - len(places), beats, at

    def _leap(self, limit: float) -> None:
        """Go on by many bursts at once where they follow each other at one distance.

        With all bursts full and the DRAM or its channel busy without a gap, everything that was
        true of a burst is true of the next, that distance later.
        """
        memory, arrivals = self.run.memory, self.arrivals
        distance, left = BURST_BEATS * memory.pace, len(self.moved.beats) - 2 - self.at
        if self.at < READS or left < READS or (self.port and self.array.taken):
            return
        if memory.delay + 2 > (READS - 1) * distance:  # places, not the DRAM, bound what comes
            return
        gaps = [*pairwise(time for _, time in self.behind), *pairwise(a[0] for a in arrivals)]
        steady = all(abs(b - a - distance) < 1e-6 for a, b in gaps)
        if not steady or any(a[1] != BURST_BEATS for a in arrivals):
            return
        now = max(self.next, arrivals[0][0])
        bursts = int(min(left, (limit - now) / distance - 1))
        if bursts < READS:
            return
        later, beats = bursts * distance, bursts * BURST_BEATS
        self.arrivals = deque((t + later, w, n + beats, i, p) for t, w, n, i, p in arrivals)
        self.places = deque(math.ceil(time + later) for time in self.places)
        self.behind = deque((n + beats, time + later) for n, time in self.behind)
        # A DRAM faster than its channel works off what stood before it.
        served = bursts * BURST_BEATS * memory.beat_cycles
        memory.free = max(memory.free + served, now + later - distance)
        memory.read_end += later
        self.next, self.written = self.next + later, self.written + later
        self.at, self.beats, self.busy = self.at + bursts, self.beats + beats, self.busy + beats

    def _write(self, arrival: Arrival) -> None:
        now, words, beats, index, port = arrival
        through = self.array.around if port and self.array.taken else after
        if words > 0:
            begin = max(self.written, now - words)
            self.written = max(through(begin, words), now + 1)
            self.busy += words
        if words >= 0:
            self.reading -= 1
            room = now
            if words:
                while self.behind and self.behind[0][0] <= beats - QUEUE_BEATS:
                    room = max(self.behind.popleft()[1], now)
                self.behind.append((beats, self.written))
            self.places.append(math.ceil(room))
        if index >= 0:
            self.written = through(max(self.written, now), self.tails.pop(index))
            self.run.clock.at(self.written + LOADED_CYCLES, partial(self._end, index))

    def _end(self, index: int) -> None:
        self.begun -= 1
        self.run.complete(index)


def after(begin: float, words: float) -> float:
    """Return when words are written at a port of their own."""
    return begin + words
