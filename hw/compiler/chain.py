"""Chains: consecutive layers computed band by band, with nothing between them in DRAM.

The last layer of a chain is cut into bands; each asks its producer for the region it reads, which
asks its own, up to the first, which loads from DRAM. Rows that two bands of the last layer share
are computed twice, so a chain is taken where the bytes it saves cost more cycles. Static shares of
the activation buffer: one region per link, two for the first input, two tiles of residual.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from heterolith.hw.compiler.emit import Emitter, Ring, Tensor
from heterolith.hw.compiler.layer import (
    ComputedSource,
    Constants,
    DramSource,
    LayerEmitter,
    Source,
)
from heterolith.hw.compiler.layout import ceil_div
from heterolith.hw.compiler.mapping import Mapping
from heterolith.hw.compiler.schedule import COMMAND_CYCLES, halves, whole_steps
from heterolith.hw.compiler.tiling import (
    Schedule,
    bands,
    region_cols,
    region_rows,
    residual_words,
    walk,
)
from heterolith.hw.geometry import Geometry
from heterolith.hw.program import COUNT_LIMIT, Compute
from heterolith.hw.shapes import Pair
from heterolith.hw.timing.timeline import Dram, compute_cycles

LONGEST = 4
"""Most layers of a chain."""

WAIT_CYCLES = 24
"""What a COMPUTE that waits for another's result is taken to cost."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Layers with one schedule each; all but the last write into the activation buffer.

    ``regions`` are the words of each layer's input region, the largest of all bands.
    """

    mappings: tuple[Mapping, ...]
    schedules: tuple[Schedule, ...]
    regions: tuple[int, ...]
    residual: int
    cycles: float


def links(first: Mapping, second: Mapping, geometry: Geometry) -> bool:
    """Return whether the second layer can have its input computed by the first."""
    aligned = first.per_channel or not second.per_channel or geometry.sub_blocks == 1
    return (
        first.output_size == second.size
        and first.out_blocks == second.in_blocks
        and first.residual is None
        and len(first.regions) == 1
        and first.uniform
        and second.uniform
        and not second.image
        and aligned
    )


def _rects(mappings: Sequence[Mapping], band: Pair) -> list[Pair]:
    """Return per layer the rows and columns it computes for an inner band of the last."""
    rects = [band]
    for m in reversed(mappings[1:]):
        rows = region_rows(m, rects[0][0], m.kernel_steps[0])
        cols = (rects[0][1] - 1) * m.stride[1] + m.reach[1]
        rects.insert(0, (min(rows, m.size[0]), min(cols, m.size[1])))
    return rects


def _slice_groups(
    mappings: Sequence[Mapping], rects: Sequence[Pair], geometry: Geometry, most: int
) -> list[int]:
    """Return the groups per slice of each layer; ``most`` bounds those of per-channel layers."""
    counts = []
    for index, m in enumerate(mappings):
        width = 1 if m.per_channel else geometry.sub_blocks
        limits = [m.groups, geometry.parameter_words // 4 // width]
        if not m.hold_weight:
            limits.append(max(1, geometry.weight_words // 4 // m.group_words(0)))
        if index == len(mappings) - 1:
            rows = min(rects[index][0], geometry.output_words // 2 // (rects[index][1] * width))
            room = geometry.output_words // 2 // (max(rows, 1) * rects[index][1] * width)
            limits.append(max(1, room))
        if m.per_channel:
            limits.append(most)
        counts.append(min(limits))
    return counts


def _plan(
    mappings: tuple[Mapping, ...], band: Pair, most: int, geometry: Geometry
) -> tuple[tuple[Schedule, ...], tuple[int, ...], int] | None:
    """Return (schedules, region words, residual words) of a band size, or ``None``."""
    rects = _rects(mappings, band)
    groups = _slice_groups(mappings, rects, geometry, most)
    schedules, regions = [], []
    for m, rect, count in zip(mappings, rects, groups, strict=True):
        tile = rect[0]
        if m is mappings[-1]:
            width = 1 if m.per_channel else geometry.sub_blocks
            tile = geometry.output_words // 2 // (rect[1] * width * count)
            if not tile:
                return None
            tile = ceil_div(rect[0], ceil_div(rect[0], min(tile, rect[0])))
        if rect[0] * rect[1] > COUNT_LIMIT or m.group_words(0) * count > geometry.weight_words:
            return None
        blocks = count if m.per_channel else m.spans[0][1]
        schedules.append(
            Schedule(
                order="slices",
                band=rect,
                tile_rows=tile,
                slice_groups=count,
                chunk_blocks=m.spans[0][1],
                chunk_rows=m.kernel_steps[0],
            )
        )
        rows = region_rows(m, rect[0], m.kernel_steps[0])
        regions.append(blocks * rows * region_cols(m, rect[1], geometry))
    last = mappings[-1]
    residual = 0
    if last.residual is not None:
        width = 1 if last.per_channel else geometry.sub_blocks
        residual = schedules[-1].tile_rows * band[1] * groups[-1] * width
    total = sum(regions) + regions[0] + 2 * residual
    if total > geometry.activation_words:
        return None
    return tuple(schedules), tuple(regions), residual


def _cycles(
    mappings: tuple[Mapping, ...],
    plan: tuple[tuple[Schedule, ...], tuple[int, ...], int],
    geometry: Geometry,
    dram: Dram,
) -> float:
    """Return the modelled cycles of a chain: as `schedule.modelled_cycles`, overlaps included."""
    schedules, regions, residual = plan
    last, final = mappings[-1], schedules[-1]
    count = sum(1 for _ in bands(last, final))
    covered = last.output_size[0] * last.output_size[1] / (final.band[0] * final.band[1])
    compute = commands = 0.0
    for m, s in zip(mappings, schedules, strict=True):
        share = covered if m is last else count
        slices = ceil_div(m.groups, s.slice_groups)
        width = 1 if m.per_channel else geometry.sub_blocks
        one = Compute(
            per_channel=int(m.per_channel),
            window=m.window,
            residual=int(m.residual is not None),
            rows=s.band[0],
            cols=s.band[1],
            blocks=width,
            col_step=m.stride[1],
            **whole_steps(m),
        )
        compute += share * m.groups * compute_cycles(one, geometry)
        commands += count * slices * ceil_div(s.band[0], s.tile_rows)
    waits = count * sum(
        ceil_div(m.groups, s.slice_groups) if m.per_channel else 1
        for m, s in zip(mappings[1:], schedules[1:], strict=True)
    )
    compute += COMMAND_CYCLES * commands + WAIT_CYCLES * waits
    words = sum(1 if m.hold_weight else m.groups * m.group_words(0) for m in mappings)
    passes = 1 if words <= geometry.weight_words * 3 // 4 else count
    first = mappings[0]
    blocks = first.in_blocks if first.per_channel else first.spans[0][1]
    share = blocks / (schedules[0].slice_groups if first.per_channel else blocks)
    beats = count * regions[0] * share + passes * words * geometry.n_pe
    results = last.output_size[0] * last.output_size[1] * last.out_blocks
    beats += results * (1 + (last.residual is not None)) + 8 * commands
    moved = beats * geometry.lanes / dram.bytes_per_cycle
    fill = (regions[0] + residual) * geometry.lanes / min(dram.bytes_per_cycle, geometry.lanes)
    return max(compute, moved) + fill


def _band_sizes(size: Pair) -> Iterator[Pair]:
    for cols in halves(size[1])[:3]:
        for parts in range(1, size[0] + 1):
            rows = ceil_div(size[0], parts)
            if parts == 1 or rows < ceil_div(size[0], parts - 1):
                yield rows, cols


def choose_chain(mappings: Sequence[Mapping], geometry: Geometry, dram: Dram) -> Chain | None:
    """Return the chain of least modelled cycles, or ``None`` where none fits."""
    best: Chain | None = None
    whole = tuple(mappings)
    for band in _band_sizes(whole[-1].output_size):
        for most in (8, 4, 2, 1):
            plan = _plan(whole, band, most, geometry)
            if plan is None:
                continue
            cycles = _cycles(whole, plan, geometry, dram)
            if best is None or cycles < best.cycles:
                best = Chain(whole, *plan, cycles)
    return best


Image = tuple[Tensor, Tensor, Tensor | None]
"""Source, target and residual of one image of the batch."""


def emit_layer(
    e: Emitter, m: Mapping, s: Schedule, constants: Constants, images: Sequence[Image]
) -> None:
    """Append the commands of one layer that reads and writes DRAM."""
    end = e.geometry.activation_words
    limit = end - 2 * residual_words(m, s, e.geometry)
    ring, addends = Ring(0, limit, e.head), Ring(limit, end)
    layer = LayerEmitter(e, m, constants, s, DramSource(e, images[0][0], m.pad_value, ring))
    for tensor, target, addend in images:
        ring.clear()
        layer.source = DramSource(e, tensor, m.pad_value, ring)
        for band, tile, part in walk(m, s):
            layer.tile(band, tile, part, (target, addend, addends))
    e.head = ring.head


def emit_chain(
    e: Emitter, chain: Chain, constants: Sequence[Constants], images: Sequence[Image]
) -> None:
    """Append the commands of a chain."""
    ends = [2 * chain.regions[0]]
    for words in chain.regions[1:]:
        ends.append(ends[-1] + words)
    first, addends = Ring(0, ends[0]), Ring(ends[-1], ends[-1] + 2 * chain.residual)
    rings = [Ring(low, high) for low, high in pairwise(ends)]
    m = chain.mappings[0]
    source: Source = DramSource(e, images[0][0], m.pad_value, first)
    layers: list[LayerEmitter] = []
    for index, (m, s) in enumerate(zip(chain.mappings, chain.schedules, strict=True)):
        if index:
            source = ComputedSource(layers[-1], m.pad_value, rings[index - 1])
        layers.append(LayerEmitter(e, m, constants[index], s, source))
    for tensor, target, addend in images:
        for ring in (first, *rings):
            ring.clear()
        layers[0].source = DramSource(e, tensor, chain.mappings[0].pad_value, first)
        for band, tile, part in walk(layers[-1].mapping, layers[-1].schedule):
            layers[-1].tile(band, tile, part, (target, addend, addends))


def partition(cycles: Sequence[float], chains: dict[Pair, Chain]) -> list[Pair]:
    """Return the cut of layers 0..n into runs of least total cycles.

    Parameters
    ----------
    cycles
        Cost of each layer alone.
    chains
        Half-open run -> chain, for the runs that can be one.
    """
    best = [0.0] + [math.inf] * len(cycles)
    back = [0] * (len(cycles) + 1)
    for end in range(1, len(cycles) + 1):
        best[end], back[end] = best[end - 1] + cycles[end - 1], end - 1
        for begin in range(max(0, end - LONGEST), end - 1):
            chain = chains.get((begin, end))
            if chain is not None and best[begin] + chain.cycles < best[end]:
                best[end], back[end] = best[begin] + chain.cycles, begin
    runs: list[Pair] = []
    end = len(cycles)
    while end:
        runs.insert(0, (back[end], end))
        end = back[end]
    return runs
