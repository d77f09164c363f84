"""Operators that read or write elements at computed places.

Invariant: an index outside of its axis is refused; negative ones count from the end. Source: ONNX
operator set 18 (TensorScatter: set 24).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array
from heterolith.sw.ops.shape import ONNX_DTYPES, integers

# What combines an element with an update; "none" replaces it.
_REDUCTIONS: dict[str, np.ufunc] = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
}


def wrap_indices(indices: Array, length: int) -> Array:
    """Return int64 indices with negative ones counted from the end.

    Raises
    ------
    InputError
        If one is outside of ``[-length, length)``.
    """
    places = indices.astype(np.int64)
    outside = (places < -length) | (places >= length)
    if outside.any():
        raise InputError(
            f"index {int(places[outside][0])} is outside of an axis of {length} elements"
        )
    return np.where(places < 0, places + length, places)


def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """Return slices of `x` along an axis; the shape of `indices` replaces that axis."""
    return np.take(x, wrap_indices(indices, x.shape[axis]), axis=axis)


def _element_grid(x: Array, indices: Array, axis: int) -> tuple[Array, ...]:
    """Return what indexes `x` at `indices` on one axis, at each element's own place elsewhere."""
    if x.ndim != indices.ndim or not x.ndim:
        raise InputError(f"indices of rank {indices.ndim} for data of rank {x.ndim}")
    place = axis + x.ndim if axis < 0 else axis
    grid = list(np.ogrid[tuple(slice(length) for length in indices.shape)])
    for at, length in enumerate(indices.shape):
        if at != place and length > x.shape[at]:
            raise InputError(f"indices of {length} on axis {at}, data has {x.shape[at]}")
    grid[place] = wrap_indices(indices, x.shape[place])
    return tuple(grid)


def gather_elements(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """Return ``x[i][indices[i][j]]`` for ``axis`` 1, and so on; the shape is that of `indices`."""
    out: Array = x[_element_grid(x, indices, axis)]
    return out


def _tuple_grid(x: Array, indices: Array, batch_dims: int = 0) -> tuple[Array, ...]:
    """Return what indexes `x` at the tuples on the last axis of `indices`, after batch axes."""
    depth = indices.shape[-1]
    if not 0 < depth <= x.ndim - batch_dims or x.shape[:batch_dims] != indices.shape[:batch_dims]:
        raise InputError(f"index tuples of shape {indices.shape} do not fit data {x.shape}")
    batch = np.ogrid[tuple(slice(length) for length in indices.shape[:-1])][:batch_dims]
    tuples = [wrap_indices(indices[..., at], x.shape[batch_dims + at]) for at in range(depth)]
    return (*batch, *tuples)


def gather_nd(x: Array, indices: Array, *, batch_dims: int = 0) -> Array:
    """Return the slices of `x` at the index tuples on the last axis of `indices`.

    The first ``batch_dims`` axes of both run side by side.
    """
    out: Array = x[_tuple_grid(x, indices, batch_dims)]
    return out


def _scatter(x: Array, grid: tuple[Array, ...], updates: Array, reduction: str) -> Array:
    out = x.copy()
    if reduction == "none":
        out[grid] = updates
    elif reduction in _REDUCTIONS:
        _REDUCTIONS[reduction].at(out, grid, updates)
    else:
        raise unknown_name("scatter reduction", reduction, ["none", *_REDUCTIONS])
    return out


def scatter_elements(
    x: Array, indices: Array, updates: Array, *, axis: int = 0, reduction: str = "none"
) -> Array:
    """Return a copy of `x` with `updates` written where `gather_elements` would read.

    ``reduction`` is none, add, mul, max or min. Of updates that meet without one the last stays.
    """
    if indices.shape != updates.shape:
        raise InputError(f"updates of shape {updates.shape} for indices {indices.shape}")
    return _scatter(x, _element_grid(x, indices, axis), updates, reduction)


def scatter_nd(x: Array, indices: Array, updates: Array, *, reduction: str = "none") -> Array:
    """Return a copy of `x` with `updates` written where `gather_nd` would read.

    ``reduction`` as in `scatter_elements`.
    """
    expected = (*indices.shape[:-1], *x.shape[indices.shape[-1] :])
    if updates.shape != expected:
        raise InputError(f"updates of shape {updates.shape}; the indices need {expected}")
    return _scatter(x, _tuple_grid(x, indices), updates, reduction)


def tensor_scatter(
    cache: Array,
    update: Array,
    indices: Array | None = None,
    *,
    axis: int = -2,
    mode: str = "linear",
) -> Array:
    """Return a copy of `cache` with `update` written from a place of each batch element on.

    Parameters
    ----------
    cache
        Array of shape (B, ..., S, ...), S on ``axis``.
    update
        Array of the same shape but for a shorter ``axis``.
    indices
        int64 array of shape (B,), zeros by default.
    mode
        ``circular`` continues at the begin, ``linear`` refuses to leave the axis.
    """
    place = axis + cache.ndim if axis < 0 else axis
    length, count = cache.shape[place], update.shape[place]
    starts = np.zeros(cache.shape[0], np.int64) if indices is None else indices
    places = starts[:, None] + np.arange(count)
    if mode == "circular":
        places %= length
    elif mode != "linear":
        raise unknown_name("TensorScatter mode", mode, ("linear", "circular"))
    elif places.size and (places.min() < 0 or places.max() >= length):
        raise InputError(
            f"places {int(places.min())} to {int(places.max())} leave an axis of {length}; "
            "use mode circular or a longer cache"
        )
    if place == 0 or starts.shape != cache.shape[:1] or count > length:
        raise InputError(
            f"update {update.shape} at {starts.shape} does not fit {cache.shape}, axis {axis}"
        )
    out = cache.copy()
    rows = np.moveaxis(out, place, 1)
    rows[np.arange(cache.shape[0])[:, None], places] = np.moveaxis(update, place, 1)
    return out


def one_hot(indices: Array, depth: Array, values: Array, *, axis: int = -1) -> Array:
    """Return off and on ``values`` with a new axis that is on at each index, off elsewhere.

    Indices outside of ``[-depth, depth)`` give an axis that is off.
    """
    count = int(depth.item())
    places = indices.astype(np.int64)
    places = np.expand_dims(np.where(places < 0, places + count, places), axis)
    form = [1] * places.ndim
    form[axis] = count
    on = np.equal(places, np.arange(count).reshape(form))
    out: Array = np.where(on, values[1], values[0])
    return out


def trilu(x: Array, k: Array | None = None, *, upper: int = 1) -> Array:
    """Return the upper, or lower, triangles of the matrices on the last two axes, else zero."""
    diagonal = 0 if k is None else int(k.item())
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)


