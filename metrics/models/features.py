"""A layer's work as the columns of a sample: what latency and power are functions of.

Only static facts count: shapes, constants, attributes. Work is that of the whole layer; a fused
residual addition and activation add elements, not a call.
"""

from __future__ import annotations

import math

from heterolith.metrics.models.context import CACHE_BYTES, coldness, gathered, window
from heterolith.metrics.models.samples import Samples, make_samples
from heterolith.metrics.work import STEPS
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS

Row = dict[str, object]
PARTED = frozenset({"Conv", "MaxPool", "AveragePool"})
"""Operators that are computed in parts."""


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


def layer_row(network: Network, layer: Layer) -> Row:
    """Return labels and work of one layer; an empty work for a view."""
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
    return {
        **row,
        "calls": 1,
        "macs": layer.macs,
        "steps": 0 if layer.macs else max(_steps(network, layer, outputs), inputs),
        "activation_elements": inputs + outputs,
        "weight_elements": network.parameters(layer),
        "gather_elements": gathered(network, layer),
        "output_elements": outputs,
        **_passes(network, layer),
        **_products(network, layer),
        **dict(zip(("cold_calls", "cold_kernels"), coldness(network, layer), strict=True)),
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


def _products(network: Network, layer: Layer) -> Row:
    """Return in how many parts a layer is computed, and the factors that its products read.

    Parts are those of `heterolith.sw.ops.tiling` on one thread: as many rows, or channels where
    none mix, as `CACHE_BYTES` hold. The left factor, the kernels, is read anew in each.
    """
    x, out = network.tensors.get(layer.inputs[0]), network.tensors[layer.outputs[0]]
    taps = math.prod(window(network, layer))
    if layer.op not in PARTED or x is None or len(x.shape) != 4 or len(out.shape) != 4:
        return {}
    if layer.op != "Conv":
        return {"parts": x.shape[0] * _parts(x.shape[1], 4 * x.shape[2] * x.shape[3])}
    group = int(layer.attributes.get("group", 1))
    places, length = out.shape[2] * out.shape[3], taps * (x.shape[1] // group)
    if group > 1 and length == taps:
        return {"parts": x.shape[0] * _parts(group, 4 * taps * places)}
    parts = x.shape[0] * _parts(out.shape[2], 4 * length * group * out.shape[3])
    return {
        "parts": parts,
        "left_elements": out.shape[1] * length * parts,
        "right_elements": x.shape[0] * length * group * places,
    }


def _parts(count: int, size: int) -> int:
    """Return in how many parts so many pieces of a size in bytes are cut."""
    return min(count, -(-count // max(1, CACHE_BYTES // size)))


def _passes(network: Network, layer: Layer) -> Row:
    """Return what a library of array operations passes over beside the operator itself."""
    target = network.tensors[layer.outputs[0]]
    clamps = 0
    if layer.activation is not None:
        clamps = sum(map(math.isfinite, (layer.activation.low, layer.activation.high)))
    biased = layer.op in ("Conv", "Gemm") and len(layer.inputs) > 2 and bool(layer.inputs[2])
    shape = network.tensors[layer.inputs[0]].shape if layer.inputs[0] in network.tensors else ()
    pads = tuple(layer.attributes.get("pads") or ())
    padded = 0
    if any(pads) and len(pads) == 2 * (len(shape) - 2):
        rank = len(pads) // 2
        sides = (n + pads[i] + pads[i + rank] for i, n in enumerate(shape[2:]))
        padded = math.prod((*shape[:2], *sides))
    return {
        "fused_elements": target.elements * (biased + clamps + bool(layer.residual)),
        "padded_elements": padded,
        "runs": _runs(network, layer, shape, target.shape) + (padded and math.prod(shape[:3])),
    }


def _runs(network: Network, layer: Layer, shape: tuple[int, ...], out: tuple[int, ...]) -> int:
    """Return how many rows of memory a window is moved by: im2col's, or pooling's, axis by axis.

    Along its first axis a window without a stride moves whole maps.
    """
    kernel = window(network, layer)
    if not kernel or len(shape) < 3 or len(out) < 3:
        return len(layer.inputs) if layer.op == "Concat" else 0
    maps, strided = math.prod(shape[:2]), max(layer.attributes.get("strides", (1,))) > 1
    if "Pool" in layer.op:
        return maps * (kernel[0] * (out[2] if strided else 1) + sum(kernel[1:]) * out[2])
    return maps * out[2] * math.prod(kernel) if math.prod(kernel) > 1 or strided else 0


def network_samples(network: Network, device: str = "", variant: str = "fp32") -> Samples:
    """Return one row per layer, in order, without targets."""
    rows = [
        {**layer_row(network, layer), "device": device, "variant": variant}
        for layer in network.layers
    ]
    return make_samples(rows, network.path or network.name)


def _channels(network: Network, layer: Layer) -> int:
    return network.tensors[layer.inputs[0]].shape[1] if layer.inputs[0] in network.tensors else 0
