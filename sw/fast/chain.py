"""Chains: a convolution and the layers behind it, computed together a few rows at a time.

What lies between them is never written out: each layer but the last has a window of rows in a
worker's scratch memory, which the next one reads while it is in a cache. Rows that the next block
reads too move to the front of the window, so that nothing is computed twice but where two workers
meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from heterolith.sw.fast.conv_spec import ConvSpec, winograd_tiles
from heterolith.sw.fast.convolve import rows_at_once
from heterolith.sw.fast.nodes import Node, readers
from heterolith.sw.fast.spots import Scratch, Spot, Step, Target, chunks, images
from heterolith.sw.fast.winograd import tiles_at_once
from heterolith.sw.fast.work import Work
from heterolith.sw.network import Activation, Array, Layer, Network
from heterolith.sw.ops.window import Window

_LEAST_BYTES = 1 << 22  # tensors of less gain nothing: calls get shorter too
_FOLLOWERS = ("MaxPool", "AveragePool", "LRN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One layer of a chain.

    Attributes
    ----------
    shape
        Of its result, (N, H, W, C).
    make
        From the place of its input, which the first layer does not use, and the target to the work.
    reads
        From the first and last row of the result to those of the input.
    activation
        Clamp behind it.
    """

    shape: tuple[int, ...]
    make: Callable[[Spot, Target], Work]
    reads: Callable[[int, int], tuple[int, int]]
    activation: Activation | None


