"""A layer as commands: tiles of rows, columns, channels and reduction under the buffer budgets.

Terms. A *band* is a rectangle of the output whose input region is on chip as a whole; a *tile* is
the part of a band that one COMPUTE computes; a *slice* is a run of output groups whose weights are
on chip together; a *chunk* is a part of the reduction (input blocks, or kernel rows of one block)
whose int32 sums wait in the accumulator buffer for the next. `emit` walks them in the order a
`Schedule` gives and loads what is missing; rows of a region are loaded as tiles reach them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

from heterolith.hw.commands import Memory
from heterolith.hw.emit import Emitter, Key, Tensor, store_tile
from heterolith.hw.geometry import Geometry
from heterolith.hw.layout import ceil_div
from heterolith.hw.mapping import Mapping
from heterolith.hw.program import Compute, Load
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a layer's data lies in DRAM; offsets in bytes."""

    source: Tensor
    target: Tensor
    weights: int
    parameters: int
    addend: Tensor | None = None


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


def slices(m: Mapping, most: int) -> list[Slice]:
    """Return the slices of at most ``most`` groups, in order."""
    runs, begin = [], 0
    for group in range(1, m.groups + 1):
        same = group < m.groups and (m.per_channel or m.spans[group] == m.spans[begin])
        if not same:
            runs.append((begin, group))
            begin = group
    result, word = [], 0
    for run in runs:
        words = m.group_words(run[0])
        for first, last in cut(run, most):
            low, blocks = m.spans[first]
            span = (low, blocks * (last - first) if m.per_channel else blocks)
            result.append(Slice(first, last, span, word, words))
            word += words * (last - first)
    return result


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


