"""STORE in the cycle model: addresses ahead, data in order, responses in order.

The constants were measured on this project's RTL (simulated) with ``benchmarks/cycle_model.py``.
"""

from __future__ import annotations

import math
from collections import deque
from functools import partial

from heterolith.hw.program import Store
from heterolith.hw.timing.bursts import stored
from heterolith.hw.timing.events import State, Unit
from heterolith.hw.timing.loader import Loader

WRITES = 8
"""Bursts under way."""

DATA_WORDS = 8
"""Words that a STORE reads ahead of its data channel."""

WALK_CYCLES = 4
"""From a STORE's last wait to its first burst."""

DATA_CYCLES = 2
"""From a burst's address to its first word."""

ANSWER_CYCLES = 1
"""From a write response to a STORE's completion."""


class Storer(Unit):
    """Bursts whose data follow each other; at most `WRITES` wait for their response."""

    def __init__(self, run: State, loader: Loader) -> None:
        super().__init__(run)
        self.loader = loader
        # Bursts not yet sent: beats, earliest address, command if it is the command's last.
        self.bursts: deque[tuple[int, float, int]] = deque()
        self.burst = (0, 0.0, -1)
        self.answers: deque[float] = deque([0.0] * WRITES, maxlen=WRITES)
        self.addressed = 0.0
        self.ready = 0.0  # when walker and reader take another command
        self.sending = False

    def poke(self) -> None:
        """Begin the next STORE."""
        now, run = self.run.clock.now, self.run
        if not self.queue or self.ready > now or not run.met(run.commands[self.queue[0]]):
            return
        index = self.take(now)
        command = run.commands[index]
        assert isinstance(command, Store)
        beats = stored(command, run.geometry)
        begin = now + WALK_CYCLES
        last = len(beats) - 1
        self.bursts.extend((n, begin, index if i == last else -1) for i, n in enumerate(beats))
        self.ready = float("inf")
        self._send()

    def _send(self) -> None:
        """Send the data of the next burst, unless one is on its way."""
        if not self.sending and self.bursts:
            self.sending = True
            self.run.clock.at(self._next(), self._sent)

    def _next(self) -> float:
        """Take the next burst; returns when its last word is sent."""
        beats, begin, index = self.burst = self.bursts.popleft()
        self.addressed = max(self.addressed + 1, begin, self.answers[0])
        sent = max(self.run.clock.now, self.addressed + DATA_CYCLES) + beats
        self.beats += beats
        if index >= 0:
            self.ready = max(self.addressed + 1, sent - DATA_WORDS)
            self.wake(self.ready)
        return sent

    def _sent(self) -> None:
        """Give the burst to the memory; go on as long as nothing else happens."""
        run, clock = self.run, self.run.clock
        while True:
            beats, _, index = self.burst
            due = math.ceil(run.memory.write(clock.now, beats)) + ANSWER_CYCLES
            self.answers.append(due)
            if index >= 0:
                clock.at(due, partial(run.complete, index))
            if not self.bursts:
                self.sending = False
                return
            sent = self._next()
            if sent >= min(clock.next, self.loader.due):
                clock.at(sent, self._sent)
                return
            clock.now = sent
