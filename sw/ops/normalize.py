"""Normalisation over channels, batches and axes.

Statistics are taken in the input's dtype. Source: ONNX operator set 18 (GroupNormalization: set 21,
RMSNormalization: set 23; LRN: Krizhevsky et al.,
"ImageNet classification with deep convolutional neural networks", NIPS 2012, section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.ops.window import SlotEmpty, fresh


def local_response_normalization(
    x: Array, *, size: int, alpha: float = 0.0001, beta: float = 0.75, bias: float = 1.0
) -> Array:
    """Return x / (bias + alpha / size * s) ** beta, s the sum of squares over ``size`` channels.

    `x` has shape (N, C, spatial axes).
    """
    return normalize_into(np.empty_like(x), x, size=size, alpha=alpha, beta=beta, bias=bias)


def normalize_into(
    scale: Array,
    x: Array,
    empty: SlotEmpty = fresh,
    *,
    size: int,
    alpha: float = 0.0001,
    beta: float = 0.75,
    bias: float = 1.0,
) -> Array:
    """Overwrite ``scale`` by what `local_response_normalization` returns for `x`, and return it.

    The power 0.75 is taken as sqrt(s) * sqrt(sqrt(s)), which costs a tenth of ``np.power``;
    ``empty`` allocates what lies between.
    """
    before, after = (size - 1) // 2, size // 2
    channels = x.shape[1]
    squares = np.square(x, out=empty(0, x.shape, x.dtype))
    np.copyto(scale, squares)
    for shift in range(1, before + 1):
        scale[:, shift:] += squares[:, : max(channels - shift, 0)]
    for shift in range(1, after + 1):
        scale[:, : max(channels - shift, 0)] += squares[:, shift:]
    scale *= x.dtype.type(alpha / size)
    scale += x.dtype.type(bias)
    if beta == 0.75:
        root = np.sqrt(scale, out=squares)
        np.multiply(root, np.sqrt(root, out=empty(1, x.shape, x.dtype)), out=scale)
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
    # reductions as ufuncs: half the calls, and nearly all that a row of scores costs are calls
    shifted: Array = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    shifted /= np.add.reduce(shifted, axis=axis, keepdims=True)
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

    ``stash_type`` 1 (float32 statistics) is the only one supported; float64 keeps its own.
    """
    _check_stash(stash_type, "LayerNormalization")
    if not -x.ndim <= axis < x.ndim:
        raise InputError(f"LayerNormalization axis {axis} of rank {x.ndim}")
    axes = tuple(range(axis + x.ndim if axis < 0 else axis, x.ndim))
    normal, mean, inverse = _standardize(x, axes, epsilon)
    out = normal * scale
    mean, inverse = mean.astype(np.float32), inverse.astype(np.float32)
    return (out if bias is None else out + bias), mean, inverse


def _standardize(x: Array, axes: tuple[int, ...], epsilon: float) -> tuple[Array, Array, Array]:
    """Return (x - mean) / sqrt(variance + epsilon), the mean and the factor, axes kept.

    Statistics of float16 are taken in float32.
    """
    wide = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    mean = np.mean(wide, axis=axes, keepdims=True)
    centred = wide - mean
    variance = np.mean(np.square(centred), axis=axes, keepdims=True)
    inverse = wide.dtype.type(1) / np.sqrt(variance + wide.dtype.type(epsilon))
    return (centred * inverse).astype(x.dtype, copy=False), mean, inverse


def hardmax(x: Array, *, axis: int = -1, flatten: int = 0) -> Array:
    """Return 1 at the first maximum along an axis, else 0; ``flatten`` as in `softmax`."""
    if flatten:
        return hardmax(_two_dimensional(x, axis)).reshape(x.shape)
    first = np.expand_dims(np.argmax(x, axis=axis), axis)
    form = [1] * x.ndim
    form[axis] = x.shape[axis]
    places = np.arange(x.shape[axis]).reshape(form)
    return np.asarray(places == first, x.dtype)


def group_normalization(
    x: Array,
    scale: Array,
    bias: Array,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Array:
    """Return `x`, (N, C, spatial axes), normalised over groups of channels, scaled per channel."""
    _check_stash(stash_type, "GroupNormalization")
    if x.shape[1] % num_groups:
        raise InputError(f"{x.shape[1]} channels cannot be cut into {num_groups} groups")
    groups = x.reshape(x.shape[0], num_groups, -1)
    normal = _standardize(groups, (2,), epsilon)[0].reshape(x.shape)
    per_channel = (-1, *(1,) * (x.ndim - 2))
    return normal * scale.reshape(per_channel) + bias.reshape(per_channel)


def rms_normalization(
    x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Array:
    """Return `x` over its root mean square over all axes from ``axis`` on, scaled."""
    _check_stash(stash_type, "RMSNormalization")
    axes = tuple(range(axis + x.ndim if axis < 0 else axis, x.ndim))
    wide = x.astype(np.result_type(x.dtype, np.float32))
    square = np.mean(np.square(wide), axis=axes, keepdims=True)
    out: Array = (wide / np.sqrt(square + wide.dtype.type(epsilon))).astype(x.dtype) * scale
    return out


def lp_normalization(x: Array, *, axis: int = -1, p: int = 2) -> Array:
    """Return `x` over its norm along an axis, zero where that is zero; ``p`` is 1 or 2."""
    if p not in (1, 2):
        raise InputError(f"LpNormalization p={p} is not defined; use 1 or 2")
    if p == 1:
        norm = np.sum(np.abs(x), axis=axis, keepdims=True)
    else:
        norm = np.sqrt(np.sum(np.square(x), axis=axis, keepdims=True))
    return np.where(norm == 0, x.dtype.type(0), x / np.where(norm == 0, 1, norm)).astype(x.dtype)


def mean_variance_normalization(x: Array, *, axes: Sequence[int] = (0, 2, 3)) -> Array:
    """Return ``(x - mean) / (deviation + 1e-9)`` over axes."""
    places = tuple(axes)
    mean = np.mean(x, axis=places, keepdims=True, dtype=x.dtype)
    centred = x - mean
    deviation = np.sqrt(np.mean(np.square(centred), axis=places, keepdims=True, dtype=x.dtype))
    out: Array = centred / (deviation + x.dtype.type(1e-9))
    return out


def _check_stash(stash_type: int, op: str) -> None:
    if stash_type != 1:
        raise InputError(f"{op} stash_type {stash_type} is not supported; use 1")