def eye_like(x: Array, *, dtype: int | None = None, k: int = 0) -> Array:
    """Return ones on diagonal ``k`` of a matrix of `x`'s shape, in `x`'s or the ONNX dtype."""
    if dtype is not None and dtype not in ONNX_DTYPES:
        raise InputError(f"EyeLike in ONNX data type {dtype} is not supported")
    kind: Any = x.dtype if dtype is None else ONNX_DTYPES[dtype]
    rows, columns = x.shape
    return np.eye(rows, columns, k, kind)


def reverse_sequence(x: Array, lengths: Array, *, batch_axis: int = 1, time_axis: int = 0) -> Array:
    """Return `x` with the first ``lengths[b]`` steps of each batch element in reverse order."""
    if {batch_axis, time_axis} != {0, 1}:
        raise InputError(f"ReverseSequence axes {batch_axis} and {time_axis}; they are 0 and 1")
    steps = np.arange(x.shape[time_axis])
    if lengths.shape != (x.shape[batch_axis],) or np.any((lengths < 0) | (lengths > steps.size)):
        raise InputError(f"sequence lengths {lengths.tolist()} do not fit {x.shape}")
    turned = lengths[:, None] - 1 - steps
    order = np.where(turned >= 0, turned, steps)
    batch = np.arange(x.shape[batch_axis])[:, None]
    if time_axis == 0:
        return x[order.T, batch.T]
    return x[batch, order]


def compress(x: Array, condition: Array, *, axis: int | None = None) -> Array:
    """Return the slices of `x` along an axis, or elements, where the bool vector is true."""
    if condition.size > (x.size if axis is None else x.shape[axis]):
        raise InputError(f"a condition of {condition.size} for data of shape {x.shape}")
    return np.compress(condition, x, axis=axis)


def non_zero(x: Array) -> Array:
    """Return the places of all elements that are not 0, int64 of shape (rank, count)."""
    return np.asarray(np.nonzero(np.atleast_1d(x)), np.int64)


def unique(
    x: Array, *, axis: int | None = None, sorted: int = 1
) -> tuple[Array, Array, Array, Array]:
    """Return distinct elements, or slices along an axis.

    Returns
    -------
    values
        In ascending order, or in that of their first occurrence unless ``sorted``.
    indices
        First occurrence of each in `x`, int64.
    inverse
        Place of each element of `x` among the values, int64.
    counts
        How often each occurs, int64.
    """
    found, first, inverse, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    order = np.arange(first.size) if sorted else np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    values = np.take(found, order, axis=0 if axis is None else axis)
    inverse = rank[inverse.reshape(-1)]
    return values, first[order].astype(np.int64), inverse.astype(np.int64), counts[order]


def top_k(
    x: Array, k: Array, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Array, Array]:
    """Return the k largest, or smallest, elements along an axis and their int64 places.

    Of equal elements the one with the lower place comes first. They come in order even if
    ``sorted`` does not ask for it.
    """
    count = integers(k)[0]
    if k.size != 1 or not 0 <= count <= x.shape[axis]:
        raise InputError(f"TopK of {integers(k)} elements on an axis of {x.shape[axis]}")
    if largest:
        ascending = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
        order = x.shape[axis] - 1 - np.flip(ascending, axis)
    else:
        order = np.argsort(x, axis=axis, kind="stable")
    places = np.take(order, np.arange(count), axis=axis).astype(np.int64)
    return np.take_along_axis(x, places, axis), places
