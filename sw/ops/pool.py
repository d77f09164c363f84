"""Pooling in 1, 2 or 3 dimensions.

A window's maximum or sum is separable: it is taken along one spatial axis after the other, each as
maxima or sums of strided slices, outermost axis first because its slices are contiguous rows.
Source: ONNX operator set 18 (average pooling takes set 19's dilations too).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from heterolith.sw.network import Array
from heterolith.sw.ops.window import Attribute, SlotEmpty, Window, fresh


def _taps(x: Array, axis: int, window: Window, places: int) -> list[Array]:
    """Return what each tap of the window meets on one spatial axis of `x`."""
    stride, dilation = window.strides[axis], window.dilations[axis]
    before = (slice(None),) * (2 + axis)
    firsts = [tap * dilation for tap in range(window.kernel[axis])]
    return [
        x[(*before, slice(first, first + (places - 1) * stride + 1, stride))] for first in firsts
    ]


def pool_padded(
    function: np.ufunc,
    padded: Array,
    window: Window,
    out: Array,
    empty: SlotEmpty = fresh,
) -> None:
    """Combine every window of an already padded input into `out` by a ufunc, e.g. ``np.maximum``.

    Parameters
    ----------
    padded
        Array of shape (N, C, spatial axes).
    out
        Array of shape (N, C, output axes); it is overwritten.
    empty
        What allocates memory for what is combined along an axis, while others are left.
    """
    places = out.shape[2:]
    open_axes = [
        axis
        for axis, count in enumerate(places)
        if window.kernel[axis] > 1 or padded.shape[2 + axis] != count
    ]
    if not open_axes:
        np.copyto(out, padded)
    for axis in open_axes:
        taps = _taps(padded, axis, window, places[axis])
        result = out if axis == open_axes[-1] else empty(axis, taps[0].shape, out.dtype)
        if len(taps) == 1:
            np.copyto(result, taps[0])
        else:
            function(taps[0], taps[1], out=result)
        for tap in taps[2:]:
            function(result, tap, out=result)
        padded = result


def flattens(
    kernel: Sequence[int], strides: Sequence[int], covered: Sequence[int], places: Sequence[int]
) -> bool:
    """Tell whether `pool_flat` is worth it: it computes what lies between places, too."""
    return prod(kernel) > 1 == prod(strides) and 2 * prod(places) >= prod(covered)


def pool_flat(
    function: np.ufunc, padded: Array, window: Window, out: Array, empty: SlotEmpty = fresh
) -> Array:
    """Return what `pool_padded` does for strides of 1, maybe as a view with gaps.

    Taps of an axis lie one distance apart in all of the memory, so that each is one pass over one
    stretch of it. Windows over the ends of rows are combined too, and left out in the end.

    Parameters
    ----------
    padded
        Row-major array of shape (N, C, spatial axes).
    out
        Array of the result's shape, which is not written to.
    empty
        As of `pool_padded`, for each axis of more than one tap.
    """
    flat = padded.reshape(-1)
    for axis, taps in enumerate(window.kernel):
        step = window.dilations[axis] * prod(padded.shape[3 + axis :])
        ends = range(flat.size - (taps - 1) * step, flat.size + 1, step)
        if taps > 1:
            result = empty(axis, (ends[0],), out.dtype)
            function(flat[: ends[0]], flat[step : ends[1]], out=result)
            for tap in range(2, taps):
                function(result, flat[tap * step : ends[tap]], out=result)
            flat = result
    return np.ndarray(out.shape, out.dtype, flat, 0, padded.strides)


def lowest(dtype: np.dtype[Any]) -> float:
    """Return the smallest value of a dtype: what pads the input of a maximum."""
    if dtype.kind == "b":
        return False
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def highest(dtype: np.dtype[Any]) -> float:
    """Return the largest value of a dtype."""
    if dtype.kind == "b":
        return True
    return np.inf if dtype.kind == "f" else int(np.iinfo(dtype).max)


def max_pool(x: Array, *, storage_order: int = 0, **geometry: Attribute) -> Array:
    """Return the maximum of every window of `x`, (N, C, spatial axes); padding never wins.

    ``storage_order`` concerns indices alone.
    """
    window = Window.of(geometry["kernel_shape"], geometry)
    places = window.output(x.shape[2:])
    out = np.empty((*x.shape[:2], *places), x.dtype)
    pool_padded(np.maximum, window.pad(x, lowest(x.dtype)), window, out)
    return out


def max_pool_with_indices(
    x: Array, *, storage_order: int = 0, **geometry: Attribute
) -> tuple[Array, Array]:
    """Return window maxima and where they were found.

    Returns
    -------
    maxima
        Array of shape (N, C, output axes).
    indices
        int64 array of the same shape: index of the first maximum in row-major `x`, with
        ``storage_order`` 1 in `x` of column-major spatial axes.
    """
    window = Window.of(geometry["kernel_shape"], geometry)
    places = window.output(x.shape[2:])
    padded = window.pad(x, lowest(x.dtype))
    numbers = np.arange(x.size, dtype=np.int64)
    if storage_order:
        turned = numbers.reshape(*x.shape[:2], *x.shape[:1:-1])
        numbers = turned.transpose(0, 1, *range(x.ndim - 1, 1, -1))
    places_in_x = window.pad(numbers.reshape(x.shape), -1)
    best: Array | None = None
    for (_, values), (_, where) in zip(
        window.taps(padded, places), window.taps(places_in_x, places), strict=True
    ):
        if best is None:
            best, found = values.copy(), where.copy()
            continue
        # A tap in the padding may come first: any element inside replaces it, -inf included.
        better = (values > best) | ((found < 0) & (where >= 0))
        np.copyto(best, values, where=better)
        np.copyto(found, where, where=better)
    assert best is not None
    return best, found


def average_pool(
    x: Array,
    *,
    count_include_pad: int = 0,
    **geometry: Attribute,
) -> Array:
    """Return the mean of every window of `x`, (N, C, spatial axes).

    ``count_include_pad`` counts padding as elements of value 0; what ``ceil_mode`` adds beyond the
    padding is never counted.
    """
    window = Window.of(geometry["kernel_shape"], geometry)
    places = window.output(x.shape[2:])
    out = np.empty((*x.shape[:2], *places), x.dtype)
    pool_padded(np.add, window.pad(x), window, out)
    counts = window_counts(x.shape[2:], window, bool(count_include_pad))
    np.divide(out, counts.astype(x.dtype), out=out)
    return out


def window_counts(spatial: Sequence[int], window: Window, include_pad: bool) -> Array:
    """Return how many elements of an input each window averages, of shape (output axes)."""
    places, factors = window.output(spatial), []
    for axis, length in enumerate(spatial):
        before, after = window.pads[axis], window.pads[axis + window.rank]
        low, high = (0, before + length + after) if include_pad else (before, before + length)
        starts = np.arange(places[axis])[:, None] * window.strides[axis]
        elements = starts + np.arange(window.kernel[axis]) * window.dilations[axis]
        factors.append(((elements >= low) & (elements < high)).sum(axis=1))
    counts: Array = reduce(np.multiply.outer, factors)
    return counts


def global_average_pool(x: Array) -> Array:
    """Return the mean over all spatial axes of `x`, kept with length 1."""
    out: Array = np.add.reduce(x, axis=tuple(range(2, x.ndim)), keepdims=True, dtype=x.dtype)
    out /= x.dtype.type(prod(x.shape[2:]))
    return out


def global_max_pool(x: Array) -> Array:
    """Return the maximum over all spatial axes of `x`, kept with length 1."""
    out: Array = np.max(x, axis=tuple(range(2, x.ndim)), keepdims=True)
    return out


def lp_pool(x: Array, *, p: int = 2, **geometry: Attribute) -> Array:
    """Return the p-norm of every window of `x`, (N, C, spatial axes)."""
    window = Window.of(geometry["kernel_shape"], geometry)
    places = window.output(x.shape[2:])
    powers = np.power(np.abs(x), x.dtype.type(p))
    out = np.empty((*x.shape[:2], *places), x.dtype)
    pool_padded(np.add, window.pad(powers), window, out)
    np.power(out, x.dtype.type(1 / p), out=out)
    return out


def global_lp_pool(x: Array, *, p: int = 2) -> Array:
    """Return the p-norm over all spatial axes of `x`, kept with length 1."""
    powers = np.power(np.abs(x), x.dtype.type(p))
    sums = np.sum(powers, axis=tuple(range(2, x.ndim)), keepdims=True, dtype=x.dtype)
    out: Array = np.power(sums, x.dtype.type(1 / p))
    return out
