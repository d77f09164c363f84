"""The bursts of a LOAD or STORE and the words that a LOAD writes behind each.

Rows and blocks that lie end to end in DRAM are one run; a burst ends with its run or at a multiple
of 16 beats (``hw/doc/accelerator.md``, section 4). Invariant: the beats of all bursts are those of
the command.
"""

from __future__ import annotations

from collections.abc import Iterator

from heterolith.hw.commands import Memory
from heterolith.hw.geometry import BURST_BEATS, Geometry
from heterolith.hw.program import Load, Store, row_beats


def bursts(c: Load | Store, geometry: Geometry) -> Iterator[int]:
    """Yield the beats of each burst in order."""
    beats, rows, blocks = row_beats(c, geometry), c.rows, c.blocks
    if c.row_pitch == beats or rows == 1:
        beats, rows = beats * rows, 1
        if c.block_pitch == beats or blocks == 1:
            beats, blocks = beats * blocks, 1
    first = c.offset // geometry.lanes
    for block in range(blocks):
        for row in range(rows):
            begin = first + block * c.block_pitch + row * c.row_pitch
            end = begin + beats
            while begin < end:
                cut = min(end, (begin // BURST_BEATS + 1) * BURST_BEATS)
                yield cut - begin
                begin = cut


def written_words(c: Load, geometry: Geometry) -> int:
    """Return the cycles that a LOAD's words take at one a cycle.

    A row of an image takes as many more as a word holds pixels before its last.
    """
    extra = geometry.image_pixels - 1 if c.memory == Memory.IMAGE else 0
    rows, cols = c.top + c.rows + c.bottom, c.left + c.cols + c.right + extra
    return c.blocks * rows * cols


def position(c: Load, geometry: Geometry, beat: int) -> int:
    """Return how many of `written_words` pass up to and with a beat, counted in DRAM order."""
    image = c.memory == Memory.IMAGE
    per_beat = geometry.image_pixels if image else 1
    row, at = divmod(beat, row_beats(c, geometry))
    block, row = divmod(row, c.rows)
    col = min((at + 1) * per_beat, c.cols)
    width = c.left + c.cols + c.right + (geometry.image_pixels - 1 if image else 0)
    height = c.top + c.rows + c.bottom
    return (block * height + c.top + row) * width + c.left + col
