"""Which memory a layer works in, and how long ago anyone touched it.

The CPU worker takes memory for results, frames and patches from a pool that hands out the first
free buffer of about the size (`heterolith.sw.workers.arena`). A buffer that lay idle while other
things filled the last cache has to be fetched anew, at two to three times the price of a pass.
Which layers meet one depends on the network alone: its sizes, and how long its tensors live. The
pool is replayed here on sizes, until it holds what it holds in all later passes; caches are taken
as lost before each pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from heterolith.metrics.models.context import touched_bytes
from heterolith.metrics.models.steps import Grid, conv_parts, grid
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS

LAST_CACHE_BYTES = 1 << 26
"""What is taken as a core's share of the last cache, in the scale of a decay."""
SMALL_BYTES = 1 << 16
"""Smaller arrays do not come from the pool."""
POOLED = frozenset({"Conv", "MaxPool", "AveragePool", "LRN", "Gemm"})
"""Operators whose results come from the pool."""
_ALIASES = VIEWS | {"Transpose"}
_NEVER = -math.inf
PASSES = 5
"""Passes after which a pool that still grows is taken as it is."""


@dataclass(slots=True, eq=False)
class Buffer:
    """Memory of the pool: its size, who holds it, and the clock in bytes when it was used."""

    size: int
    holders: int = 0
    used: float = _NEVER


class Pool:
    """Replays which buffer an allocation gets.

    Attributes
    ----------
    clock
        Bytes that all layers have touched so far.
    """

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self.clock = 0.0

    def take(self, size: int) -> Buffer | None:
        """Return the first free buffer of about a size, else a new one; ``None`` if it is small."""
        if size < SMALL_BYTES:
            return None
        for buffer in self.buffers:
            if size <= buffer.size <= 2 * size and not buffer.holders:
                break
        else:
            buffer = Buffer(size)
            self.buffers.append(buffer)
        buffer.holders = 1
        return buffer

    def cold(self, buffer: Buffer | None, size: int) -> float:
        """Return how many of a buffer's elements, as many as taken, the caches have lost."""
        return size / 4 * _lost(self.clock - buffer.used) if buffer else 0.0


def cold_elements(network: Network) -> dict[str, float]:
    """Return for each layer how many elements it finds in memory that no cache has.

    Counted are its result, frames and patches, which the first part warms for the rest, and its
    inputs.
    """
    pool = Pool()
    touched = {layer.name: touched_bytes(network, layer) for layer in network.layers}
    for _ in range(PASSES):
        known = len(pool.buffers)
        for buffer in pool.buffers:
            buffer.used = _NEVER
        found = _replay(network, pool, touched)
        if len(pool.buffers) == known:
            break
    return found


def _replay(network: Network, pool: Pool, touched: Mapping[str, int]) -> dict[str, float]:
    """Run a network on a pool; cold elements by layer."""
    last = {n: i for i, layer in enumerate(network.layers) for n in network.activations(layer)}
    held: dict[str, Buffer | None] = dict.fromkeys(network.inputs)
    made = dict.fromkeys(network.inputs, pool.clock)
    found = {}
    for index, layer in enumerate(network.layers):
        read = network.activations(layer)
        if layer.op in _ALIASES and read:
            found[layer.name], result, when = 0.0, held.get(read[0]), made[read[0]]
            if result is not None:
                result.holders += 1
        else:
            inputs = sum(_far(network, name, pool.clock - made[name]) for name in read)
            result, cold = _worked(network, layer, pool)
            found[layer.name] = inputs + cold
            pool.clock += touched[layer.name]
            when = pool.clock
        for name in filter(None, layer.outputs):
            held[name], made[name] = result, when
        for buffer in (result, *map(held.get, read)):
            if buffer is not None:
                buffer.used = pool.clock
        for name in [name for name in held if last.get(name, index) <= index]:
            buffer = held.pop(name)
            if buffer is not None:
                buffer.holders -= 1
    return found


def _far(network: Network, name: str, since: float) -> float:
    size = network.tensors[name].elements
    return size * _lost(since + 4 * size)


def _worked(network: Network, layer: Layer, pool: Pool) -> tuple[Buffer | None, float]:
    """Take memory as a layer does; its result, and the cold elements of that and of all parts."""
    result, cold = None, 0.0
    if layer.op in POOLED:
        size = 4 * network.tensors[layer.outputs[0]].elements
        result = pool.take(size)
        cold += pool.cold(result, size)
    place = grid(network, layer) if layer.op == "Conv" else None
    parts = list(conv_parts(place, int(layer.attributes.get("group", 1)))) if place else []
    for part in parts:
        sizes = list(_sizes(place, layer, *part)) if place else []
        taken = [pool.take(size) for size in sizes]
        for buffer, size in zip(taken, sizes, strict=True):
            if buffer is not None:
                cold += pool.cold(buffer, size)
                buffer.holders, buffer.used = 0, pool.clock
    return result, cold


def _sizes(place: Grid, layer: Layer, groups: int, rows: tuple[int, int]) -> Iterator[int]:
    """Yield the bytes of a part's frame and patches."""
    channels = place.channels * groups // int(layer.attributes.get("group", 1))
    (high, inner_high), (wide, inner_wide) = (
        place.covered(0, *rows),
        place.covered(1, 0, place.places[1]),
    )
    if (high, wide) != (inner_high, inner_wide):
        yield 4 * channels * high * wide
    if place.taps > 1:
        yield 4 * channels * place.taps * (rows[1] - rows[0]) * place.places[1]


def _lost(touched: float) -> float:
    return 1 - math.exp(-touched / LAST_CACHE_BYTES)
