"""Operators that move, cut, join or describe elements without arithmetic on them.

Results may be views of their inputs, with zero strides for `expand` and `constant_of_shape`; nobody
writes into an operator's result without checking for that. Source: ONNX operator set 18.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array

# TensorProto.DataType of the ONNX standard -> numpy dtype; the others have no numpy counterpart.
ONNX_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}


def integers(values: Array) -> tuple[int, ...]:
    """Return a tensor of integers of any shape as a flat tuple."""
    return tuple(int(value) for value in np.ravel(values))


def shape(x: Array, *, start: int = 0, end: int | None = None) -> Array:
    """Return the dimensions ``start:end`` of `x`, int64 of shape (R,)."""
    return np.array(x.shape[start:end], np.int64)


def size(x: Array) -> Array:
    """Return the number of elements of `x`, int64 of shape ()."""
    return np.array(x.size, np.int64)


def identity(x: Array) -> Array:
    """Return `x` itself."""
    return x


def concat(*tensors: Array, axis: int) -> Array:
    """Return tensors of one dtype joined along an axis."""
    return np.concatenate(tensors, axis=axis)


def split(
    x: Array, sizes: Array | None = None, *, axis: int = 0, num_outputs: int | None = None
) -> tuple[Array, ...]:
    """Return `x` cut along an axis into the given sizes or into ``num_outputs`` equal parts.

    With ``num_outputs`` that does not divide the axis the last part is the smaller one.
    """
    length = x.shape[axis]
    if sizes is not None:
        parts = integers(sizes)
    elif num_outputs:
        step = -(-length // num_outputs)
        parts = (step,) * (num_outputs - 1) + (length - step * (num_outputs - 1),)
    else:
        raise InputError("Split needs the input 'split' or the attribute num_outputs")
    if sum(parts) != length or min(parts) < 0:
        raise InputError(f"Split sizes {parts} must sum to {length}, the length of axis {axis}")
    return tuple(np.split(x, np.cumsum(parts)[:-1].tolist(), axis=axis))


def unsqueeze(x: Array, axes: Array) -> Array:
    """Return `x` with axes of length 1 inserted; `axes` refer to the result."""
    return np.expand_dims(x, integers(axes))


def squeeze(x: Array, axes: Array | None = None) -> Array:
    """Return `x` without the given axes of length 1, or without all of them."""
    return np.squeeze(x, None if axes is None else integers(axes))


def slice_(
    x: Array, starts: Array, ends: Array, axes: Array | None = None, steps: Array | None = None
) -> Array:
    """Return ``x[start:end:step]`` on each of the axes.

    Bounds are clamped as in Python, but a start before the first element is the first element even
    where the step is negative.
    """
    begin = integers(starts)
    places = range(len(begin)) if axes is None else integers(axes)
    strides = (1,) * len(begin) if steps is None else integers(steps)
    cuts = [slice(None)] * x.ndim
    for axis, low, high, step in zip(places, begin, integers(ends), strides, strict=True):
        cuts[axis] = slice(max(low, -x.shape[axis]), high, step)
    return x[tuple(cuts)]


def reshape(x: Array, shape: Array, *, allowzero: int = 0) -> Array:
    """Return `x` in a new shape: -1 takes what is left, 0 keeps the axis unless ``allowzero``."""
    wanted = list(integers(shape))
    if not allowzero:
        wanted = [length or x.shape[axis] for axis, length in enumerate(wanted)]
    return x.reshape(wanted)


def flatten(x: Array, *, axis: int = 1) -> Array:
    """Return `x` as a matrix: axes before ``axis`` become rows, the others columns."""
    split_at = axis + x.ndim if axis < 0 else axis
    rows = int(np.prod(x.shape[:split_at], dtype=np.int64))
    columns = int(np.prod(x.shape[split_at:], dtype=np.int64))
    return x.reshape(rows, columns)


def transpose(x: Array, *, perm: Sequence[int] | None = None) -> Array:
    """Return `x` with axes permuted, reversed by default."""
    return np.transpose(x, perm)


def expand(x: Array, shape: Array) -> Array:
    """Return `x` broadcast with a shape, as a read-only view."""
    return np.broadcast_to(x, np.broadcast_shapes(x.shape, integers(shape)))


def tile(x: Array, repeats: Array) -> Array:
    """Return `x` repeated along each axis."""
    return np.tile(x, integers(repeats))


def constant_of_shape(shape: Array, *, value: Array | float | None = None) -> Array:
    """Return one value in every place, as a read-only view with zero strides.

    A Python float means float32 and a Python int int64, a one-element array its own dtype.
    """
    dtype = np.float32 if value is None or isinstance(value, float) else None
    return np.broadcast_to(
        np.asarray(0.0 if value is None else value, dtype).reshape(()), integers(shape)
    )


def range_(start: Array, limit: Array, delta: Array) -> Array:
    """Return ``start, start + delta, ...`` up to ``limit`` (excluded), of the inputs' dtype."""
    count = max(0, int(np.ceil((limit.item() - start.item()) / delta.item())))
    return (start + np.arange(count) * delta).astype(start.dtype).reshape(count)


