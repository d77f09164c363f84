"""Normalisation over channels, batches and axes.

Statistics are taken in the input's dtype. Source: ONNX operator set 18 (LRN: Krizhevsky et al.,
"ImageNet classification with deep convolutional neural networks", NIPS 2012, section 3.3).
"""

from __future__ import annotations

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array


def local_response_normalization(
    x: Array, *, size: int, alpha: float = 0.0001, beta: float = 0.75, bias: float = 1.0
) -> Array:
    """Return x / (bias + alpha / size * s) ** beta, s the sum of squares over ``size`` channels.

    `x` has shape (N, C, spatial axes). The power 0.75 is taken as sqrt(s) * sqrt(sqrt(s)), which
    costs a tenth of ``np.power``.
    """
    before, after = (size - 1) // 2, size // 2
    channels = x.shape[1]
    squares = np.square(x)
    scale = squares.copy()
    for shift in range(1, before + 1):
        scale[:, shift:] += squares[:, : max(channels - shift, 0)]
    for shift in range(1, after + 1):
        scale[:, : max(channels - shift, 0)] += squares[:, shift:]
    scale *= x.dtype.type(alpha / size)
    scale += x.dtype.type(bias)
    if beta == 0.75:
        root = np.sqrt(scale, out=squares)
        np.multiply(root, np.sqrt(root), out=scale)
    else:
        np.power(scale, x.dtype.type(beta), out=scale)
    return np.divide(x, scale, out=scale)


def _two_dimensional(x: Array, axis: int) -> Array:
    """Return `x` as rows that normalise over columns, as softmax did before operator set 13."""
    place = axis + x.ndim if axis < 0 else axis
    return x.reshape(int(np.prod(x.shape[:place], dtype=np.int64)), -1)


def softmax(x: Array, *, axis: int = -1, flatten: int = 0) -> Array:
    """Return exp(x) over its sum along an axis; ``flatten``: along all axes from ``axis`` on."""
    if flatten:
        return softmax(_two_dimensional(x, axis)).reshape(x.shape)
    shifted: Array = np.exp(x - np.max(x, axis=axis, keepdims=True))
    shifted /= np.sum(shifted, axis=axis, keepdims=True)
    return shifted


def log_softmax(x: Array, *, axis: int = -1, flatten: int = 0) -> Array:
    """Return the logarithm of `softmax` without forming it."""
    if flatten:
        return log_softmax(_two_dimensional(x, axis)).reshape(x.shape)
    shifted: Array = x - np.max(x, axis=axis, keepdims=True)
    shifted -= np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))
    return shifted


def batch_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    variance: Array,
    *,
    epsilon: float = 1e-5,
) -> Array:
    """Return scale * (x - mean) / sqrt(variance + epsilon) + bias, per channel.

    `x` has shape (N, C, spatial axes), the others (C,).
    """
    factor = scale / np.sqrt(variance + variance.dtype.type(epsilon))
    per_channel = (-1, *(1,) * (x.ndim - 2))
    out: Array = x * factor.astype(x.dtype).reshape(per_channel)
    out += (bias - mean * factor).astype(x.dtype).reshape(per_channel)
    return out


def instance_normalization(x: Array, scale: Array, bias: Array, *, epsilon: float = 1e-5) -> Array:
    """Return `x`, (N, C, spatial axes), normalised over spatial axes and scaled per channel."""
    axes = tuple(range(2, x.ndim))
    per_channel = (-1, *(1,) * len(axes))
    normal = _standardize(x, axes, epsilon)[0]
    return normal * scale.reshape(per_channel) + bias.reshape(per_channel)


def layer_normalization(
    x: Array,
    scale: Array,
    bias: Array | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[Array, Array, Array]:
    """Return `x` normalised over all axes from ``axis`` on, its mean and its inverse deviation.

    ``stash_type`` 1 (float32 statistics) is the only one supported.
    """
    if stash_type != 1:
        raise InputError(f"LayerNormalization stash_type {stash_type} is not supported; use 1")
    axes = tuple(range(axis + x.ndim if axis < 0 else axis, x.ndim))
    normal, mean, inverse = _standardize(x, axes, epsilon)
    out = normal * scale
    return (out if bias is None else out + bias), mean, inverse


def _standardize(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """Return (x - mean) / sqrt(variance + epsilon), the mean and the factor, axes kept."""
    mean = np.mean(x, axis=axes, keepdims=True, dtype=x.dtype)
    centred = x - mean
    variance = np.mean(np.square(centred), axis=axes, keepdims=True, dtype=x.dtype)
    inverse = x.dtype.type(1) / np.sqrt(variance + x.dtype.type(epsilon))
    return centred * inverse, mean, inverse
