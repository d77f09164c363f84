"""Cycles of one layer from its shape alone: its commands, compiled without data and replayed.

The commands are those of `heterolith.hw.compiler.single`: input and output lie in DRAM, constants
are stand-ins that take no memory. `heterolith.hw.timing.timeline` replays them. A result is kept
for the life of the process and, by `heterolith.hw.compiler.keep`, in the user's cache.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import lru_cache

from heterolith.hw.compiler.chain import emit_layer
from heterolith.hw.compiler.emit import Emitter, Tensor
from heterolith.hw.compiler.job import ALIGN_BYTES
from heterolith.hw.compiler.keep import keep_figures, kept_figures
from heterolith.hw.compiler.layer import Constants
from heterolith.hw.compiler.layout import ceil_div, image_pitch
from heterolith.hw.compiler.mapping import (
    Mapping,
    elementwise,
    image_layout_fits,
    outline,
    pooling,
)
from heterolith.hw.compiler.schedule import Parts, amounts, choose
from heterolith.hw.compiler.single import ELEMENTWISE_COLS
from heterolith.hw.compiler.tiling import Schedule
from heterolith.hw.config import ArrayConfig
from heterolith.hw.fixed import Output, Residual, Scaling
from heterolith.hw.geometry import Geometry, geometry
from heterolith.hw.golden import average_parameters
from heterolith.hw.program import Command
from heterolith.hw.shapes import ConvShape, FullyConnectedShape, Pair, PoolShape, Shape
from heterolith.hw.timing import Dram, dram_of, simulate

REPLAY_CYCLES = 2**25
"""Longest layer that is replayed; the tiler's closed form stands in for what is longer."""

