"""Which memory the steps of a layer work in, and how long ago anyone touched it.

The CPU worker takes memory for results from a pool that hands out, of the free buffers that are
large enough, the one handed out last (`heterolith.sw.workers.arena`), and has the same memory for
frames and patches in all layers. What lay idle while other things filled a cache has to be fetched
anew. Which steps meet it depends on the network alone: its sizes, and how long its tensors live.
All steps are replayed here on sizes, run after run, until the pool holds what it holds in all later
runs. Constants are taken as lost from one run to the next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from heterolith.metrics.models.steps import RESULT, WEIGHTS, Step
from heterolith.sw.execute import TILED
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS
from heterolith.sw.workers.arena import SMALL_BYTES, TINY_BYTES

IDLE = ("far_elements", "cold_elements", "cold_copied_elements")
"""Features of memory that lay idle."""
Idle = tuple[float, float, float]
FAR_BYTES = 5 << 19
"""Bytes gone over since, most of them more than once, that half of a second cache is lost to."""
LAST_CACHE_BYTES = 1 << 28
"""What is taken as a core's share of the last cache, in the scale of a decay."""
RUNS = 5
"""Runs after the first, after which a pool that still grows is taken as it is."""
_EVER = 1e18


@dataclass(slots=True, eq=False)
class Buffer:
    """Memory: its size, who holds it, and when it was used.

    Attributes
    ----------
    used
        Elements from its begin on, more and more, and the clock in bytes when so many were used
        last, later and later from the last entry to the first.
    pieces
        The clock when the pieces were used that parts of a layer at work have.
    """

    size: int
    holders: int = 0
    used: list[tuple[int, float]] = field(default_factory=list)
    pieces: dict[int, float] = field(default_factory=dict)

    def use(self, elements: int, clock: float) -> None:
        """Take so many elements as used now."""
        self.used = [(elements, clock), *(entry for entry in self.used if entry[0] > elements)]

    def since(self, elements: int, clock: float) -> Iterator[tuple[float, float]]:
        """Yield shares of so many elements, and the bytes since each was used."""
        known = 0
        for reach, when in self.used:
            if known < elements:
                yield (min(reach, elements) - known) / elements, clock - when
            known = min(reach, elements)
        if known < elements:
            yield 1 - known / elements, _EVER

    def settle(self, elements: int) -> None:
        """Take the mean over pieces as the time of use of all elements."""
        if self.pieces:
            self.use(elements, sum(self.pieces.values()) / len(self.pieces))
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
        self.buffers: tuple[list[Buffer], list[Buffer]] = ([], [])
        self.shared: dict[str, Buffer] = {}
        self.clock = 0.0

    def take(self, size: int) -> Buffer:
        """Return the free buffer, large enough, taken last, or a new one; small ones are new."""
        if size < TINY_BYTES:
            return Buffer(size, holders=1)
        buffers = self.buffers[size > SMALL_BYTES]
        for buffer in reversed(buffers):
            if size <= buffer.size and not buffer.holders:
                buffers.remove(buffer)
                break
        else:
            buffer = Buffer(max(size, SMALL_BYTES))
        buffers.append(buffer)
        buffer.holders = 1
        return buffer


def idle_elements(network: Network, steps: Mapping[str, list[Step]]) -> dict[str, Idle]:
    """Return `IDLE` of each layer: elements that its steps find beyond the second or all caches.

    What is read in order comes before it is missed, from whatever cache, and passes wait for
    nothing that they write: beyond the second cache all count but that, beyond the last one
    constants and what is written.

    Parameters
    ----------
    steps
        Layer name -> `steps.steps`.
    """
    pool = Pool()
    _replay(network, pool, steps)
    for _ in range(RUNS):
        known = list(map(len, pool.buffers))
        found = _replay(network, pool, steps)
        if list(map(len, pool.buffers)) == known:
            break
    return found


def _replay(network: Network, pool: Pool, steps: Mapping[str, list[Step]]) -> dict[str, Idle]:
    """Run a network on a pool."""
    last = {n: i for i, layer in enumerate(network.layers) for n in network.activations(layer)}
    held = {name: Buffer(0) for name in network.inputs}
    for name, buffer in held.items():
        buffer.use(network.tensors[name].elements, pool.clock)
    found = {}
    for index, layer in enumerate(network.layers):
        read = [held[name] for name in network.activations(layer) if name in held]
        if layer.op in VIEWS and read:
            result = read[0]
            result.holders += 1
            found[layer.name] = (0.0, 0.0, 0.0)
        else:
            result = _result(network, layer, pool)
            names = [layer.outputs[0], *(n for n in network.activations(layer) if n in held)]
            sizes = [network.tensors[name].elements for name in names]
            found[layer.name] = _run(pool, steps[layer.name], result, read, sizes)
        for name in filter(None, layer.outputs):
            held[name] = result
        for name in [name for name in held if last.get(name, index) <= index]:
            held.pop(name).holders -= 1
    return found


def _result(network: Network, layer: Layer, pool: Pool) -> Buffer:
    size = 4 * network.tensors[layer.outputs[0]].elements
    return pool.take(size) if layer.op in TILED else Buffer(size, holders=1)


def _run(
    pool: Pool, steps: list[Step], result: Buffer, read: list[Buffer], sizes: list[int]
) -> Idle:
    """Run the steps of a layer, and return its `IDLE`.

    ``sizes`` are the elements of the result, then of what is read.
    """
    far = cold = copied = 0.0
    weights = Buffer(0)
    whole = dict(zip(map(id, (result, *read)), sizes, strict=True))
    for step in steps:
        begin = pool.clock
        touched: dict[int, tuple[Buffer, int, bool]] = {}
        for reads, (name, elements) in (
            *((True, each) for each in step.reads),
            (False, step.writes),
        ):
            buffer = _memory(name, pool, result, read, weights)
            touched.setdefault(id(buffer), (buffer, elements, reads))
        for key, (buffer, elements, reads) in touched.items():
            if step.part in buffer.pieces:
                shares = iter([(1.0, begin - buffer.pieces[step.part])])
            elif buffer is weights and "streamed_elements" in step.counts:
                shares = iter(())  # a price of its own
            else:
                shares = buffer.since(whole.get(key, elements), begin)
            for share, since in shares:
                if reads or not step.passes:
                    far += elements * share / (1 + (FAR_BYTES / max(since, 1)) ** 4)
                lost = elements * share * (1 - math.exp(-since / LAST_CACHE_BYTES))
                if buffer is weights or (not reads and "copied_elements" in step.counts):
                    copied += lost
                elif not reads:
                    cold += lost
            if key in whole:
                buffer.pieces[step.part] = begin
            else:
                buffer.use(elements, begin)
        pool.clock += sum(4 * elements for _, elements, _ in touched.values())
        if "parts" in step.counts:  # a product writes its result last
            result.pieces[step.part] = begin + 4 * step.writes[1]
    for buffer in (result, *read):
        buffer.settle(whole[id(buffer)])
    return far, cold, copied


def _memory(
    name: str | int, pool: Pool, result: Buffer, read: list[Buffer], weights: Buffer
) -> Buffer:
    if isinstance(name, int):
        return read[name] if name < len(read) else weights
    if name in (RESULT, WEIGHTS):
        return result if name == RESULT else weights
    return pool.shared.setdefault(name, Buffer(0))
