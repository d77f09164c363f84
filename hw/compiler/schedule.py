"""The choice of a `Schedule`: every candidate that fits the buffers, cheapest modelled cycles.

The model is a closed form over a layer: steps of the array against bytes moved, whichever is
longer, plus the loads before the first step and the store after the last. A region takes half of
the activation buffer, so that the next one loads while it computes, unless the layer needs only
one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from heterolith.errors import InputError
from heterolith.hw.compiler.layout import ceil_div
from heterolith.hw.compiler.mapping import STEP_COLS, Mapping
from heterolith.hw.compiler.tiling import (
    Schedule,
    cut,
    region_cols,
    region_rows,
    residual_words,
    slices,
)
from heterolith.hw.geometry import Geometry
from heterolith.hw.program import COUNT_LIMIT, Compute
from heterolith.hw.shapes import Pair
from heterolith.hw.timing.timeline import Dram, compute_cycles

COMMAND_CYCLES = 10
"""What one more COMPUTE is taken to cost: its start and what it adds to waits."""


def halves(value: int) -> list[int]:
    """Return value, its half, its quarter ... down to 1, rounded up."""
    result = [value]
    while result[-1] > 1:
        result.append(ceil_div(result[-1], 2))
    return result


def whole_steps(m: Mapping) -> dict[str, int]:
    """Return the fields of a COMPUTE that reduces a whole kernel."""
    blocks = 1 if m.per_channel else m.spans[0][1]
    return {"k_cols": m.kernel_steps[1], "k_rows": m.kernel_steps[0], "k_blocks": blocks}


def _span_blocks(m: Mapping) -> int:
    """Return the most input blocks of a group's reduction."""
    return max(blocks for _, blocks in m.spans)


def _width(m: Mapping, geometry: Geometry) -> int:
    return 1 if m.per_channel else geometry.sub_blocks


def _chunk_words(m: Mapping, s: Schedule) -> int:
    """Return weight words of the largest chunk of one group."""
    blocks = 1 if m.per_channel else s.chunk_blocks
    return blocks * s.chunk_rows * m.kernel_steps[1]


def _region_words(m: Mapping, s: Schedule, geometry: Geometry, band_rows: int = 0) -> int:
    """Return the words of the largest region, for bands of other rows if these are given."""
    blocks = s.slice_groups if m.per_channel else s.chunk_blocks
    rows = region_rows(m, band_rows or s.band[0], s.chunk_rows)
    return blocks * rows * region_cols(m, s.band[1], geometry)


def _chunked(m: Mapping, s: Schedule) -> bool:
    blocks = 1 if m.per_channel else _span_blocks(m)
    return s.chunk_rows < m.kernel_steps[0] or (not m.per_channel and s.chunk_blocks < blocks)


def fits(m: Mapping, s: Schedule, geometry: Geometry) -> bool:
    """Return whether a schedule keeps to the buffers and to the ranges of the command fields."""
    outputs = s.tile_rows * s.band[1]
    blocks = s.slice_groups * _width(m, geometry)
    steps = _chunk_words(m, s)
    weights = 1 if m.hold_weight else steps * s.slice_groups
    single = _single(m, s)
    space = geometry.activation_words - residual_words(m, s, geometry)
    if residual_words(m, s, geometry):
        space -= residual_words(m, s, geometry)
    if not single:
        space //= 2
    if _chunked(m, s):
        if m.window > 1:
            return False
        sums = s.slice_groups * ceil_div(outputs, geometry.pixels)
        if sums > geometry.accumulator_words:
            return False
    return (
        outputs * blocks <= geometry.output_words // 2
        and blocks <= geometry.parameter_words // 2
        and weights <= geometry.weight_words
        and _region_words(m, s, geometry) <= space
        and max(steps, outputs) <= COUNT_LIMIT
        and s.chunk_rows <= STEP_COLS
    )


def _single(m: Mapping, s: Schedule) -> bool:
    """Return whether the layer has one region for all its computation."""
    return (
        s.band[0] >= m.output_size[0]
        and s.band[1] >= m.output_size[1]
        and not _chunked(m, s)
        and (s.slice_groups >= m.groups if m.per_channel else len(set(m.spans)) == 1)
        and len(m.regions) == 1
    )


