"""One layer as commands: operands fetched where they are missing, steps, results.

A `LayerEmitter` emits the COMPUTEs of a layer. Its input comes from a `Source`: `DramSource` loads
regions of a tensor, `ComputedSource` has another layer compute them in place, so that the tensor
between two layers never leaves the chip. Its result goes to DRAM through the output buffer, or
into the region of the layer that asked for it. Terms as in `heterolith.hw.compiler.tiling`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from heterolith.hw.commands import Memory
from heterolith.hw.compiler.emit import Emitter, Key, Ring, Tensor, store_tile
from heterolith.hw.compiler.layout import ceil_div
from heterolith.hw.compiler.mapping import Mapping
from heterolith.hw.compiler.tiling import (
    Band,
    Chunk,
    Schedule,
    Slice,
    chunks,
    cut,
    parameter_runs,
    region_rows,
    slice_of,
    target_blocks,
    walk,
)
from heterolith.hw.program import Compute, Load
from heterolith.hw.shapes import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Where a layer's weight and parameter words lie in DRAM, bytes."""

    weights: int
    parameters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRequest:
    """What a COMPUTE reads: rows and columns of the padded input, half open, of some blocks.

    ``need`` is the number of rows from the first that must be there now.
    """

    rows: Pair
    cols: Pair
    blocks: Pair
    need: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Where a request lies in the activation buffer; ``shift`` columns precede the first."""

    base: int
    pitch: int
    block_pitch: int
    shift: int = 0


class Source(Protocol):
    """Where a layer's input comes from; ``computed`` means from other COMPUTEs."""

    computed: bool

    def region(self, request: RegionRequest) -> Region:
        """Return the place of a region, present as far as it is needed."""


