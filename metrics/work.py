"""How much work a layer is: operations and bytes, the two axes of the roofline.

Operations are counted in multiply-accumulates (MACs). Layers that multiply nothing are charged one
slot per elementary step, so that a compute-bound softmax or pooling is not free.
"""

from __future__ import annotations

import math

from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS

STEPS = {"Softmax": 8, "LogSoftmax": 8, "Sigmoid": 8, "Tanh": 8, "Exp": 8, "Erf": 8, "Gelu": 12}
"""Elementary steps per output element of operators with transcendental functions."""


def operations(network: Network, layer: Layer) -> int:
    """Return the MACs of a layer, or its elementary steps where it has none."""
    if layer.macs:
        return layer.macs
    elements = sum(network.tensors[name].elements for name in layer.outputs if name)
    if layer.op in VIEWS:
        return 0
    if layer.op in {"MaxPool", "AveragePool"}:
        return elements * int(math.prod(layer.attributes["kernel_shape"]))
    if layer.op == "LRN":
        return elements * (int(layer.attributes["size"]) + 4)
    inputs = sum(network.tensors[name].elements for name in network.activations(layer))
    return max(inputs, elements) * STEPS.get(layer.op, 1)


def moved_bytes(network: Network, layer: Layer, bytes_per_element: int = 4) -> int:
    """Return bytes read and written once: activations in and out, and weights; 0 for a view."""
    if layer.op in VIEWS:
        return 0
    names = (*network.activations(layer), *(name for name in layer.outputs if name))
    elements = sum(network.tensors[name].elements for name in names)
    return elements * bytes_per_element + network.weight_bytes(layer, bytes_per_element)


def activation_bytes(network: Network) -> int:
    """Return the peak of the live float32 activations when layers run in order."""
    last_use = dict.fromkeys(network.inputs, -1)
    for index, layer in enumerate(network.layers):
        last_use.update(dict.fromkeys((*network.activations(layer), *layer.outputs), index))
    last_use.update(dict.fromkeys(network.outputs, len(network.layers)))
    live = sum(network.tensors[name].bytes for name in network.inputs)
    peak = live
    for index, layer in enumerate(network.layers):
        live += sum(network.tensors[name].bytes for name in layer.outputs if name)
        peak = max(peak, live)
        ended = {*network.activations(layer), *filter(None, layer.outputs)}
        live -= sum(network.tensors[name].bytes for name in ended if last_use[name] == index)
    return peak