def _slice_limit(m: Mapping, s: Schedule, geometry: Geometry) -> int:
    """Return the most groups of a slice for the weights, results and parameters it needs."""
    width, outputs = _width(m, geometry), s.tile_rows * s.band[1]
    limits = [
        geometry.output_words // 2 // (outputs * width),
        geometry.parameter_words // 4 // width,
        m.groups,
    ]
    if not m.hold_weight:
        limits.append(geometry.weight_words // 4 // _chunk_words(m, s))
    if _chunked(m, s):
        limits.append(geometry.accumulator_words // ceil_div(outputs, geometry.pixels))
    if m.per_channel:
        one = _region_words(m, replace(s, slice_groups=1), geometry)
        limits.append(geometry.activation_words // 2 // one)
    return max(1, min(limits))


def _chunkings(m: Mapping) -> Iterator[Pair]:
    """Yield (blocks, kernel rows) per chunk, whole first."""
    rows = m.kernel_steps[0]
    if m.per_channel:
        yield from ((1, n) for n in halves(rows) if n <= STEP_COLS)
        return
    yield from ((n, rows) for n in halves(_span_blocks(m)))
    yield from ((1, n) for n in halves(rows)[1:])


def candidates(m: Mapping, geometry: Geometry) -> Iterator[Schedule]:
    """Yield schedules that fit; fewer chunks and wider bands come first."""
    rows, cols = m.output_size
    half = geometry.output_words // 2 // _width(m, geometry)
    found = 0
    for chunk, width in product(_chunkings(m), halves(cols)):
        if width > half:
            continue
        seen: set[int] = set()
        for height in halves(rows):
            tile = min(height, half // width)
            tile = ceil_div(height, ceil_div(height, tile))
            base = partial(
                Schedule,
                band=(height, width),
                tile_rows=tile,
                chunk_blocks=chunk[0],
                chunk_rows=chunk[1],
            )
            most = _slice_limit(m, base(order="tiles", slice_groups=1), geometry)
            for groups in {most, ceil_div(most, 4), 1}:
                if fits(m, base(order="tiles", slice_groups=groups), geometry):
                    seen.add(height)
                    for order in ("tiles", "slices", "weights"):
                        yield base(order=order, slice_groups=groups)
            if len(seen) >= 3:
                break
        found += bool(seen)
        if found >= 3:
            return


def _tiles_cycles(m: Mapping, s: Schedule, geometry: Geometry) -> tuple[int, int]:
    """Return (cycles of the COMPUTEs of all groups, COMPUTEs per slice)."""
    cycles = commands = 0
    width = _width(m, geometry)
    spans = sum(blocks for _, blocks in m.spans) / m.groups
    n_chunks = 1
    steps = (spans, m.kernel_steps[0])
    if _chunked(m, s):
        n_chunks = ceil_div(m.kernel_steps[0], s.chunk_rows)
        n_chunks *= 1 if m.per_channel else ceil_div(_span_blocks(m), s.chunk_blocks)
        steps = (min(spans, s.chunk_blocks), s.chunk_rows)
    sizes: dict[Pair, int] = {}
    for region in m.regions:
        for band_rows in cut(region.rows, s.band[0]):
            for tile in cut(band_rows, s.tile_rows):
                for cols in cut(region.cols, s.band[1]):
                    size = (tile[1] - tile[0], cols[1] - cols[0])
                    sizes[size] = sizes.get(size, 0) + 1
    for (height, columns), count in sizes.items():
        one = Compute(
            per_channel=int(m.per_channel),
            window=m.window,
            residual=int(m.residual is not None),
            rows=height,
            cols=columns,
            blocks=width,
            col_step=m.stride[1],
            k_cols=m.kernel_steps[1],
            k_rows=steps[1],
            k_blocks=max(1, round(steps[0])) if not m.per_channel else 1,
        )
        cycles += count * m.groups * n_chunks * compute_cycles(one, geometry)
        commands += count * n_chunks
    return cycles, commands


@dataclass(frozen=True, slots=True)
class _Passes:
    """Words of one pass over the input, bands and tiles of a schedule."""

    words: int
    bands: int
    tiles: int


def _passes(m: Mapping, s: Schedule, geometry: Geometry) -> _Passes:
    rows = [b for r in m.regions for b in cut(r.rows, s.band[0])]
    cols = [b for r in m.regions for b in cut(r.cols, s.band[1])]
    if len(m.regions) > 1:
        rows, cols = cut((0, m.output_size[0]), s.band[0]), cut((0, m.output_size[1]), s.band[1])
    down = sum(min(region_rows(m, b[1] - b[0], m.kernel_steps[0]), m.size[0]) for b in rows)
    across = sum(min(region_cols(m, b[1] - b[0], geometry), m.size[1]) for b in cols)
    tiles = sum(ceil_div(b[1] - b[0], s.tile_rows) for b in rows) * len(cols)
    return _Passes(down * across, len(rows) * len(cols), tiles)


def _spanned(m: Mapping, slice_groups: int) -> tuple[int, int, int]:
    """Return (slices, input blocks of their distinct spans, input blocks of all of them)."""
    parts = slices(m, slice_groups)
    once = sum(span[1] for span in {part.span for part in parts})
    return len(parts), once, sum(part.span[1] for part in parts)


class Parts:
    """What the schedules of a layer share, computed once for each value of what it depends on."""

    def __init__(self, m: Mapping, geometry: Geometry) -> None:
        self.m, self.geometry = m, geometry
        self.weight_words = sum(m.group_words(group) for group in range(m.groups))
        self._tiles: dict[Hashable, tuple[int, int]] = {}
        self._passes: dict[Hashable, _Passes] = {}
        self._spans: dict[int, tuple[int, int, int]] = {}

    def tiles(self, s: Schedule) -> tuple[int, int]:
        """Return (cycles of all COMPUTEs, number of COMPUTEs)."""
        key = (s.band, s.tile_rows, s.chunk_blocks, s.chunk_rows)
        if key not in self._tiles:
            self._tiles[key] = _tiles_cycles(self.m, s, self.geometry)
        cycles, commands = self._tiles[key]
        return cycles, commands * ceil_div(self.m.groups, s.slice_groups)

    def passes(self, s: Schedule) -> _Passes:
        """Return what one pass over the input takes."""
        key = (s.band, s.tile_rows)
        if key not in self._passes:
            self._passes[key] = _passes(self.m, s, self.geometry)
        return self._passes[key]

    def spanned(self, s: Schedule) -> tuple[int, int, int]:
        """Return `_spanned` of a schedule."""
        if s.slice_groups not in self._spans:
            self._spans[s.slice_groups] = _spanned(self.m, s.slice_groups)
        return self._spans[s.slice_groups]


def _loaded_words(parts: Parts, s: Schedule) -> tuple[int, int]:
    """Return (activation words, weight words) that a schedule loads."""
    m, geometry, passes = parts.m, parts.geometry, parts.passes(s)
    n_slices, once, every = parts.spanned(s)
    chunked = _chunked(m, s)
    resident = passes.words * m.in_blocks <= geometry.activation_words
    reload = chunked or s.order == "weights"
    blocks = every if reload and not resident and not m.per_channel else once
    if s.order == "tiles" and m.per_channel and n_slices > 1 and not resident:
        blocks = once * ceil_div(passes.tiles, passes.bands)
    activation, total = passes.words * blocks, parts.weight_words
    if m.hold_weight:
        return activation, 1
    if total <= geometry.weight_words or (s.order == "weights" and not chunked):
        return activation, total
    return activation, total * (passes.tiles if s.order == "tiles" or chunked else passes.bands)


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a layer takes under a schedule: cycles of steps, COMPUTEs, words loaded and stored."""

    compute: int
    commands: int
    loaded: int
    stored: int


def amounts(m: Mapping, s: Schedule, parts: Parts) -> Amounts:
    """Return what a layer takes under a schedule; ``parts`` are the layer's."""
    compute, commands = parts.tiles(s)
    activation, weights = _loaded_words(parts, s)
    results = m.output_size[0] * m.output_size[1] * m.out_blocks
    loaded = activation + weights * parts.geometry.n_pe + results * (m.residual is not None)
    return Amounts(compute, commands, loaded, results)


def terms(m: Mapping, s: Schedule, geometry: Geometry, parts: Parts) -> tuple[int, int, int]:
    """Return (cycles of the array, beats moved, beats before its first and after its last step)."""
    a = amounts(m, s, parts)
    first = _region_words(m, s, geometry, s.tile_rows)
    last = s.tile_rows * s.band[1] * s.slice_groups * _width(m, geometry)
    # A command costs its start and three fetches of four beats.
    beats = a.loaded + a.stored + 12 * a.commands
    return a.compute + COMMAND_CYCLES * a.commands, beats, first + last


def modelled_cycles(
    m: Mapping, s: Schedule, geometry: Geometry, dram: Dram, parts: Parts | None = None
) -> float:
    """Return the cycles of a layer under a schedule, by the closed form of the module docstring.

    ``parts`` keeps what candidates of one layer share.
    """
    array, beats, ends = terms(m, s, geometry, parts or Parts(m, geometry))
    per_beat = geometry.lanes / min(dram.bytes_per_cycle, geometry.lanes)
    moved = beats * geometry.lanes / dram.bytes_per_cycle
    return max(array, moved) + ends * per_beat


def choose(m: Mapping, geometry: Geometry, dram: Dram) -> tuple[Schedule, float]:
    """Return the schedule of least modelled cycles, and these.

    Raises
    ------
    InputError
        If no cut of the layer fits the buffers; the limits of `heterolith.hw.shapes` exclude that
        for the named configurations.
    """
    best: tuple[Schedule, float] | None = None
    parts = Parts(m, geometry)
    for s in candidates(m, geometry):
        cycles = modelled_cycles(m, s, geometry, dram, parts)
        if best is None or cycles < best[1]:
            best = (s, cycles)
    if best is None:
        raise InputError(
            f"no tile of a layer {m.size} -> {m.output_size} with reach {m.reach} fits "
            f"{geometry.activation_words} activation words; use a larger configuration"
        )
    return best