class _Layer:
    """One layer while its commands are emitted."""

    def __init__(self, e: Emitter, m: Mapping, p: Placement, s: Schedule) -> None:
        self.e, self.m, self.p, self.s = e, m, p, s
        self.number = e.layer()
        self.loaded: dict[Key, int] = {}
        reserve = 2 * residual_words(m, s, e.geometry)
        self.limit = e.geometry.activation_words - reserve
        self.addends = [self.limit, self.limit + reserve // 2]
        self.parameter_runs = _parameter_runs(m, s, e.geometry)

    def tile(self, band: Band, tile: Pair, part: Slice) -> None:
        """Emit the commands of one tile and slice."""
        m, geometry = self.m, self.e.geometry
        pixels = (tile[1] - tile[0]) * (band.cols[1] - band.cols[0])
        blocks = target_blocks(m, part, geometry)
        parts = chunks(m, part, self.s)
        sums = 0
        if len(parts) > 1:
            words = (part.last - part.first) * ceil_div(pixels, geometry.pixels)
            sums = self.e.accumulator.place((self.number, "sums"), words)
        for index, chunk in enumerate(parts):
            last = index == len(parts) - 1
            command = self._reduction(band, tile, part, chunk)
            fields = {"accumulate": int(index > 0), "accumulator": sums, "partial": int(not last)}
            if last:
                fields |= self._result(band, tile, part, pixels)
            self.e.push(Compute(**command, **fields))
        at = fields["target"]
        self.e.push(store_tile(self.p.target, blocks, tile, band.cols, at))

    def _reduction(self, band: Band, tile: Pair, part: Slice, chunk: Chunk) -> dict[str, int]:
        """Load what a chunk reads; return the fields of its COMPUTE that address it."""
        m = self.m
        region_key = (self.number, band.rows, band.cols, part.span, chunk)
        weight_key = (self.number, "weights", part.first, chunk)
        weight = self._weights(weight_key, part, chunk)
        base, pitch, height, shift = self._region(region_key, band, tile, part, chunk)
        block_pitch = pitch * height
        if m.per_channel:
            blocks, group_step = 1, block_pitch
        else:
            blocks, group_step = chunk.blocks[1] - chunk.blocks[0], 0
        return {
            "per_channel": int(m.per_channel),
            "maximum": int(m.maximum),
            "hold_weight": int(m.hold_weight),
            "window": m.window,
            "source": base + (tile[0] - band.rows[0]) * m.stride[0] * pitch + shift,
            "weight": weight,
            "cols": band.cols[1] - band.cols[0],
            "rows": tile[1] - tile[0],
            "blocks": -part.first * self._width() + target_blocks(m, part, self.e.geometry)[1],
            "group_step": group_step,
            "col_step": m.stride[1],
            "row_step": m.stride[0] * pitch,
            "k_cols": m.kernel_steps[1],
            "k_rows": chunk.rows[1] - chunk.rows[0],
            "k_blocks": blocks,
            "k_col_step": m.col_step,
            "k_row_step": m.row_step * pitch,
            "k_block_step": block_pitch if blocks > 1 else 0,
        }

    def _width(self) -> int:
        return 1 if self.m.per_channel else self.e.geometry.sub_blocks

    def _weights(self, key: Key, part: Slice, chunk: Chunk) -> int:
        """Return the weight word of a chunk of a slice, loading it if it is not there."""
        m, e = self.m, self.e
        unit = e.geometry.n_pe * e.geometry.lanes
        if m.hold_weight:
            run = (self.p.weights, 1)
            return e.load_words(e.weight, Memory.WEIGHT, (self.number, "ones"), run)
        start = e.weight.find(key)
        if start >= 0:
            return start
        per_block = m.kernel_steps[0] * m.kernel_steps[1]
        rows = chunk.rows[1] - chunk.rows[0]
        blocks = 1 if m.per_channel else chunk.blocks[1] - chunk.blocks[0]
        words = blocks * rows * m.kernel_steps[1]
        skipped = 0 if m.per_channel else chunk.blocks[0] * per_block
        skipped += chunk.rows[0] * m.kernel_steps[1]
        groups = part.last - part.first
        start = e.weight.place(key, words * groups)
        e.push(
            Load(
                memory=Memory.WEIGHT,
                offset=self.p.weights + (part.first_word + skipped) * unit,
                cols=words * e.geometry.n_pe,
                rows=groups,
                row_pitch=part.group_words * e.geometry.n_pe,
                buffer=start,
            )
        )
        return start

    def _region(
        self, key: Key, band: Band, tile: Pair, part: Slice, chunk: Chunk
    ) -> tuple[int, int, int, int]:
        """Return (base, row pitch, rows, column shift) of a region, loaded as far as the tile."""
        m, e = self.m, self.e
        kernel_rows = chunk.rows[1] - chunk.rows[0]
        height = region_rows(m, band.rows[1] - band.rows[0], kernel_rows)
        origin_col = band.cols[0] * m.stride[1] - m.pads[1]
        shift = origin_col % e.geometry.image_pixels if m.image and origin_col > 0 else 0
        width = (band.cols[1] - band.cols[0] - 1) * m.stride[1] + m.reach[1] + shift
        low = part.span[0] + chunk.blocks[0]
        high = part.span[0] + chunk.blocks[1]
        base = e.activation.find(key)
        if base < 0:
            words = (high - low) * height * width
            base = e.activation.place(key, words, limit=self.limit)
            self.loaded[key] = 0
        origin_row = band.rows[0] * m.stride[0] - m.pads[0] + chunk.rows[0] * m.row_step
        need = region_rows(m, tile[1] - band.rows[0], kernel_rows)
        done = self.loaded[key]
        if need > done:
            rows = (origin_row + done, origin_row + need)
            cols = (origin_col - shift, origin_col - shift + width)
            pitches = (width, width * height)
            self._load_rows((low, high), rows, cols, base + done * width, pitches)
            self.loaded[key] = need
        return base, width, height, shift

    def _load_rows(self, blocks: Pair, rows: Pair, cols: Pair, at: int, pitches: Pair) -> None:
        """Load rows and columns of the padded input; padding is what lies outside the tensor."""
        t, lanes = self.p.source, self.e.geometry.lanes
        low, high = max(rows[0], 0), min(rows[1], t.height)
        left, right = max(cols[0], 0), min(cols[1], t.width)
        common = {
            "pad_value": self.m.pad_value,
            "blocks": blocks[1] - blocks[0],
            "buffer": at,
            "buffer_row_pitch": pitches[0],
            "buffer_block_pitch": pitches[1],
        }
        if low >= high or left >= right:
            size = {"rows": rows[1] - rows[0], "cols": cols[1] - cols[0]}
            self.e.push(Load(fill=1, **size, **common))
            return
        beat = left // (self.e.geometry.image_pixels if t.image else 1)
        beat += blocks[0] * t.block_pitch + low * t.pitch
        self.e.push(
            Load(
                memory=Memory.IMAGE if t.image else Memory.ACTIVATION,
                offset=t.offset + beat * lanes,
                cols=right - left,
                rows=high - low,
                row_pitch=t.pitch,
                block_pitch=t.block_pitch,
                top=low - rows[0],
                bottom=rows[1] - high,
                left=left - cols[0],
                right=cols[1] - right,
                **common,
            )
        )

    def _result(self, band: Band, tile: Pair, part: Slice, pixels: int) -> dict[str, int]:
        """Load parameters and residual of a tile; return the fields of its result."""
        m, e = self.m, self.e
        blocks = target_blocks(m, part, e.geometry)
        count, width = blocks[1] - blocks[0], band.cols[1] - band.cols[0]
        low, high = self.parameter_runs[part.first]
        key = (self.number, "parameters", band.first_parameter, low)
        first = band.first_parameter + low
        run = (self.p.parameters + first * e.geometry.lanes * 8, high - low)
        words = e.load_words(e.parameter, Memory.PARAMETER, key, run)
        target = e.output.place((self.number, "out"), count * pixels)
        fields = {
            "parameter": words + blocks[0] - low,
            "target": target,
            "target_row_pitch": width,
            "target_block_pitch": pixels,
            "output_zero": m.output.zero_point,
            "low": m.output.low,
            "high": m.output.high,
        }
        if m.residual is None or self.p.addend is None:
            return fields
        at = self.addends[0]
        self.addends.reverse()
        t = self.p.addend
        beat = blocks[0] * t.block_pitch + tile[0] * t.pitch + band.cols[0]
        e.push(
            Load(
                offset=t.offset + beat * e.geometry.lanes,
                cols=width,
                rows=tile[1] - tile[0],
                blocks=count,
                buffer=at,
                row_pitch=t.pitch,
                block_pitch=t.block_pitch,
                buffer_row_pitch=width,
                buffer_block_pitch=pixels,
            )
        )
        scaling = m.residual.scaling
        return fields | {
            "residual": 1,
            "addend": at,
            "addend_row_pitch": width,
            "addend_block_pitch": pixels,
            "addend_zero": m.residual.zero_point,
            "addend_multiplier": int(scaling.multiplier),
            "addend_shift": int(scaling.shift),
        }


def residual_words(m: Mapping, s: Schedule, geometry: Geometry) -> int:
    """Return the words of the largest tile's residual, 0 without one."""
    if m.residual is None:
        return 0
    width = 1 if m.per_channel else geometry.sub_blocks
    return s.tile_rows * s.band[1] * s.slice_groups * width


def _parameter_runs(m: Mapping, s: Schedule, geometry: Geometry) -> dict[int, Pair]:
    """Return for each slice's first group the run of output blocks loaded with it."""
    runs: dict[int, Pair] = {}
    members: list[int] = []
    low = high = 0
    for part in slices(m, s.slice_groups):
        blocks = target_blocks(m, part, geometry)
        if blocks[1] - low > geometry.parameter_words // 4:
            runs |= dict.fromkeys(members, (low, high))
            members, low = [], blocks[0]
        members.append(part.first)
        high = blocks[1]
    return runs | dict.fromkeys(members, (low, high))


def emit(e: Emitter, m: Mapping, p: Placement, s: Schedule) -> None:
    """Append the commands of one layer on one image."""
    layer = _Layer(e, m, p, s)
    for band, tile, part in walk(m, s):
        layer.tile(band, tile, part)
