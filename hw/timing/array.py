"""COMPUTE in the cycle model: the steps of a command, and commands back to back.

The constants are start-up costs, measured on this project's RTL (simulated, no board) with
``benchmarks/cycle_model.py``.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from heterolith.hw.geometry import Geometry
from heterolith.hw.program import Compute
from heterolith.hw.timing.events import State, Unit

START_CYCLES = 2
"""From a COMPUTE's last wait to its first step, besides a cycle per pixel slot."""

DRAIN_CYCLES = 16
"""From a COMPUTE's last reduction step to its completion, less the requantizers' passes."""


def group_cycles(c: Compute, geometry: Geometry) -> tuple[int, int]:
    """Return the cycles of a group of pixels: of a row's first, and of any other."""
    pixels, rate = geometry.pixels, geometry.lanes // geometry.requantizers
    blocks = c.group_blocks(geometry)
    words = blocks * c.residual
    floor = max(pixels, 1 if c.partial else blocks * pixels * rate)
    if c.window == 1:
        cycles = max(c.steps + words, floor)
        return cycles, cycles
    first, later = c.k_rows * c.window, c.k_rows * min(c.window, c.col_step)
    return max(first + words, floor), max(later + words, floor)


def compute_cycles(c: Compute, geometry: Geometry) -> int:
    """Return the cycles of a COMPUTE's steps."""
    first, later = group_cycles(c, geometry)
    if c.window == 1:
        return c.groups(geometry) * -(-c.outputs // geometry.pixels) * first
    rows = c.groups(geometry) * -(-c.rows // geometry.pixels)
    return rows * (first + (c.cols - 1) * later)


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
        """Begin the next COMPUTE if waits, walker and queue let it."""
        now, run = self.run.clock.now, self.run
        if not self.queue:
            return
        c = run.commands[self.queue[0]]
        if not run.met(c):
            return
        begin = max(self.walker_free, self.entries[0])
        if begin > now:
            self.wake(begin)
            return
        index = self.take(now)
        assert isinstance(c, Compute)
        g = run.geometry
        cycles, blocks = compute_cycles(c, g), c.group_blocks(g)
        first = max(now + g.pixels + START_CYCLES, self.free)
        self.free = first + cycles
        opening, later = group_cycles(c, g)
        last_group = later if c.cols > 1 else opening
        self.walker_free = max(self.free - last_group, first) + 1
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
