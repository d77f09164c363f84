"""Cycles of a command stream: fetch, three units, their waits and one DRAM, burst by burst.

A COMPUTE takes the cycles of ``hw/doc/accelerator.md``, section 5; LOADs and STOREs move the bursts
of section 4. Fetch reads commands ahead by two bursts and hands them out in order. Start-up costs
were measured on this project's RTL (simulated, no board) with ``benchmarks/cycle_model.py``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from heterolith.hw.geometry import BURST_BEATS, COMMAND_BYTES, Geometry
from heterolith.hw.program import Command, Compute, Load, Store
from heterolith.hw.timing.events import Dram, State
from heterolith.hw.timing.pipeline import Array, Loader, Storer, Unit, compute_cycles

__all__ = ["Dram", "Run", "compute_cycles", "simulate"]

QUEUE_COMMANDS = 8
"""Depth of each unit's command queue."""

FETCH_CYCLES = 6
"""Between two commands at the dispatcher."""


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


class Fetch:
    """Reads commands ahead by two bursts and hands them out in order."""

    def __init__(self, run: State, units: dict[type[Command], Unit], command_offset: int) -> None:
        self.units = units
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
                    self.arrived.append(last - (beats - 1 - beat) * max(memory.beat_cycles, 1.0))
        self._take()

    def _release(self) -> None:
        self.run.memory.reads -= 1
        self.units[Load].poke()

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
        unit = self.units[type(self.run.commands[self.next])]
        if len(unit.queue) >= QUEUE_COMMANDS:
            unit.freed = self.push
            return
        unit.queue.append(self.next)
        self.next += 1
        self.waiting, self.free = False, self.run.clock.now
        unit.wake(self.run.clock.now + 1)
        self._take()


def simulate(
    commands: Sequence[Command], geometry: Geometry, dram: Dram, command_offset: int = 0
) -> Run:
    """Return the modelled cycles of a job whose commands stand at an offset of its window."""
    state = State(commands, geometry, dram)
    array = Array(state)
    loader, storer = Loader(state, array), Storer(state)
    Fetch(state, {Load: loader, Compute: array, Store: storer}, command_offset)
    state.clock.run()
    return Run(
        cycles=math.ceil(max(state.ends, default=0.0)),
        load_busy=math.ceil(loader.busy),
        compute_busy=math.ceil(array.busy),
        store_busy=math.ceil(storer.busy),
        read_bytes=loader.beats * geometry.lanes + COMMAND_BYTES * len(commands),
        write_bytes=storer.beats * geometry.lanes,
        completions=tuple(state.ends),
    )
