"""Which words a command touches, and the waits that keep units in order.

Footprints are sets of word indices per memory. `Tracker` remembers for each word the last command
of each unit that read and that wrote it; a command waits for all of them that it conflicts with
(read after write, write after read, write after write). Invariant: with those waits, units that run
concurrently leave the memories as execution in program order does. Inside one unit the hardware
keeps order, except that a COMPUTE waits for an earlier one whose results it reads
(``hw/doc/accelerator.md``, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from heterolith.hw.commands import Memory
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import Geometry
from heterolith.hw.program import Command, Compute, Load, Store, row_beats
from heterolith.hw.shapes import Pair

UNITS = (Load, Compute, Store)
_SPACE_OF = {
    Memory.ACTIVATION: "activation",
    Memory.IMAGE: "activation",
    Memory.WEIGHT: "weight",
    Memory.PARAMETER: "parameter",
}

Access = tuple[type[Command], bool]
"""A unit, and whether it writes."""

ACCESSES: dict[str, tuple[Access, ...]] = {
    "dram": ((Load, False), (Store, True)),
    "activation": ((Load, True), (Compute, False), (Compute, True)),
    "weight": ((Load, True), (Compute, False)),
    "parameter": ((Load, True), (Compute, False)),
    "accumulator": ((Compute, False), (Compute, True)),
    "output": ((Compute, True), (Store, False)),
}
"""Who touches which memory."""


@dataclass(frozen=True, slots=True)
class Touch:
    """Some words of one memory, a range or an int64 index array."""

    space: str
    words: slice | Array
    write: bool


def _words(base: int, *axes: Pair) -> slice | Array:
    """Return ``base`` plus every sum of one multiple per axis, (count, step); some may be twice.

    Axes whose words lie without a gap become one; what is then one range of words is a slice.
    """
    joined: list[Pair] = [(1, 1)]
    for count, step in sorted(axes, key=lambda axis: axis[1]):
        inner, pitch = joined[-1]
        if count == 1 or not step:
            continue
        if inner == 1:
            joined[-1] = (count, step)
        elif step % pitch == 0 and step // pitch <= inner:
            joined[-1] = ((count - 1) * (step // pitch) + inner, pitch)
        else:
            joined.append((count, step))
    (count, step), *outer = joined
    if not outer and step == 1:
        return slice(base, base + count)
    total: Array = np.arange(base, base + count * step, step, dtype=np.int64)
    for count, step in outer:
        steps = np.arange(0, count * step, step, dtype=np.int64)
        total = (steps[:, None] + total).reshape(-1)
    return total


def dram_words(c: Load | Store, geometry: Geometry) -> slice | Array:
    """Return the DRAM beats that a command moves, as indices from the window's start."""
    axes = ((c.blocks, c.block_pitch), (c.rows, c.row_pitch), (row_beats(c, geometry), 1))
    return _words(c.offset // geometry.lanes, *axes)


def _load_touches(c: Load, geometry: Geometry) -> list[Touch]:
    space = _SPACE_OF[Memory(c.memory)]
    if space == "activation":
        rows = (c.top + c.rows + c.bottom, c.buffer_row_pitch)
        cols = (c.left + c.cols + c.right, 1)
        words = _words(c.buffer, (c.blocks, c.buffer_block_pitch), rows, cols)
    else:
        unit = geometry.n_pe if space == "weight" else geometry.parameter_beats
        words = slice(c.buffer, c.buffer + c.blocks * c.rows * c.cols // unit)
    touches = [Touch(space, words, True)]
    if not c.fill:
        touches.append(Touch("dram", dram_words(c, geometry), False))
    return touches


def _compute_touches(c: Compute, geometry: Geometry) -> list[Touch]:
    groups = c.groups(geometry)
    across = ((c.cols, c.col_step), (c.k_cols, c.k_col_step), (c.window, 1))
    down = ((c.rows, c.row_step), (c.k_rows, c.k_row_step))
    deep = ((groups, c.group_step), (c.k_blocks, c.k_block_step))
    touches = [Touch("activation", _words(c.source, *deep, *down, *across), False)]
    weights = 1 if c.hold_weight else groups * c.steps
    touches.append(Touch("weight", slice(c.weight, c.weight + weights), False))
    sums = groups * -(-c.outputs // geometry.pixels)
    accumulator = slice(c.accumulator, c.accumulator + sums)
    if c.accumulate:
        touches.append(Touch("accumulator", accumulator, False))
    if c.partial:
        return [*touches, Touch("accumulator", accumulator, True)]
    touches.append(Touch("parameter", slice(c.parameter, c.parameter + c.blocks), False))
    if c.residual:
        steps = (c.addend_block_pitch, c.addend_row_pitch)
        touches.append(Touch("activation", _result(c, c.addend, steps), False))
    steps = (c.target_block_pitch, c.target_row_pitch)
    space = "activation" if c.to_activation else "output"
    return [*touches, Touch(space, _result(c, c.target, steps), True)]


def _result(c: Compute, base: int, steps: Pair) -> slice | Array:
    """Return the words of all results, or of what is added to them."""
    return _words(base, (c.blocks, steps[0]), (c.rows, steps[1]), (c.cols, 1))


def touches(command: Command, geometry: Geometry) -> list[Touch]:
    """Return what a command reads and writes."""
    if isinstance(command, Load):
        return _load_touches(command, geometry)
    if isinstance(command, Compute):
        return _compute_touches(command, geometry)
    c = command
    words = _words(
        c.buffer, (c.blocks, c.buffer_block_pitch), (c.rows, c.buffer_row_pitch), (c.cols, 1)
    )
    return [Touch("output", words, False), Touch("dram", dram_words(c, geometry), True)]


def needs_wait(earlier: Access, later: Access) -> bool:
    """Return whether two accesses to one word, in this order, need a token."""
    if not (earlier[1] or later[1]):
        return False
    if earlier[0] is not later[0]:
        return True
    return later == (Compute, False) and earlier[1]


_CONFLICTS = {
    (space, later): tuple(earlier for earlier in accesses if needs_wait(earlier, later))
    for space, accesses in ACCESSES.items()
    for later in accesses
}


class Tracker:
    """Derives the waits of commands that are given in program order."""

    def __init__(self, geometry: Geometry, dram_beats: int) -> None:
        self.geometry = geometry
        self.counts: dict[type[Command], int] = dict.fromkeys(UNITS, 0)
        depths = {
            "dram": dram_beats,
            "activation": geometry.activation_words,
            "weight": geometry.weight_words,
            "parameter": geometry.parameter_words,
            "accumulator": geometry.accumulator_words,
            "output": geometry.output_words,
        }
        # By word, that unit's command count when it last touched it in that way.
        self._last = {
            space: {access: np.zeros(depths[space], dtype=np.int32) for access in accesses}
            for space, accesses in ACCESSES.items()
        }

    def add(self, command: Command) -> Command:
        """Return the command with its waits, and remember what it touches.

        Raises
        ------
        IndexError
            If it touches a word beyond a memory's end.
        """
        kind = type(command)
        waits: dict[type[Command], int] = dict.fromkeys(UNITS, 0)
        seen = touches(command, self.geometry)
        for touch in seen:
            last = self._last[touch.space]
            for earlier in _CONFLICTS[touch.space, (kind, touch.write)]:
                count = int(last[earlier][touch.words].max(initial=0))
                waits[earlier[0]] = max(waits[earlier[0]], count)
        self.counts[kind] += 1
        for touch in seen:
            words = self._last[touch.space][kind, touch.write]
            if isinstance(touch.words, slice) and touch.words.stop > words.size:
                raise IndexError(f"{touch.space} word {touch.words.stop - 1} of {words.size}")
            words[touch.words] = self.counts[kind]
        load, compute, store = (waits[unit] for unit in UNITS)
        return replace(command, wait_load=load, wait_compute=compute, wait_store=store)
