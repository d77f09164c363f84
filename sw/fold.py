"""Folds ``y = scale * x + shift`` per channel into the weights and bias of the layer before it.

Sums and products are formed in float64 and rounded once to the dtype of the weights. Source of the
batch normalization formula: ONNX BatchNormalization-15.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array, Layer


@dataclass(frozen=True, slots=True)
class Affine:
    """``scale * x + shift``, both float64 of shape (C,) for the channels on axis 1."""

    scale: Array
    shift: Array


def affine_of(
    layer: Layer, constants: Mapping[str, Array], shape: tuple[int, ...]
) -> Affine | None:
    """Return what a layer computes as an affine function per channel, ``None`` if it does not.

    Parameters
    ----------
    layer
        BatchNormalization, or Add, Sub, Mul, Div of one activation and a constant.
    constants
        Values of the constants.
    shape
        Shape (N, C, ...) of the layer's result.

    Raises
    ------
    InputError
        If a batch normalization has no finite scale.
    """
    if layer.op == "BatchNormalization":
        return _batch_affine(layer, constants)
    if layer.op not in ("Add", "Sub", "Mul", "Div") or len(shape) < 2:
        return None
    first, second = layer.inputs
    if (first in constants) == (second in constants):
        return None
    reversed_ = first in constants
    values = _per_channel(constants[first if reversed_ else second], shape)
    if values is None or (reversed_ and layer.op == "Div"):
        return None
    one, zero = np.ones_like(values), np.zeros_like(values)
    if layer.op == "Mul":
        return Affine(values, zero)
    if layer.op == "Div":
        return Affine(1.0 / values, zero) if np.all(values != 0) else None
    if layer.op == "Add":
        return Affine(one, values)
    return Affine(-one, values) if reversed_ else Affine(one, -values)


def _batch_affine(layer: Layer, constants: Mapping[str, Array]) -> Affine | None:
    if any(name not in constants for name in layer.inputs[1:]):
        return None
    gamma, beta, mean, variance = (
        np.asarray(constants[name], np.float64).reshape(-1) for name in layer.inputs[1:5]
    )
    spread = variance + float(layer.attributes["epsilon"])
    if not np.all(spread > 0):
        raise InputError(
            f"node {layer.name!r} (BatchNormalization) has variance + epsilon = {spread.min():g}, "
            "must be above 0; train or export the model again"
        )
    scale = gamma / np.sqrt(spread)
    return Affine(scale, beta - mean * scale)


def _per_channel(value: Array, shape: tuple[int, ...]) -> Array | None:
    """Return a constant that broadcasts over all but axis 1 as float64 of shape (C,)."""
    if value.ndim > len(shape) or value.dtype.kind != "f":
        return None
    aligned = (1,) * (len(shape) - value.ndim) + value.shape
    if aligned[1] not in (1, shape[1]) or any(n != 1 for at, n in enumerate(aligned) if at != 1):
        return None
    return np.broadcast_to(value.astype(np.float64).reshape(-1), (shape[1],))


def scaled_weights(layer: Layer, weights: Array, scale: Array) -> Array:
    """Return the weights of a Conv, ConvTranspose or Gemm with each output channel scaled.

    Axes on which the weights repeat one value (zero stride) stay so.
    """
    if np.all(scale == 1):
        return weights
    shape = weights.shape
    if layer.op == "ConvTranspose":  # (C, M / group, kernel): output channels run group by group
        group = int(layer.attributes["group"])
        blocks = weights.reshape(group, shape[0] // group, *shape[1:])
        factors = scale.reshape(group, 1, shape[1], *(1,) * (len(shape) - 2))
        return _product(blocks, factors, layer).reshape(shape)
    axis = 0 if layer.op == "Conv" or layer.attributes["transB"] else 1
    return _product(
        weights, scale.reshape([-1 if at == axis else 1 for at in range(len(shape))]), layer
    )


def _product(weights: Array, factors: Array, layer: Layer) -> Array:
    uniform = bool(np.all(factors == factors.flat[0]))
    if uniform:
        factors = factors.reshape(-1)[:1].reshape((1,) * factors.ndim)
    cut = tuple(slice(0, 1) if step == 0 else slice(None) for step in weights.strides)
    compact = weights[cut]
    result = np.empty(np.broadcast_shapes(compact.shape, factors.shape), weights.dtype)
    with np.errstate(over="ignore"):
        np.multiply(compact, factors, out=result, dtype=np.float64, casting="same_kind")
    _check(result, layer)
    return result if result.shape == weights.shape else np.broadcast_to(result, weights.shape)


def folded_bias(layer: Layer, bias: Array | None, affine: Affine, dtype: np.dtype) -> Array:
    """Return ``scale * bias + shift``, shape (C,), in the dtype of the weights."""
    shift = affine.shift if bias is None else affine.scale * bias.astype(np.float64) + affine.shift
    with np.errstate(over="ignore"):
        result = shift.astype(dtype)
    _check(result, layer)
    return result


def _check(result: Array, layer: Layer) -> None:
    if not np.isfinite(result).all():
        raise InputError(
            f"weights of node {layer.name!r} ({layer.op}) leave the range of {result.dtype} when "
            "what follows is folded into them; export the model again"
        )
