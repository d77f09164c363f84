"""Which memory the steps of a layer work in, and how long ago anyone touched it.

The CPU worker takes memory for results from a pool that hands out, of the free buffers of about the
size, the one handed out last (`heterolith.sw.workers.arena`), and has the same memory for frames
and patches in all layers. What lay idle while other things filled a cache has to be fetched anew.
Which steps meet it depends on the network alone: its sizes, and how long its tensors live. All
steps are replayed here on sizes, until the pool holds what it holds in all later passes; caches are
taken as lost before each pass.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from heterolith.metrics.models.context import CACHE_BYTES
from heterolith.metrics.models.steps import RESULT, WEIGHTS, Step
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS

LAST_CACHE_BYTES = 1 << 26
"""What is taken as a core's share of the last cache, in the scale of a decay."""
SMALL_BYTES = 1 << 16
"""Smaller arrays do not come from the pool."""
POOLED = frozenset({"Conv", "MaxPool", "AveragePool", "LRN", "Gemm", "Concat"})
"""Operators whose results come from the pool."""
PASSES = 5
"""Passes after which a pool that still grows is taken as it is."""
_ALIASES = VIEWS | {"Transpose"}
_NEVER = -1e18


@dataclass(slots=True, eq=False)
class Buffer:
    """Memory: its size, who holds it, and the clock in bytes when it was used.

    Attributes
    ----------
    pieces
        The same for pieces that parts of a layer work on.
    """

    size: int
    holders: int = 0
    used: float = _NEVER
    pieces: dict[int, float] = field(default_factory=dict)

    def settle(self) -> None:
        """Take the mean over pieces as the time of use."""
        if self.pieces:
            self.used = sum(self.pieces.values()) / len(self.pieces)
            self.pieces.clear()


class Pool:
    """Replays which buffer an allocation gets.

    Attributes
    ----------
    clock
        Bytes that all steps have touched so far.
    shared
        Memory of the thread for frames, patches and others.
    """

    def __init__(self) -> None:
        self.buffers: list[Buffer] = []
        self.shared: dict[str, Buffer] = {}
        self.clock = 0.0

    def take(self, size: int) -> Buffer:
        """Return the free buffer of about a size taken last, or a new one; small ones are new."""
        for buffer in reversed(self.buffers):
            if size <= buffer.size <= 2 * size and not buffer.holders:
                self.buffers.remove(buffer)
                break
        else:
            buffer = Buffer(size)
        if size >= SMALL_BYTES:
            self.buffers.append(buffer)
        buffer.holders = 1
        return buffer

    def forget(self) -> None:
        """Lose all caches."""
        for buffer in (*self.buffers, *self.shared.values()):
            buffer.used = _NEVER


def idle_elements(
    network: Network, steps: Mapping[str, list[Step]]
) -> dict[str, tuple[float, float]]:
    """Return for each layer how many elements its steps find beyond the second cache and the last.

    Parameters
    ----------
    steps
        Layer name -> `steps.steps`.
    """
    pool = Pool()
    for _ in range(PASSES):
        known = len(pool.buffers)
        pool.forget()
        found = _replay(network, pool, steps)
        if len(pool.buffers) == known:
            break
    return found


def _replay(
    network: Network, pool: Pool, steps: Mapping[str, list[Step]]
) -> dict[str, tuple[float, float]]:
    """Run a network on a pool."""
    last = {n: i for i, layer in enumerate(network.layers) for n in network.activations(layer)}
    held = {name: Buffer(0, used=pool.clock) for name in network.inputs}
    found = {}
    for index, layer in enumerate(network.layers):
        read = [held[name] for name in network.activations(layer) if name in held]
        if layer.op in _ALIASES and read:
            result = read[0]
            result.holders += 1
            found[layer.name] = (0.0, 0.0)
        else:
            result = _result(network, layer, pool)
            found[layer.name] = _run(pool, steps[layer.name], result, read)
        for name in filter(None, layer.outputs):
            held[name] = result
        for name in [name for name in held if last.get(name, index) <= index]:
            held.pop(name).holders -= 1
    return found


def _result(network: Network, layer: Layer, pool: Pool) -> Buffer:
    size = 4 * network.tensors[layer.outputs[0]].elements
    return pool.take(size) if layer.op in POOLED else Buffer(size, holders=1)


def _run(
    pool: Pool, steps: list[Step], result: Buffer, read: list[Buffer]
) -> tuple[float, float]:
    """Run the steps of a layer: elements that it finds beyond the second cache and the last."""
    far = cold = 0.0
    weights = Buffer(0)
    for step in steps:
        begin = pool.clock
        touched: list[tuple[Buffer, int]] = []
        for name, elements in (*step.reads, step.writes):
            buffer = (
                (read[name] if name < len(read) else weights)
                if isinstance(name, int)
                else result
                if name == RESULT
                else weights
                if name == WEIGHTS
                else pool.shared.setdefault(name, Buffer(0))
            )
            if any(buffer is other for other, _ in touched):
                continue
            touched.append((buffer, elements))
            own = buffer is result or any(buffer is other for other in read)
            since = begin - (buffer.pieces.get(step.part, buffer.used) if own else buffer.used)
            if buffer is not weights or since < -_NEVER / 2:
                far += elements * since**2 / (since**2 + CACHE_BYTES**2)
                cold += elements * (1 - math.exp(-since / LAST_CACHE_BYTES))
            if own:
                buffer.pieces[step.part] = begin
            else:
                buffer.used = begin
        pool.clock += sum(4 * elements for _, elements in touched)
        if "parts" in step.counts:  # a product writes its result last
            result.pieces[step.part] = begin + 4 * step.writes[1]
    for buffer in (result, *read):
        buffer.settle()
    return far, cold