REPLAY_IMAGES = 3
"""Images of a batch that are replayed; each further one takes as long as the last of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles:
    """Cycles of one layer: each unit at work, and ``total`` from start to last response.

    ``load_bytes`` includes the commands.
    """

    compute: int
    load: int
    store: int
    total: int
    load_bytes: int = 0
    store_bytes: int = 0


def layer_outline(shape: Shape, residual: bool, g: Geometry) -> Mapping:
    """Return the mapping of a shape without data; a copy is a rescaling by 1."""
    one = Residual(scaling=Scaling.of(0.5), zero_point=0)
    second = one if residual else None
    if isinstance(shape, ConvShape):
        return outline(shape, g, image_layout_fits(shape), second)
    if isinstance(shape, FullyConnectedShape):
        rows = ConvShape(
            in_channels=shape.in_features,
            out_channels=shape.out_features,
            height=1,
            width=shape.rows,
            kernel=(1, 1),
        )
        return outline(rows, g, False, second)
    if isinstance(shape, PoolShape):
        average = average_parameters(shape, 1.0, 0, Output()) if shape.kind == "average" else None
        return pooling(shape, g, average)
    words = ceil_div(max(shape.elements, 1), g.lanes)
    cols = min(words, ELEMENTWISE_COLS)
    second = one if shape.kind == "add" else None
    return elementwise((ceil_div(words, cols), cols), one, second, Output(), g)


class _Window:
    """Hands out the memory window as `JobBuilder` does."""

    def __init__(self, images: int, g: Geometry) -> None:
        self.images, self.lanes, self.used = images, g.lanes, 0

    def reserve(self, size: int) -> int:
        """Return the offset of some bytes."""
        begin = self.used
        self.used += ceil_div(size, ALIGN_BYTES) * ALIGN_BYTES
        return begin

    def tensor(self, blocks: int, size: Pair, image: bool = False) -> list[Tensor]:
        """Return a tensor, image by image."""
        pitch = image_pitch(size[1], self.lanes) if image else size[1]
        bytes_ = blocks * size[0] * pitch * self.lanes
        begin = self.reserve(self.images * bytes_)
        return [
            Tensor(
                offset=begin + n * bytes_,
                blocks=blocks,
                height=size[0],
                width=size[1],
                pitch=pitch,
                lanes=self.lanes,
                image=image,
            )
            for n in range(self.images)
        ]


def layer_commands(m: Mapping, s: Schedule, images: int, g: Geometry) -> tuple[list[Command], int]:
    """Return the commands of a layer between tensors in DRAM, and their offset in the window."""
    window = _Window(images, g)
    sources = window.tensor(m.in_blocks, m.size, m.image)
    targets = window.tensor(m.out_blocks, m.output_size)
    addends: list[Tensor | None] = [None] * images
    if m.residual is not None:
        addends = [*window.tensor(m.out_blocks, m.output_size)]
    constants = Constants(
        weights=window.reserve(m.weights.nbytes), parameters=window.reserve(m.parameters.nbytes)
    )
    emitter = Emitter(g)
    emit_layer(emitter, m, s, constants, list(zip(sources, targets, addends, strict=True)))
    emitter.end_segment()
    (commands,) = emitter.commands(window.used)
    return commands, window.used


def _replayed(m: Mapping, s: Schedule, images: int, g: Geometry, dram: Dram) -> Cycles:
    commands, offset = layer_commands(m, s, images, g)
    run = simulate(commands, g, dram, offset)
    return Cycles(
        compute=run.compute_busy,
        load=run.load_busy,
        store=run.store_busy,
        total=run.cycles,
        load_bytes=run.read_bytes,
        store_bytes=run.write_bytes,
    )


def _closed_form(m: Mapping, s: Schedule, total: float, g: Geometry) -> Cycles:
    a = amounts(m, s, Parts(m, g))
    sizes = {"load_bytes": a.loaded * g.lanes, "store_bytes": a.stored * g.lanes}
    return Cycles(compute=a.compute, load=a.loaded, store=a.stored, total=math.ceil(total), **sizes)


def _more(last: Cycles, before: Cycles, count: int) -> Cycles:
    """Return ``last`` with ``count`` times what it has more than ``before``, figure by figure."""
    old, new = asdict(before), asdict(last)
    return Cycles(**{name: value + count * (value - old[name]) for name, value in new.items()})


def _compiled(shape: Shape, residual: bool, g: Geometry, dram: Dram) -> Cycles:
    m = layer_outline(shape, residual, g)
    schedule, modelled = choose(m, g, dram)
    images = getattr(shape, "batch", 1)
    if modelled * min(images, REPLAY_IMAGES) > REPLAY_CYCLES:
        nothing = Cycles(compute=0, load=0, store=0, total=0)
        return _more(_closed_form(m, schedule, modelled, g), nothing, images - 1)
    last = _replayed(m, schedule, min(images, REPLAY_IMAGES), g, dram)
    if images <= REPLAY_IMAGES:
        return last
    before = _replayed(m, schedule, REPLAY_IMAGES - 1, g, dram)
    return _more(last, before, images - REPLAY_IMAGES)


@lru_cache(maxsize=65536)
def _cycles(shape: Shape, residual: bool, g: Geometry, dram: Dram) -> Cycles:
    name = f"{shape} {residual} {g} {dram}"
    kept = kept_figures(name)
    if kept is not None:
        return Cycles(**kept)
    cycles = _compiled(shape, residual, g, dram)
    keep_figures(name, asdict(cycles))
    return cycles


def shape_cycles(
    shape: Shape, config: ArrayConfig, dram_gbs: float, residual: bool = False
) -> Cycles:
    """Return the cycles of one layer, its operands and its result in DRAM.

    Parameters
    ----------
    config
        Its clock turns the bandwidth into bytes per cycle.
    dram_gbs
        DRAM bandwidth the accelerator gets, 1e9 bytes per second.
    residual
        Whether a second operand of the output's size is read and added; of convolutions and fully
        connected layers alone.

    Raises
    ------
    InputError
        If the bandwidth is not above 0, or the accelerator has no form for the configuration.
    """
    return _cycles(shape, residual, geometry(config), dram_of(dram_gbs, config.clock_mhz))