def cast(x: Array, *, to: int, saturate: int = 1) -> Array:
    """Return `x` in another dtype; ``to`` is the ONNX number of it.

    ``saturate`` concerns 8-bit floats alone, which are refused.

    Raises
    ------
    InputError
        If numpy has no such dtype, or a float is outside of the integers to cast to, where
        processors differ.
    """
    kind = _numpy_kind(to, "Cast")
    if x.dtype.kind == "f" and kind.kind in "iu" and x.size:
        limits = np.iinfo(kind)
        whole = np.trunc(x.astype(np.float64))
        if not (whole.min() >= limits.min and whole.max() < limits.max + 1):
            raise InputError(
                f"Cast of {x.dtype} values from {x.min():g} to {x.max():g} leaves {kind}, whose "
                f"range is [{limits.min}, {limits.max}]; clip them first"
            )
    return x.astype(kind)


def bit_cast(x: Array, *, to: int) -> Array:
    """Return the bits of `x` as another dtype of the same width; ``to`` as in `cast`."""
    kind = _numpy_kind(to, "BitCast")
    if kind.itemsize != x.dtype.itemsize:
        raise InputError(f"BitCast of {x.dtype} to {kind}, which is not as wide")
    bits = np.ascontiguousarray(x)
    if kind.kind == "b" and bits.view(np.uint8).max(initial=0) > 1:
        raise InputError(f"BitCast to bool of {x.dtype} other than 0 and 1")
    return bits.view(kind).reshape(x.shape)


def _numpy_kind(to: int, op: str) -> np.dtype[Any]:
    if to not in ONNX_DTYPES:
        names = ", ".join(f"{number} ({name})" for number, name in ONNX_DTYPES.items())
        raise InputError(f"{op} to ONNX data type {to} is not supported; known: {names}")
    return np.dtype(ONNX_DTYPES[to])


def pad(
    x: Array,
    pads: Array,
    constant: Array | None = None,
    axes: Array | None = None,
    *,
    mode: str = "constant",
) -> Array:
    """Return `x` with elements added (or cut off, where negative) at both ends of the axes.

    ``pads`` holds all begins, then all ends; ``mode`` is constant, reflect, edge or wrap.
    """
    places = range(x.ndim) if axes is None else integers(axes)
    amounts = integers(pads)
    if len(amounts) != 2 * len(places):
        raise InputError(f"Pad got {len(amounts)} amounts for {len(places)} axes; needs two each")
    width = [(0, 0)] * x.ndim
    cuts = [slice(None)] * x.ndim
    for axis, before, after in zip(
        places, amounts[: len(places)], amounts[len(places) :], strict=True
    ):
        width[axis] = (max(before, 0), max(after, 0))
        cuts[axis] = slice(max(-before, 0), x.shape[axis] + min(after, 0))
    kept = x[tuple(cuts)]
    if mode == "constant":
        fill = x.dtype.type(0) if constant is None else constant.reshape(()).astype(x.dtype)
        return np.pad(kept, width, mode="constant", constant_values=fill)
    if mode == "reflect":
        return np.pad(kept, width, mode="reflect")
    if mode == "edge":
        return np.pad(kept, width, mode="edge")
    if mode == "wrap":
        return np.pad(kept, width, mode="wrap")
    raise InputError(f"Pad mode {mode!r} is not known; use constant, reflect, edge or wrap")


def depth_to_space(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """Return (N, C/b^2, H*b, W*b) from (N, C, H, W): channels become blocks of b x b pixels.

    ``mode`` DCR takes the block from the slow part of the channel axis, CRD from the fast one.
    """
    n, c, h, w = x.shape
    b = blocksize
    if mode == "DCR":
        blocks = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    elif mode == "CRD":
        blocks = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    else:
        raise InputError(f"DepthToSpace mode {mode!r} is not known; use DCR or CRD")
    return blocks.reshape(n, c // (b * b), h * b, w * b)


def space_to_depth(x: Array, *, blocksize: int, mode: str = "DCR") -> Array:
    """Return (N, C*b^2, H/b, W/b) from (N, C, H, W): the inverse of `depth_to_space`."""
    n, c, h, w = x.shape
    b = blocksize
    blocks = x.reshape(n, c, h // b, b, w // b, b)
    if mode == "DCR":
        blocks = blocks.transpose(0, 3, 5, 1, 2, 4)
    elif mode == "CRD":
        blocks = blocks.transpose(0, 1, 3, 5, 2, 4)
    else:
        raise InputError(f"SpaceToDepth mode {mode!r} is not known; use DCR or CRD")
    return blocks.reshape(n, c * b * b, h // b, w // b)


def where(condition: Array, x: Array, y: Array) -> Array:
    """Return `x` where the bool tensor `condition` holds, else `y`; all three broadcast."""
    return np.where(condition, x, y)
