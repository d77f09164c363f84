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

UNITS = (Load, Compute, Store)
SPACES = ("dram", "activation", "weight", "parameter", "accumulator", "output")
_SPACE_OF = {
    Memory.ACTIVATION: "activation",
    Memory.IMAGE: "activation",
    Memory.WEIGHT: "weight",
    Memory.PARAMETER: "parameter",
}


@dataclass(frozen=True, slots=True)
class Touch:
    """Some words of one memory; ``words`` is an int64 index array."""

    space: str
    words: Array
    write: bool


def _grid(base: int, *axes: Array) -> Array:
    """Return ``base`` plus every sum of one offset per axis, flattened."""
    total: Array = np.asarray([base], dtype=np.int64)
    for offsets in axes:
        total = (total[:, None] + offsets[None, :]).reshape(-1)
    return total


def _axis(count: int, step: int) -> Array:
    return np.arange(count, dtype=np.int64) * step


def dram_words(c: Load | Store, geometry: Geometry) -> Array:
    """Return the DRAM beats that a command moves, as indices from the window's start."""
    beats = _axis(row_beats(c, geometry), 1)
    blocks, rows = _axis(c.blocks, c.block_pitch), _axis(c.rows, c.row_pitch)
    return _grid(c.offset // geometry.lanes, blocks, rows, beats)


def _load_touches(c: Load, geometry: Geometry) -> list[Touch]:
    space = _SPACE_OF[Memory(c.memory)]
    if space == "activation":
        blocks = _axis(c.blocks, c.buffer_block_pitch)
        rows = _axis(c.top + c.rows + c.bottom, c.buffer_row_pitch)
        words = _grid(c.buffer, blocks, rows, _axis(c.left + c.cols + c.right, 1))
    else:
        unit = geometry.n_pe if space == "weight" else geometry.parameter_beats
        words = c.buffer + _axis(c.blocks * c.rows * c.cols // unit, 1)
    touches = [Touch(space, words, True)]
    if not c.fill:
        touches.append(Touch("dram", dram_words(c, geometry), False))
    return touches


def _compute_touches(c: Compute, geometry: Geometry) -> list[Touch]:
    groups = c.groups(geometry)
    across = np.unique(_grid(0, _axis(c.cols, c.col_step), _axis(c.k_cols, c.k_col_step)))
    if c.window > 1:
        across = np.unique(_grid(0, across, _axis(c.window, 1)))
    down = np.unique(_grid(0, _axis(c.rows, c.row_step), _axis(c.k_rows, c.k_row_step)))
    deep = np.unique(_grid(0, _axis(groups, c.group_step), _axis(c.k_blocks, c.k_block_step)))
    touches = [Touch("activation", _grid(c.source, deep, down, across), False)]
    weights = 1 if c.hold_weight else groups * c.steps
    touches.append(Touch("weight", c.weight + _axis(weights, 1), False))
    sums = c.accumulator + _axis(groups * -(-c.outputs // geometry.pixels), 1)
    if c.accumulate:
        touches.append(Touch("accumulator", sums, False))
    if c.partial:
        return [*touches, Touch("accumulator", sums, True)]
    touches.append(Touch("parameter", c.parameter + _axis(c.blocks, 1), False))
    cols = _axis(c.cols, 1)
    if c.residual:
        blocks, rows = _axis(c.blocks, c.addend_block_pitch), _axis(c.rows, c.addend_row_pitch)
        touches.append(Touch("activation", _grid(c.addend, blocks, rows, cols), False))
    blocks, rows = _axis(c.blocks, c.target_block_pitch), _axis(c.rows, c.target_row_pitch)
    space = "activation" if c.to_activation else "output"
    return [*touches, Touch(space, _grid(c.target, blocks, rows, cols), True)]


def touches(command: Command, geometry: Geometry) -> list[Touch]:
    """Return what a command reads and writes."""
    if isinstance(command, Load):
        return _load_touches(command, geometry)
    if isinstance(command, Compute):
        return _compute_touches(command, geometry)
    blocks, rows = (
        _axis(command.blocks, command.buffer_block_pitch),
        _axis(command.rows, command.buffer_row_pitch),
    )
    words = _grid(command.buffer, blocks, rows, _axis(command.cols, 1))
    dram = dram_words(command, geometry)
    return [Touch("output", words, False), Touch("dram", dram, True)]


def needs_wait(earlier: type[Command], later: type[Command], touch: Touch, wrote: bool) -> bool:
    """Return whether a conflict between two commands needs a token.

    Parameters
    ----------
    touch
        What the later command does.
    wrote
        Whether the earlier one wrote the word; if not it read it.
    """
    if not (wrote or touch.write):
        return False
    if earlier is not later:
        return True
    return later is Compute and wrote and not touch.write


class Tracker:
    """Derives the waits of commands that are given in program order."""

    def __init__(self, geometry: Geometry, dram_beats: int) -> None:
        self.geometry = geometry
        self.counts = [0, 0, 0]
        depths = {
            "dram": dram_beats,
            "activation": geometry.activation_words,
            "weight": geometry.weight_words,
            "parameter": geometry.parameter_words,
            "accumulator": geometry.accumulator_words,
            "output": geometry.output_words,
        }
        # last[space][write][unit][word]: that unit's command count when it last touched the word.
        self._last = {
            space: np.zeros((2, len(UNITS), depth), dtype=np.int32)
            for space, depth in depths.items()
        }

    def add(self, command: Command) -> Command:
        """Return the command with its waits, and remember what it touches.

        Raises
        ------
        IndexError
            If it touches a word beyond a memory's end.
        """
        kind = type(command)
        waits = [0, 0, 0]
        seen = touches(command, self.geometry)
        for touch in seen:
            last = self._last[touch.space]
            for wrote in (False, True):
                for unit, earlier in enumerate(UNITS):
                    if needs_wait(earlier, kind, touch, wrote):
                        count = int(last[int(wrote), unit][touch.words].max(initial=0))
                        waits[unit] = max(waits[unit], count)
        unit = UNITS.index(kind)
        self.counts[unit] += 1
        for touch in seen:
            self._last[touch.space][int(touch.write), unit][touch.words] = self.counts[unit]
        load, compute, store = waits
        return replace(command, wait_load=load, wait_compute=compute, wait_store=store)
