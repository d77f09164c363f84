"""A layer's work as the columns of a sample: what latency and power are functions of.

Only static facts count: shapes, constants, attributes. Work is that of the whole layer; a fused
residual addition and activation add elements, not a call.
"""

from __future__ import annotations

import math
from collections import defaultdict

from heterolith.metrics.models.context import coldness, gathered, window
from heterolith.metrics.models.memory import IDLE, Idle, idle_elements
from heterolith.metrics.models.samples import Samples, make_samples
from heterolith.metrics.models.steps import Step, images, steps
from heterolith.metrics.work import STEPS
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS
from heterolith.sw.scores import score_layers

Row = dict[str, object]
REMEMBERED = 32
"""Layers after which most of what a processor knows of a run of some code is forgotten."""


def family(network: Network, layer: Layer) -> str:
    """Return the operator family.

    Convolutions are told apart by how they are computed: ``pointwise`` (1x1), ``conv``,
    ``grouped``, ``depthwise`` and ``scale`` (1x1 depthwise, a factor per channel). Products with
    constants are ``fc``; everything else has the operator's own name in lower case.
    """
    if layer.op not in ("Conv", "ConvTranspose"):
        return "fc" if layer.op in ("Gemm", "MatMul") else layer.op.lower()
    groups, taps = int(layer.attributes.get("group", 1)), math.prod(window(network, layer))
    if groups == 1:
        strided = max(layer.attributes.get("strides", (1,))) > 1
        return "pointwise" if taps == 1 else "strided" if strided else "conv"
    if groups < _channels(network, layer):
        return "grouped"
    return "scale" if taps == 1 else "depthwise"


def shape_family(network: Network, layer: Layer) -> str:
    """Return what a validation fold keeps together: family with kernel and stride."""
    kernel = window(network, layer)
    if not kernel:
        return family(network, layer)
    strides = layer.attributes.get("strides", (1,))
    return f"{family(network, layer)} {'x'.join(map(str, kernel))}/{strides[0]}"


def layer_rows(network: Network) -> dict[str, Row]:
    """Return labels and work of every layer by its name, in order; an empty work for a view."""
    scores = score_layers(network)
    taken = {layer.name: steps(network, layer, layer.name in scores) for layer in network.layers}
    idle = idle_elements(network, taken)
    rare = rarity(network)
    return {
        layer.name: _row(
            network, layer, taken[layer.name], idle[layer.name], rare.get(layer.name, 0.0)
        )
        for layer in network.layers
    }


def rarity(network: Network) -> dict[str, float]:
    """Return how little a processor knows of a layer's code, branches above all: 1 if nothing.

    It is 1 / (1 + n) after n runs of the operator, each of them forgotten layer by layer: code
    that runs again and again stays in caches which more data goes through than they hold.
    """
    found: dict[str, float] = {}
    runs: dict[str, float] = defaultdict(float)
    for layer in network.layers:
        if layer.op not in VIEWS:
            found[layer.name] = 1 / (1 + runs[layer.op])
            runs[layer.op] += 1
            for name in runs:
                runs[name] *= math.exp(-1 / REMEMBERED)
    return found


def layer_row(network: Network, layer: Layer) -> Row:
    """Return labels and work of one layer; `layer_rows` is faster for all."""
    return layer_rows(network)[layer.name]


def _row(network: Network, layer: Layer, taken: list[Step], idle: Idle, rare: float) -> Row:
    row: Row = {
        "network": network.name,
        "layer": layer.name,
        "family": family(network, layer),
        "shape": shape_family(network, layer),
    }
    if layer.op in VIEWS:
        return row
    outputs = sum(network.tensors[name].elements for name in layer.outputs if name)
    inputs = sum(network.tensors[name].elements for name in network.activations(layer))
    batch = images(network, layer)
    counts: dict[str, float] = defaultdict(float)
    for step in taken:
        for name, value in step.counts.items():
            counts[name] += value
    return {
        **row,
        "calls": 1,
        "macs": layer.macs,
        "steps": 0 if layer.macs else max(_steps(network, layer, outputs), inputs),
        "activation_elements": inputs + outputs,
        "weight_elements": network.parameters(layer),
        "output_elements": outputs,
        **{name: value * batch for name, value in counts.items()},
        "gather_elements": gathered(network, layer),
        **{name: value * batch for name, value in zip(IDLE, idle, strict=True)},
        **dict(zip(("cold_calls", "cold_kernels"), coldness(network, layer), strict=True)),
        "rare_kernels": rare,
    }


def _steps(network: Network, layer: Layer, outputs: int) -> int:
    """Return the elementary operations of a layer that multiplies nothing.

    A pooling combines rows, then columns of what is left.
    """
    kernel = window(network, layer)
    if "Pool" in layer.op and kernel:
        columns = int(layer.attributes.get("strides", (1,))[-1])
        out = network.tensors[layer.outputs[0]]
        width = (out.shape[-1] - 1) * columns + kernel[-1]
        return outputs * kernel[-1] + outputs // out.shape[-1] * width * sum(kernel[:-1])
    lengths = int(layer.attributes["size"]) + 4 if layer.op == "LRN" else 1
    return outputs * lengths * STEPS.get(layer.op, 1)


def network_samples(network: Network, device: str = "", variant: str = "fp32") -> Samples:
    """Return one row per layer, in order, without targets."""
    rows = [{**row, "device": device, "variant": variant} for row in layer_rows(network).values()]
    return make_samples(rows, network.path or network.name)


def _channels(network: Network, layer: Layer) -> int:
    return network.tensors[layer.inputs[0]].shape[1] if layer.inputs[0] in network.tensors else 0
