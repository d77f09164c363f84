"""The bursts of a LOAD or STORE, and the words that a LOAD writes behind each.

Rows and blocks that lie end to end in DRAM are one run; a burst ends with its run or at a multiple
of 16 beats (``hw/doc/accelerator.md``, section 4). Invariant: the beats of all bursts are those of
the command, and so are the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from heterolith.hw.commands import Memory
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import BURST_BEATS, Geometry
from heterolith.hw.program import Load, Store, row_beats

Runs = tuple[int, int, int, int, int, int]
"""Beats of a run, runs of a block, blocks, pitches from run to run and from block to block (modulo
a burst), first beat (modulo a burst)."""

Rows = tuple[int, int, int, int, int]
"""Beats of a row, words of a beat, covered words of a row, words of a padded row, and those before
a row's first."""

Blocks = tuple[int, int, int]
"""Rows of a block, rows of a padded block, and those before a block's first."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a command moves, burst by burst.

    Attributes
    ----------
    beats
        Of each burst, in order.
    words
        Written up to and with a burst's last beat, counted from the burst before.
    tail
        Words of padding behind the last beat.
    even
        Whether all bursts but first and last are full and bring a word a beat.
    """

    beats: tuple[int, ...]
    words: tuple[int, ...]
    tail: int
    even: bool


def _runs(c: Load | Store, geometry: Geometry) -> Runs:
    beats, rows, blocks = row_beats(c, geometry), c.rows, c.blocks
    if c.row_pitch == beats or rows == 1:
        beats, rows = beats * rows, 1
        if c.block_pitch == beats or blocks == 1:
            beats, blocks = beats * blocks, 1
    pitches = (c.row_pitch % BURST_BEATS, c.block_pitch % BURST_BEATS)
    return beats, rows, blocks, *pitches, c.offset // geometry.lanes % BURST_BEATS


def _cut(runs: Runs) -> Array:
    """Return the beats of each burst, int64."""
    beats, rows, blocks, row_pitch, block_pitch, first = runs
    starts = (np.arange(blocks) * block_pitch)[:, None] + np.arange(rows) * row_pitch
    heads = ((first + starts) % BURST_BEATS).reshape(-1)
    counts = (heads + beats + BURST_BEATS - 1) // BURST_BEATS
    ends = np.cumsum(counts)
    number = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
    begin = number * BURST_BEATS - np.repeat(heads, counts)
    cut: Array = np.minimum(begin + BURST_BEATS, beats) - np.maximum(begin, 0)
    return cut


@lru_cache(maxsize=4096)
def _stored(runs: Runs) -> tuple[int, ...]:
    return tuple(_cut(runs).tolist())


@lru_cache(maxsize=4096)
def _loaded(runs: Runs, rows: Rows, blocks: Blocks, total: int) -> Transfer:
    beats = _cut(runs)
    of_row, per_beat, covered, width, left = rows
    of_block, height, top = blocks
    row, at = np.divmod(np.cumsum(beats) - 1, of_row)
    block, row = np.divmod(row, of_block)
    ends = (block * height + top + row) * width + left
    ends += np.minimum((at + 1) * per_beat, covered)
    words = np.diff(ends, prepend=0)
    middle = slice(1, -1)
    even = bool((beats[middle] == BURST_BEATS).all() and (words[middle] == BURST_BEATS).all())
    return Transfer(tuple(beats.tolist()), tuple(words.tolist()), total - int(ends[-1]), even)


def written_words(c: Load, geometry: Geometry) -> int:
    """Return the cycles that a LOAD's words take at one a cycle.

    A row of an image takes as many more as a word holds pixels before its last.
    """
    extra = geometry.image_pixels - 1 if c.memory == Memory.IMAGE else 0
    rows, cols = c.top + c.rows + c.bottom, c.left + c.cols + c.right + extra
    return c.blocks * rows * cols


def loaded(c: Load, geometry: Geometry) -> Transfer:
    """Return the bursts of a LOAD that reads DRAM."""
    image = c.memory == Memory.IMAGE
    width = c.left + c.cols + c.right + (geometry.image_pixels - 1 if image else 0)
    per_beat = geometry.image_pixels if image else 1
    rows = (row_beats(c, geometry), per_beat, c.cols, width, c.left)
    blocks = (c.rows, c.top + c.rows + c.bottom, c.top)
    return _loaded(_runs(c, geometry), rows, blocks, written_words(c, geometry))


def stored(c: Store, geometry: Geometry) -> tuple[int, ...]:
    """Return the beats of a STORE's bursts."""
    return _stored(_runs(c, geometry))
