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
from functools import partial
from typing import Protocol

from heterolith.hw.geometry import BURST_BEATS, COMMAND_BYTES, Geometry
from heterolith.hw.program import Command, Compute, Load, Store
from heterolith.hw.timing.array import Array, compute_cycles
from heterolith.hw.timing.events import Dram, State, Unit
from heterolith.hw.timing.loader import Loader
from heterolith.hw.timing.storer import Storer

__all__ = ["Dram", "Program", "Run", "compute_cycles", "job_cycles", "simulate"]

QUEUE_COMMANDS = 8
"""Depth of each unit's command queue."""

CHECK_CYCLES = 3
"""From a command's last beat at the dispatcher to its queue."""


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


class Program(Protocol):
    """Commands with the place they are fetched from; `heterolith.hw.compiler.job.Job` is one."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """Commands in order, with their waits."""

    @property
    def geometry(self) -> Geometry:
        """Of the accelerator they were compiled for."""

    @property
    def command_offset(self) -> int:
        """First byte of the commands in the memory window."""


class Fetch:
    """Reads commands ahead by two bursts and hands them out in order."""

    def __init__(self, run: State, units: dict[type[Command], Unit], loader: Loader) -> None:
        self.run, self.units, self.loader = run, units, loader
        self.beats = COMMAND_BYTES // run.geometry.lanes
        self.room = 2 * BURST_BEATS
        self.arrived: deque[float] = deque()
        self.next, self.waiting = 0, False
        self.partial = 0
        self.free = 0.0
        self.position = self.end = 0

    def start(self, command_offset: int) -> None:
        """Begin to read a job's commands."""
        self.position = command_offset // self.run.geometry.lanes
        self.end = self.position + self.beats * len(self.run.commands)
        self._request()

    def _request(self) -> None:
        while self.position < self.end and self.room >= BURST_BEATS:
            boundary = (self.position // BURST_BEATS + 1) * BURST_BEATS
            beats = min(self.end, boundary) - self.position
            self.position += beats
            self.room -= beats
            self.loader.want(beats, partial(self._read, beats))
        self._take()

    def _read(self, beats: int, last: float) -> None:
        """Note when the commands in a burst have arrived, of which its last beat does at a time."""
        pace = self.run.memory.pace
        for beat in range(beats):
            self.partial += 1
            if self.partial == self.beats:
                self.partial = 0
                self.arrived.append(math.ceil(last - (beats - 1 - beat) * pace))
        self.run.clock.at(self.run.clock.now, self._take)

    def _take(self) -> None:
        """Put the next command's beats together."""
        if not self.waiting and self.arrived:
            self.waiting = True
            shifted = max(self.arrived.popleft(), self.free + self.beats - 1)
            self.run.clock.at(shifted, self._taken)

    def _taken(self) -> None:
        self.room += self.beats
        self.run.clock.at(self.run.clock.now + CHECK_CYCLES, self.push)
        self._request()

    def push(self) -> None:
        """Give the command at hand to its unit, unless the unit's queue is full."""
        if not self.waiting or self.run.clock.now < self.free:
            return
        unit = self.units[type(self.run.commands[self.next])]
        if len(unit.queue) >= QUEUE_COMMANDS:
            unit.freed = self.push
            return
        unit.put(self.next)
        self.next += 1
        self.waiting, self.free = False, self.run.clock.now
        self._take()


def simulate(
    commands: Sequence[Command], geometry: Geometry, dram: Dram, command_offset: int = 0
) -> Run:
    """Return the modelled cycles of a job whose commands stand at an offset of its window."""
    state = State(commands, geometry, dram)
    array = Array(state)
    loader = Loader(state, array)
    storer = Storer(state, loader)
    Fetch(state, {Load: loader, Compute: array, Store: storer}, loader).start(command_offset)
    state.clock.run(loader)
    return Run(
        cycles=math.ceil(max(state.ends, default=0.0)),
        load_busy=math.ceil(loader.busy),
        compute_busy=math.ceil(array.busy),
        store_busy=storer.beats,
        read_bytes=loader.beats * geometry.lanes + COMMAND_BYTES * len(commands),
        write_bytes=storer.beats * geometry.lanes,
        completions=tuple(state.ends),
    )


def job_cycles(job: Program, dram: Dram) -> int:
    """Return the modelled cycles of a job: a layer, a chain of layers, a whole network."""
    return simulate(job.commands, job.geometry, dram, job.command_offset).cycles