class DramSource:
    """Regions loaded from a tensor in DRAM, with padding of ``pad_value``."""

    computed = False

    def __init__(self, e: Emitter, tensor: Tensor, pad_value: int, ring: Ring) -> None:
        self.e, self.tensor, self.pad_value, self.ring = e, tensor, pad_value, ring
        self._loaded: dict[Key, int] = {}

    def region(self, request: RegionRequest) -> Region:
        """Load the missing rows of a region."""
        pixels = self.e.geometry.image_pixels if self.tensor.image else 1
        first = request.cols[0]
        shift = first % pixels if first > 0 else 0
        cols = (first - shift, request.cols[1])
        width, height = cols[1] - cols[0], request.rows[1] - request.rows[0]
        key = (request.rows, request.cols, request.blocks)
        base = self.ring.find(key)
        if base < 0:
            blocks = request.blocks[1] - request.blocks[0]
            base = self.ring.place(key, blocks * height * width)
            self._loaded[key] = 0
        done = self._loaded[key]
        place = Region(base=base, pitch=width, block_pitch=width * height, shift=shift)
        if request.need > done:
            rows = (request.rows[0] + done, request.rows[0] + request.need)
            self._load(request.blocks, rows, cols, (place, done))
            self._loaded[key] = request.need
        return place

    def _load(self, blocks: Pair, rows: Pair, cols: Pair, at: tuple[Region, int]) -> None:
        """Load rows and columns of the padded tensor behind the ``at[1]`` rows already there."""
        t, (place, done) = self.tensor, at
        low, high = max(rows[0], 0), min(rows[1], t.height)
        left, right = max(cols[0], 0), min(cols[1], t.width)
        common = {
            "pad_value": self.pad_value,
            "blocks": blocks[1] - blocks[0],
            "buffer": place.base + done * place.pitch,
            "buffer_row_pitch": place.pitch,
            "buffer_block_pitch": place.block_pitch,
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
                offset=t.offset + beat * t.lanes,
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


class ComputedSource:
    """Regions that another layer computes into the activation buffer when they are asked for."""

    computed = True

    def __init__(self, producer: LayerEmitter, pad_value: int, ring: Ring) -> None:
        self.producer, self.pad_value, self.ring = producer, pad_value, ring
        self._border: tuple[int, ...] = ()

    def region(self, request: RegionRequest) -> Region:
        """Compute a region unless it is there."""
        width = request.cols[1] - request.cols[0]
        height = request.rows[1] - request.rows[0]
        key = (request.rows, request.cols, request.blocks)
        base = self.ring.find(key)
        if base >= 0:
            return Region(base=base, pitch=width, block_pitch=width * height)
        count = request.blocks[1] - request.blocks[0]
        base = self.ring.place(key, count * height * width)
        place = Region(base=base, pitch=width, block_pitch=width * height)
        size = self.producer.mapping.output_size
        rows = (max(request.rows[0], 0), min(request.rows[1], size[0]))
        cols = (max(request.cols[0], 0), min(request.cols[1], size[1]))
        self._fill(request, place, rows, cols)
        if rows[0] < rows[1] and cols[0] < cols[1]:
            inner = (rows[0] - request.rows[0]) * width + cols[0] - request.cols[0]
            band = Band(rows, cols, self.producer.mapping.regions[0].first_parameter)
            self.producer.produce(band, request.blocks, (place, inner))
        return place

    def _fill(self, request: RegionRequest, place: Region, rows: Pair, cols: Pair) -> None:
        """Write the padding around a region, unless the last one here left the same."""
        height = request.rows[1] - request.rows[0]
        above = min(max(rows[0] - request.rows[0], 0), height)
        below = request.rows[1] - max(rows[1], request.rows[0] + above)
        left, right = cols[0] - request.cols[0], request.cols[1] - cols[1]
        border = (place.base, place.pitch, place.block_pitch, above, below, left, right)
        if border == self._border:
            return
        self._border = border
        # Pad as many blocks as the ring holds: smaller and larger slices alternate.
        blocks = (self.ring.end - place.base) // place.block_pitch
        middle = height - above - below
        for first_row, first_col, size in (
            (0, 0, (above, place.pitch)),
            (height - below, 0, (below, place.pitch)),
            (above, 0, (middle, left)),
            (above, place.pitch - right, (middle, right)),
        ):
            if min(size) > 0:
                self.producer.e.push(
                    Load(
                        fill=1,
                        pad_value=self.pad_value,
                        rows=size[0],
                        cols=size[1],
                        blocks=blocks,
                        buffer=place.base + first_row * place.pitch + first_col,
                        buffer_row_pitch=place.pitch,
                        buffer_block_pitch=place.block_pitch,
                    )
                )


class LayerEmitter:
    """The commands of one layer."""

    def __init__(
        self, e: Emitter, m: Mapping, constants: Constants, s: Schedule, source: Source
    ) -> None:
        self.e, self.mapping, self.constants, self.schedule = e, m, constants, s
        self.source = source
        self.number = e.layer()
        self._runs = parameter_runs(m, s, e.geometry)

    def tile(
        self, band: Band, tile: Pair, part: Slice, sinks: tuple[Tensor, Tensor | None, Ring]
    ) -> None:
        """Emit one tile and slice to DRAM; ``sinks`` are target, residual and its ring."""
        m, geometry = self.mapping, self.e.geometry
        target, addend, ring = sinks
        blocks = target_blocks(m, part, geometry)
        width, height = band.cols[1] - band.cols[0], tile[1] - tile[0]
        fields = self._chunks_before_last(band, tile, part)
        at = self.e.output.place((self.number, "out"), (blocks[1] - blocks[0]) * width * height)
        fields |= self._result(band, blocks)
        fields |= {"target": at, "target_row_pitch": width, "target_block_pitch": width * height}
        if addend is not None:
            fields |= self._residual(addend, ring, (blocks, tile, band.cols))
        self.e.push(Compute(**fields))
        self.e.push(store_tile(target, blocks, tile, band.cols, at))

    def produce(self, band: Band, blocks: Pair, at: tuple[Region, int]) -> None:
        """Compute some blocks of a band into a region, ``at[1]`` words from its base."""
        m = self.mapping
        place, inner = at
        width = self._width()
        groups = (blocks[0] // width, ceil_div(blocks[1], width))
        for span in cut(groups, self.schedule.slice_groups):
            part = slice_of(m, *span)
            covered = target_blocks(m, part, self.e.geometry)
            fields = self._chunks_before_last(band, band.rows, part)
            fields |= self._result(band, covered)
            fields |= {
                "to_activation": 1,
                "target": place.base + inner + (covered[0] - blocks[0]) * place.block_pitch,
                "target_row_pitch": place.pitch,
                "target_block_pitch": place.block_pitch,
            }
            self.e.push(Compute(**fields))

    def _width(self) -> int:
        return 1 if self.mapping.per_channel else self.e.geometry.sub_blocks

    def _chunks_before_last(self, band: Band, tile: Pair, part: Slice) -> dict[str, int]:
        """Emit all chunks of a tile but the last; return the last one's reduction fields."""
        pixels = (tile[1] - tile[0]) * (band.cols[1] - band.cols[0])
        parts = chunks(self.mapping, part, self.schedule)
        if len(parts) == 1:
            return self._reduction(band, tile, part, parts[0])
        words = (part.last - part.first) * ceil_div(pixels, self.e.geometry.pixels)
        sums = self.e.accumulator.place((self.number, "sums"), words)
        for index, chunk in enumerate(parts):
            fields = self._reduction(band, tile, part, chunk)
            fields |= {"accumulate": int(index > 0), "accumulator": sums}
            if index < len(parts) - 1:
                self.e.push(Compute(**fields, partial=1))
        return fields

    def _reduction(self, band: Band, tile: Pair, part: Slice, chunk: Chunk) -> dict[str, int]:
        """Fetch what a chunk reads; return the fields of its COMPUTE that address it."""
        m = self.mapping
        request = self._request(band, tile, part, chunk)
        # Weights first: they may load while the input is still waited for. Behind a computed
        # input they come last: the weights of all its layers pass through the buffer before.
        weight = -1 if self.source.computed else self._weights(part, chunk)
        place = self.source.region(request)
        if weight < 0:
            weight = self._weights(part, chunk)
        blocks = 1 if m.per_channel else chunk.blocks[1] - chunk.blocks[0]
        first_row = (tile[0] - band.rows[0]) * m.stride[0]
        return {
            "per_channel": int(m.per_channel),
            "maximum": int(m.maximum),
            "hold_weight": int(m.hold_weight),
            "window": m.window,
            "source": place.base + first_row * place.pitch + place.shift,
            "weight": weight,
            "cols": band.cols[1] - band.cols[0],
            "rows": tile[1] - tile[0],
            "blocks": target_blocks(m, part, self.e.geometry)[1] - part.first * self._width(),
            "group_step": place.block_pitch if m.per_channel else 0,
            "col_step": m.stride[1],
            "row_step": m.stride[0] * place.pitch,
            "k_cols": m.kernel_steps[1],
            "k_rows": chunk.rows[1] - chunk.rows[0],
            "k_blocks": blocks,
            "k_col_step": m.col_step,
            "k_row_step": m.row_step * place.pitch,
            "k_block_step": place.block_pitch if blocks > 1 else 0,
        }

    def _request(self, band: Band, tile: Pair, part: Slice, chunk: Chunk) -> RegionRequest:
        m = self.mapping
        kernel_rows = chunk.rows[1] - chunk.rows[0]
        row = band.rows[0] * m.stride[0] - m.pads[0] + chunk.rows[0] * m.row_step
        col = band.cols[0] * m.stride[1] - m.pads[1]
        height = region_rows(m, band.rows[1] - band.rows[0], kernel_rows)
        width = (band.cols[1] - band.cols[0] - 1) * m.stride[1] + m.reach[1]
        return RegionRequest(
            rows=(row, row + height),
            cols=(col, col + width),
            blocks=(part.span[0] + chunk.blocks[0], part.span[0] + chunk.blocks[1]),
            need=region_rows(m, tile[1] - band.rows[0], kernel_rows),
        )

    def _weights(self, part: Slice, chunk: Chunk) -> int:
        """Return the weight word of a chunk of a slice, loading it if it is not there."""
        m, e = self.mapping, self.e
        offset = self.constants.weights
        if m.hold_weight:
            return e.load_words(e.weight, Memory.WEIGHT, (self.number, "ones"), (offset, 1))
        key = (self.number, "weights", part.first, part.last, chunk)
        start = e.weight.find(key)
        if start >= 0:
            return start
        row_words = m.kernel_steps[1]
        blocks = 1 if m.per_channel else chunk.blocks[1] - chunk.blocks[0]
        words = blocks * (chunk.rows[1] - chunk.rows[0]) * row_words
        skipped = 0 if m.per_channel else chunk.blocks[0] * m.kernel_steps[0] * row_words
        skipped += chunk.rows[0] * row_words
        groups = part.last - part.first
        start = e.weight.place(key, words * groups)
        n_pe = e.geometry.n_pe
        e.push(
            Load(
                memory=Memory.WEIGHT,
                offset=offset + (part.first_word + skipped) * n_pe * e.geometry.lanes,
                cols=words * n_pe,
                rows=groups,
                row_pitch=part.group_words * n_pe,
                buffer=start,
            )
        )
        return start

    def _result(self, band: Band, blocks: Pair) -> dict[str, int]:
        """Load the parameters of some output blocks; return the fields that rescale to codes."""
        m, e = self.mapping, self.e
        runs = (run for run in self._runs if run[0] <= blocks[0] and blocks[1] <= run[1])
        low, high = next(runs, blocks)
        first = band.first_parameter + low
        run = (self.constants.parameters + first * e.geometry.lanes * 8, high - low)
        key = (self.number, "parameters", first, high)
        words = e.load_words(e.parameter, Memory.PARAMETER, key, run)
        return {
            "parameter": words + blocks[0] - low,
            "output_zero": m.output.zero_point,
            "low": m.output.low,
            "high": m.output.high,
        }

    def _residual(self, t: Tensor, ring: Ring, tile: tuple[Pair, Pair, Pair]) -> dict[str, int]:
        """Load the residual of a tile (blocks, rows, columns); return the fields that add it."""
        residual = self.mapping.residual
        assert residual is not None
        blocks, rows, cols = tile
        width, height, count = cols[1] - cols[0], rows[1] - rows[0], blocks[1] - blocks[0]
        at = ring.place(tile, count * width * height)
        beat = blocks[0] * t.block_pitch + rows[0] * t.pitch + cols[0]
        self.e.push(
            Load(
                offset=t.offset + beat * t.lanes,
                cols=width,
                rows=height,
                blocks=count,
                buffer=at,
                row_pitch=t.pitch,
                block_pitch=t.block_pitch,
                buffer_row_pitch=width,
                buffer_block_pitch=width * height,
            )
        )
        return {
            "residual": 1,
            "addend": at,
            "addend_row_pitch": width,
            "addend_block_pitch": width * height,
            "addend_zero": residual.zero_point,
            "addend_multiplier": int(residual.scaling.multiplier),
            "addend_shift": int(residual.scaling.shift),
        }


def emit_tiles(layer: LayerEmitter, target: Tensor, addend: Tensor | None, ring: Ring) -> None:
    """Emit a whole layer to DRAM in the order of its schedule."""
    for band, tile, part in walk(layer.mapping, layer.schedule):
        layer.tile(band, tile, part, (target, addend, ring))
