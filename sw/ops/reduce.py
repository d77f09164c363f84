"""Reductions over axes and positions of extremes.

Axes are a tensor, as in ONNX operator set 18; no axes means all of them, or none if
``noop_with_empty_axes``. Invariant: reductions keep the dtype, positions are int64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.ops.pool import highest, lowest
from heterolith.sw.ops.shape import integers


def _places(x: Array, axes: Array | None, noop: int) -> tuple[int, ...]:
    """Return the axes to reduce."""
    if axes is not None and axes.size:
        return integers(axes)
    return () if noop else tuple(range(x.ndim))


def _check_range(dtype: np.dtype[Any], real: Callable[[], ArrayLike]) -> None:
    """Refuse results of integers that leave their range, given in float64."""
    if dtype.kind in "iu":
        limits, values = np.iinfo(dtype), np.asarray(real())
        if not np.all((values >= limits.min) & (values < limits.max + 1)):
            raise InputError(f"a reduction of {dtype} leaves its range; cast to float first")


def reduce_sum(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return sums over axes; raises `InputError` where one of integers leaves their range."""
    places = _places(x, axes, noop_with_empty_axes)
    _check_range(x.dtype, lambda: np.sum(x, axis=places, dtype=np.float64))
    return np.sum(x, axis=places, keepdims=bool(keepdims), dtype=x.dtype)


def reduce_mean(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return means over axes; means of integers are truncated towards zero."""
    places = _places(x, axes, noop_with_empty_axes)
    dtype = np.float64 if x.dtype.kind in "iu" else x.dtype
    return np.mean(x, axis=places, keepdims=bool(keepdims), dtype=dtype).astype(x.dtype)


def reduce_max(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return maxima over axes, the dtype's lowest value of no elements."""
    places = _places(x, axes, noop_with_empty_axes)
    return np.asarray(np.max(x, axis=places, keepdims=bool(keepdims), initial=lowest(x.dtype)))


def reduce_min(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return minima over axes, the dtype's highest value of no elements."""
    places = _places(x, axes, noop_with_empty_axes)
    return np.asarray(np.min(x, axis=places, keepdims=bool(keepdims), initial=highest(x.dtype)))


def reduce_prod(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return products over axes; raises `InputError` where one of integers leaves their range."""
    places = _places(x, axes, noop_with_empty_axes)
    _check_range(x.dtype, lambda: np.prod(x, axis=places, dtype=np.float64))
    out: Array = np.prod(x, axis=places, keepdims=bool(keepdims), dtype=x.dtype)
    return out


def reduce_l1(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return sums of magnitudes over axes; raises `InputError` as `reduce_sum`."""
    places = _places(x, axes, noop_with_empty_axes)
    _check_range(x.dtype, lambda: np.sum(np.abs(x, dtype=np.float64), axis=places))
    return np.sum(np.abs(x), axis=places, keepdims=bool(keepdims), dtype=x.dtype)


def reduce_sum_square(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return sums of squares over axes; raises `InputError` as `reduce_sum`."""
    places = _places(x, axes, noop_with_empty_axes)
    _check_range(x.dtype, lambda: np.sum(np.square(x, dtype=np.float64), axis=places))
    return np.sum(np.square(x), axis=places, keepdims=bool(keepdims), dtype=x.dtype)


def reduce_l2(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return square roots of sums of squares over axes."""
    squares = reduce_sum_square(
        x, axes, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes
    )
    return np.sqrt(squares).astype(x.dtype)


def reduce_log_sum(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return logarithms of sums over axes."""
    total = reduce_sum(x, axes, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes)
    return np.log(total).astype(x.dtype)


def reduce_log_sum_exp(
    x: Array, axes: Array | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Array:
    """Return logarithms of sums of exponentials over axes, without overflow."""
    places = _places(x, axes, noop_with_empty_axes)
    real = x.astype(np.float64)
    top = np.max(real, axis=places, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.log(np.sum(np.exp(real - top), axis=places, keepdims=True)) + top
    out = total if keepdims else np.squeeze(total, axis=places)
    return np.asarray(out).astype(x.dtype)


def _position(
    find: Callable[..., Any], x: Array, axis: int, keepdims: int, select_last_index: int
) -> Array:
    if select_last_index:
        found = x.shape[axis] - 1 - find(np.flip(x, axis), axis=axis)
    else:
        found = find(x, axis=axis)
    place = np.asarray(found, np.int64)
    return np.expand_dims(place, axis) if keepdims else place


def argmax(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """Return int64 positions of the first, or last, maximum along an axis."""
    return _position(np.argmax, x, axis, keepdims, select_last_index)


def argmin(x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Array:
    """Return int64 positions of the first, or last, minimum along an axis."""
    return _position(np.argmin, x, axis, keepdims, select_last_index)
