"""Int8 parameters of one layer: weights, biases, rescalings, clamps. Made when a layer is loaded.

Weights are symmetric per output channel, in [-127, 127]. The scale of a channel's sums is
``input scale * weight scale``; where a bias would leave the accumulator the weight scale grows
until it fits, so that sums of any input stay inside 32 bits. Constants that numpy broadcasts with
zero strides stay broadcast.
"""

from __future__ import annotations

import math

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.fixed import (
    ACCUMULATOR_HIGH,
    CODE_LOW,
    WEIGHT_LIMIT,
    Output,
    Residual,
    Scaling,
)
from heterolith.hw.golden import LinearParameters
from heterolith.sw.network import Array, Layer
from heterolith.sw.quantize import QuantizedNetwork

_CHUNK = 2**22
"""Weights that are held in float64 at once."""


def rescaling(quantized: QuantizedNetwork, tensor: str, layer: Layer) -> Residual:
    """Return how codes of a tensor move to the scale of a layer's result."""
    entry = quantized.scale_of(tensor)
    target = quantized.scale_of(layer.outputs[0])
    return Residual(scaling=Scaling.of(entry.scale / target.scale), zero_point=entry.zero_point)


def clamp(quantized: QuantizedNetwork, layer: Layer) -> Output:
    """Return zero point and clamp of a layer's result: the codes of its activation's bounds."""
    low, high = _bounds(quantized, layer)
    if layer.activation is not None:
        low, high = max(low, layer.activation.low), min(high, layer.activation.high)
    entry = quantized.scale_of(layer.outputs[0])
    first, last = entry.code(low), entry.code(high)
    return Output(zero_point=entry.zero_point, low=min(first, last), high=last)


def _bounds(quantized: QuantizedNetwork, layer: Layer) -> tuple[float, float]:
    """Return the bounds of the operator itself: Relu's and Clip's."""
    if layer.op == "Relu":
        return 0.0, math.inf
    bounds = [-math.inf, math.inf]
    if layer.op == "Clip":
        for index, name in enumerate(layer.inputs[1:3]):
            if name:
                bounds[index] = float(quantized.network.constants[name].reshape(-1)[0])
    return bounds[0], bounds[1]


def linear_parameters(quantized: QuantizedNetwork, layer: Layer) -> LinearParameters:
    """Return the int8 parameters of a Conv, Gemm or MatMul that the accelerator computes.

    Raises
    ------
    InputError
        If a weight is not finite.
    """
    weights = oriented_weights(quantized, layer)
    factor = float(layer.attributes.get("alpha", 1.0)) if layer.op == "Gemm" else 1.0
    if factor == 0.0:
        weights, factor = np.broadcast_to(np.float32(0), weights.shape), 1.0
    source = quantized.scale_of(layer.inputs[0])
    bias = _float_bias(quantized, layer, len(weights))
    reduction = math.prod(weights.shape[1:])
    largest = _largest(weights) * abs(factor)
    if not np.isfinite(largest).all() or not np.isfinite(bias).all():
        raise InputError(f"layer {layer.name!r} has weights that are not finite; check the model")
    room = ACCUMULATOR_HIGH - 2 * reduction * WEIGHT_LIMIT * -CODE_LOW
    scales = np.maximum(largest / WEIGHT_LIMIT, np.abs(bias) / (source.scale * room))
    scales[scales == 0.0] = 1.0
    codes, sums = quantize_weights(weights, scales / factor)
    whole = np.rint(bias / (source.scale * scales)).astype(np.int64) - source.zero_point * sums
    target = quantized.scale_of(layer.outputs[0])
    return LinearParameters(
        weights=codes,
        bias=whole.astype(np.int32),
        scaling=Scaling.of(source.scale * scales / target.scale),
        output=clamp(quantized, layer),
        pad_value=source.zero_point,
        residual=rescaling(quantized, layer.residual, layer) if layer.residual else None,
    )


def oriented_weights(quantized: QuantizedNetwork, layer: Layer) -> Array:
    """Return a layer's float weights with output channels first; convolutions always in 2-D."""
    weights = quantized.network.constants[layer.inputs[1]]
    if layer.op == "Conv":
        return weights[:, :, None, :] if weights.ndim == 3 else weights
    transposed = layer.op == "Gemm" and layer.attributes.get("transB", 0)
    return weights if transposed else weights.T


def _float_bias(quantized: QuantizedNetwork, layer: Layer, channels: int) -> Array:
    name = layer.inputs[2] if len(layer.inputs) > 2 else ""
    if not name:
        return np.zeros(channels)
    factor = float(layer.attributes.get("beta", 1.0)) if layer.op == "Gemm" else 1.0
    value = quantized.network.constants[name].reshape(-1).astype(np.float64) * factor
    return np.broadcast_to(value, (channels,)).copy()


def _compact(weights: Array) -> Array:
    """Return the weights with every axis of zero stride cut to length 1: nothing is repeated."""
    kept = (slice(0, 1) if stride == 0 else slice(None) for stride in weights.strides)
    return weights[tuple(kept)]


def _largest(weights: Array) -> Array:
    """Return the largest magnitude per output channel, float64 of shape (Co,)."""
    flat = tuple(range(1, weights.ndim))
    compact = _compact(weights)
    low, high = compact.min(axis=flat), compact.max(axis=flat)
    largest = np.maximum(-low.astype(np.float64), high.astype(np.float64))
    return np.broadcast_to(largest, (len(weights),)).copy()


def quantize_weights(weights: Array, scales: Array) -> tuple[Array, Array]:
    """Return int8 codes of float weights (Co, ...) and their sum per channel, int64.

    Parameters
    ----------
    scales
        float64 array (Co,), not zero; codes are ``round(weight / scale)`` in [-127, 127].
    """
    compact = _compact(weights)
    if len(compact) == 1 and np.all(scales == scales[0]):
        scales_used = scales[:1]
    else:
        compact = np.broadcast_to(compact, (len(weights), *compact.shape[1:]))
        scales_used = scales
    codes = np.empty(compact.shape, dtype=np.int8)
    sums = np.empty(len(compact), dtype=np.int64)
    flat, spread = tuple(range(1, weights.ndim)), (-1, *(1,) * (weights.ndim - 1))
    step = max(1, _CHUNK // max(1, math.prod(compact.shape[1:])))
    for begin in range(0, len(compact), step):
        part = slice(begin, begin + step)
        quotient = compact[part].astype(np.float64) / scales_used[part].reshape(spread)
        np.clip(np.rint(quotient, out=quotient), -WEIGHT_LIMIT, WEIGHT_LIMIT, out=quotient)
        codes[part] = quotient
        sums[part] = quotient.sum(axis=flat)
    sums *= math.prod(weights.shape[1:]) // max(1, math.prod(compact.shape[1:]))
    return np.broadcast_to(codes, weights.shape), np.broadcast_to(sums, (len(weights),))
