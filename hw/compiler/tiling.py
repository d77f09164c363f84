"""How a layer is cut: tiles of rows, columns, channels and reduction.

Terms. A *band* is a rectangle of the output whose input region is on chip as a whole; a *tile* is
the part of a band that one COMPUTE computes; a *slice* is a run of output groups whose weights are
on chip together; a *chunk* is a part of the reduction (input blocks, or kernel rows of one block)
whose int32 sums wait in the accumulator buffer for the next. Invariant: the tiles of all bands and
slices cover each output element once, the chunks of a slice each product once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

from heterolith.hw.compiler.layout import ceil_div
from heterolith.hw.compiler.mapping import Mapping
from heterolith.hw.geometry import Geometry
from heterolith.hw.shapes import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How a layer is cut and walked.

    Attributes
    ----------
    order
        ``tiles`` (band, tile, slice), ``slices`` (band, slice, tile) or ``weights`` (slice, band,
        tile).
    band
        Most rows and columns of a band.
    tile_rows
        Most rows of a tile; a tile is as wide as its band.
    slice_groups
        Most output groups of a slice.
    chunk_blocks, chunk_rows
        Most input blocks and kernel rows of a chunk; fewer rows than the kernel has only where
        ``chunk_blocks`` is 1.
    """

    order: str
    band: Pair
    tile_rows: int
    slice_groups: int
    chunk_blocks: int
    chunk_rows: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Part of the reduction: blocks relative to the span, kernel rows; both half open."""

    blocks: Pair
    rows: Pair


@dataclass(frozen=True, slots=True)
class Slice:
    """Output groups [first, last) that share a span of input blocks (or follow each other)."""

    first: int
    last: int
    span: Pair
    first_word: int
    group_words: int


@dataclass(frozen=True, slots=True)
class Band:
    """A rectangle of the output, half open, and its first parameter word."""

    rows: Pair
    cols: Pair
    first_parameter: int


def cut(span: Pair, most: int) -> list[Pair]:
    """Cut a half-open range into the fewest parts of at most ``most``, sizes differing by 1."""
    length = span[1] - span[0]
    parts = ceil_div(length, most)
    edges = [span[0] + length * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))


def slice_of(m: Mapping, first: int, last: int) -> Slice:
    """Return groups [first, last) as a slice; they share a span or are per channel."""
    low, blocks = m.spans[first]
    span = (low, blocks * (last - first) if m.per_channel else blocks)
    return Slice(first, last, span, m.first_word(first), m.group_words(first))


def slices(m: Mapping, most: int) -> list[Slice]:
    """Return the slices of at most ``most`` groups, in order."""
    runs, begin = [], 0
    for group in range(1, m.groups + 1):
        same = group < m.groups and (m.per_channel or m.spans[group] == m.spans[begin])
        if not same:
            runs.append((begin, group))
            begin = group
    return [slice_of(m, *part) for run in runs for part in cut(run, most)]


def chunks(m: Mapping, part: Slice, s: Schedule) -> list[Chunk]:
    """Return the chunks of a slice's reduction in weight order."""
    kernel = (0, m.kernel_steps[0])
    if m.per_channel:
        return [Chunk((0, part.span[1]), rows) for rows in cut(kernel, s.chunk_rows)]
    blocks = cut((0, part.span[1]), s.chunk_blocks)
    return [Chunk(span, rows) for span in blocks for rows in cut(kernel, s.chunk_rows)]


def bands(m: Mapping, s: Schedule) -> Iterator[Band]:
    """Yield the bands row by row."""
    for region in m.regions:
        for rows, cols in product(cut(region.rows, s.band[0]), cut(region.cols, s.band[1])):
            yield Band(rows, cols, region.first_parameter)


def region_rows(m: Mapping, rows: int, kernel_rows: int) -> int:
    """Return the input rows of ``rows`` output rows for a number of kernel rows."""
    return (rows - 1) * m.stride[0] + (kernel_rows - 1) * m.row_step + 1


def region_cols(m: Mapping, cols: int, geometry: Geometry) -> int:
    """Return the words of an input row for ``cols`` output columns, at worst alignment."""
    slack = geometry.image_pixels - 1 if m.image else 0
    return (cols - 1) * m.stride[1] + m.reach[1] + slack


def target_blocks(m: Mapping, part: Slice, geometry: Geometry) -> Pair:
    """Return the output blocks of a slice, half open."""
    width = 1 if m.per_channel else geometry.sub_blocks
    return part.first * width, min(part.last * width, m.out_blocks)


def walk(m: Mapping, s: Schedule) -> Iterator[tuple[Band, Pair, Slice]]:
    """Yield (band, tile rows, slice) in the order of the schedule."""
    parts = slices(m, s.slice_groups)
    if s.order == "weights":
        for part in parts:
            for band in bands(m, s):
                for tile in cut(band.rows, s.tile_rows):
                    yield band, tile, part
        return
    for band in bands(m, s):
        tiles = cut(band.rows, s.tile_rows)
        if s.order == "tiles":
            yield from ((band, tile, part) for tile in tiles for part in parts)
        else:
            yield from ((band, tile, part) for part in parts for tile in tiles)


def residual_words(m: Mapping, s: Schedule, geometry: Geometry) -> int:
    """Return the words of the largest tile's residual, 0 without one."""
    if m.residual is None:
        return 0
    width = 1 if m.per_channel else geometry.sub_blocks
    return s.tile_rows * s.band[1] * s.slice_groups * width


def parameter_runs(m: Mapping, s: Schedule, geometry: Geometry) -> tuple[Pair, ...]:
    """Return runs of output blocks whose parameters are loaded together, whole slices each."""
    most, runs, low, high = geometry.parameter_words // 4, [], 0, 0
    for part in slices(m, s.slice_groups):
        blocks = target_blocks(m, part, geometry)
        if high > low and blocks[1] - low > most:
            runs.append((low, high))
            low = high
        high = blocks[1]
    return (*runs, (low, high))