@dataclass(slots=True)
class _Window:
    """Rows of a result that are held: the first, the one behind the last, and how many move."""

    first: int = 0
    end: int = -1
    start: int = 0
    moved: int = 0
    offset: int = 0

    def slide(self, low: int, high: int, grain: int, height: int) -> _Window:
        """Return the window that holds rows from ``low`` to ``high``, made from ``start`` on."""
        end = min(height, -(-high // grain) * grain)
        if low >= self.end:
            start = low // grain * grain
            return _Window(start, end, start)
        end = max(end, self.end)
        return _Window(low, end, self.end, self.end - low, low - self.first)


def _slid(
    stages: Sequence[Stage], grains: Sequence[int], low: int, high: int, step: int
) -> Iterator[tuple[tuple[int, int], list[_Window]]]:
    """Yield the rows of each block of the last result, and the windows of all others for it."""
    windows = [_Window() for _ in stages[:-1]]
    for rows in chunks(low, high, step):
        needs = [rows]
        for stage in reversed(stages[1:]):
            needs.insert(0, stage.reads(*needs[0]))
        del needs[-1]
        windows = [
            window.slide(*need, grain, stage.shape[1])
            for window, need, grain, stage in zip(windows, needs, grains, stages[:-1], strict=True)
        ]
        yield rows, windows


def chained(stages: Sequence[Stage], target: Target, step: int) -> Work:
    """Return the work of a chain, ``step`` rows of the last result at a time."""
    n, height = target.shape[:2]
    nowhere = [Spot(np.broadcast_to(np.float32(0), stage.shape)) for stage in stages]
    sources = [nowhere[0], *nowhere[:-1]]
    works = [
        stage.make(source, Target(spots=(place,)))
        for stage, source, place in zip(stages, sources, nowhere, strict=True)
    ]
    grains = [work.grain for work in works[:-1]]

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        parts = images(first, last, height)
        slid = [list(_slid(stages, grains, low, high, step)) for _, low, high in parts]
        rooms = []
        for at, stage in enumerate(stages[:-1]):
            most = max(w[at].end - w[at].first for blocks in slid for _, w in blocks)
            rooms.append(scratch.take(1, most, *stage.shape[2:]))
        scratch.keep()
        for (image, _, _), blocks in zip(parts, slid, strict=True):
            for rows, windows in blocks:
                steps += _block(stages, works, rooms, windows, (image, rows, target), scratch)
        scratch.release()
        return steps

    cost = sum(work.cost_us for work in works)
    return Work(units=n * height, cost_us=cost, build=build)


def _block(
    stages: Sequence[Stage],
    works: Sequence[Work],
    rooms: Sequence[Array],
    windows: Sequence[_Window],
    last: tuple[int, tuple[int, int], Target],
    scratch: Scratch,
) -> list[Step]:
    """Return the steps of a block: rows that are kept move, new ones are made, stage by stage."""
    image, rows, target = last
    steps: list[Step] = []
    source = Spot(rooms[0])
    for stage, work, room, window in zip(stages[:-1], works[:-1], rooms, windows, strict=True):
        if window.moved and window.offset:
            kept = slice(window.offset, window.offset + window.moved)
            steps.append(partial(np.copyto, room[0, : window.moved], room[0, kept]))
        spot = Spot(room, whole=True, first=window.first, height=stage.shape[1])
        place = Target(spots=(spot,), activation=stage.activation)
        units = _units(work, stage, image, (window.start, window.end))
        steps += stage.make(source, place).build(*units, scratch) if units[1] > units[0] else []
        source = spot
    units = _units(works[-1], stages[-1], image, rows)
    return steps + stages[-1].make(source, target).build(*units, scratch)


def _units(work: Work, stage: Stage, image: int, rows: tuple[int, int]) -> tuple[int, int]:
    """Return the first and last unit of a work that make some rows of an image."""
    begin = image * work.units // stage.shape[0]
    first, last = rows[0] // work.grain, -(-rows[1] // work.grain)
    return begin + first * work.across, begin + max(first, last) * work.across


def rows_read(layer: Layer, height: int) -> Callable[[int, int], tuple[int, int]]:
    """Return what gives the rows of the input, of which there are ``height``, of some results."""
    if "kernel_shape" not in layer.attributes or layer.op == "Conv":
        return lambda low, high: (low, high)
    attributes = dict(layer.attributes)
    for name in ("count_include_pad", "storage_order"):
        attributes.pop(name, None)
    window = Window.of(attributes["kernel_shape"], attributes)
    stride, pad = window.strides[0], window.pads[0]
    reach = (window.kernel[0] - 1) * window.dilations[0] + 1

    def reads(low: int, high: int) -> tuple[int, int]:
        last = min(height, max(1, (high - 1) * stride - pad + reach))
        return min(max(0, low * stride - pad), last - 1), last

    return reads


def rows_of_block(spec: ConvSpec, path: str, block_bytes: int) -> int:
    """Return how many rows a path computes at once."""
    if path.startswith("winograd"):
        m = int(path.removeprefix("winograd"))
        return -(-tiles_at_once(spec, m, block_bytes) // winograd_tiles(spec, m)[1]) * m
    length = spec.channels // spec.group * spec.kernel[0] * spec.kernel[1]
    return rows_at_once(spec, spec.out[1] * (length + spec.kernels) * 4, block_bytes)


def linked(
    network: Network, nodes: Sequence[Node], rows: Mapping[str, int], kept: Set[str]
) -> list[Node]:
    """Put layers that alone read the result of a convolution into one node with it.

    Parameters
    ----------
    rows
        For the convolutions that may begin a chain, how many rows they compute at once.
    kept
        Layers that stay nodes of their own.
    """
    counts = readers(network)
    reader = {node.layer.inputs[0]: node for node in nodes if node.layer.inputs}
    found: list[Node] = []
    taken: set[str] = set()
    for node in nodes:
        if node.layer.name in taken:
            continue
        name, chain = node.layer.outputs[0], list[Layer]()
        begins = rows.get(node.layer.name, 0)
        while begins and counts[name] == 1 and name in reader:
            behind = reader[name].layer
            _, channels, height, width = network.tensors[name].shape
            large = 4 * channels * height * width >= _LEAST_BYTES and 2 * begins <= height
            if not (large or chain) or behind.name in kept or not _follows(network, behind):
                break
            chain.append(behind)
            taken.add(behind.name)
            name = behind.outputs[0]
        if chain:
            layer = replace(node.layer, outputs=(name,))
            node = replace(node, layer=layer, chain=tuple(chain))
        found.append(node)
    return found


def _follows(network: Network, layer: Layer) -> bool:
    """Tell whether a layer can be computed from rows of its input as they come."""
    shapes = [network.tensors[name].shape for name in (layer.inputs[0], *layer.outputs)]
    plain = layer.op in _FOLLOWERS and len(shapes) == 2 and not layer.residual
    if not plain or 0 in shapes[1]:
        return False
    return tuple(layer.attributes.get("kernel_shape", ())) != shapes[0][2:]
