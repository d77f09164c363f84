"""What a layer finds when it starts: caches that the layers before it have filled.

Starting an operator takes up to twice as long after a layer that moved more than a second-level
cache holds: code and interpreter have to be fetched again. How much is gone is taken as
1 - exp(-bytes / scale), of what was touched since any layer ran, and since one of the same operator
ran. It depends on the network alone, so that a prediction has it as a measurement does.
"""

from __future__ import annotations

import math

from heterolith.metrics.work import moved_bytes
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS

CACHE_BYTES = 1 << 21
"""What most processors' second-level caches hold, and the parts that this package computes in."""
KERNEL_BYTES = 2 * CACHE_BYTES
"""The scale for an operator's own code, which stays longer; of what all run it is `CACHE_BYTES`."""
_COLD_BYTES = 16 * CACHE_BYTES


def window(network: Network, layer: Layer) -> tuple[int, ...]:
    """Return the spatial extent of the window, () where the operator has none."""
    if layer.op in ("Conv", "ConvTranspose"):
        weights = layer.inputs[1]
        known = network.constants.get(weights)
        shape = known.shape if known is not None else network.tensors[weights].shape
        return tuple(int(value) for value in shape[2:])
    return tuple(int(value) for value in layer.attributes.get("kernel_shape", ()))


def gathered(network: Network, layer: Layer) -> int:
    """Return the elements of the im2col matrix, 0 where there is none."""
    if not layer.macs or math.prod(window(network, layer)) <= 1:
        return 0
    groups = int(layer.attributes.get("group", 1))
    filters = network.tensors[layer.outputs[0]].shape[1] // groups
    # one column of the matrix per output pixel, as long as a filter
    return layer.macs // max(1, filters)


def coldness(network: Network, layer: Layer) -> tuple[float, float]:
    """Return which share of the caches was lost since any layer, and one of the same operator."""
    place = next((i for i, each in enumerate(network.layers) if each.name == layer.name), 0)
    touched = first = 0
    for before in reversed(network.layers[:place]):
        if before.op in VIEWS:
            continue
        touched += touched_bytes(network, before)
        first = first or touched or 1
        if before.op == layer.op:
            return _lost(first, CACHE_BYTES), _lost(touched, KERNEL_BYTES)
    return _lost(first or _COLD_BYTES, CACHE_BYTES), 1.0


def touched_bytes(network: Network, layer: Layer) -> int:
    """Return the bytes that a layer leaves in caches."""
    return moved_bytes(network, layer) + min(4 * gathered(network, layer), CACHE_BYTES)


def _lost(size: int, scale: int) -> float:
    return 1 - math.exp(-size / scale)
