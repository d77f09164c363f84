"""Affine quantization of tensors, per tensor, axis or block. Source: ONNX QuantizeLinear-25."""

from __future__ import annotations

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.ops.integer import saturated
from heterolith.sw.ops.shape import ONNX_DTYPES


def _spread(parameter: Array, x: Array, axis: int, block_size: int) -> Array:
    """Return a scale or zero point shaped to broadcast to `x`."""
    if block_size:
        spread = np.repeat(parameter, block_size, axis=axis)
        spread = np.take(spread, np.arange(x.shape[axis]), axis=axis)
        if spread.shape != x.shape:
            raise InputError(
                f"a parameter of shape {parameter.shape} in blocks of {block_size} on axis {axis} "
                f"does not fit {x.shape}"
            )
        return spread
    if parameter.size == 1:
        return parameter.reshape(())
    if parameter.ndim > 1 or not -x.ndim <= axis < x.ndim or parameter.size != x.shape[axis]:
        raise InputError(f"a parameter of shape {parameter.shape} on axis {axis} of {x.shape}")
    form = [1] * x.ndim
    form[axis] = parameter.size
    return parameter.reshape(form)


def quantize_linear(
    x: Array,
    scale: Array,
    zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Array:
    """Return round(x / scale) + zero_point, rounded half to even and saturated.

    Parameters
    ----------
    x
        Float or int32 tensor.
    scale, zero_point
        One element, one per element of ``axis``, or one per ``block_size`` elements on it. The
        zero point's dtype is the result's; without one it is 0 in ``output_dtype``, by default
        uint8.
    precision
        ONNX data type to divide in, by default that of the scale.
    saturate
        Concerns 8-bit floats alone.

    Raises
    ------
    InputError
        If a value is not a number, or the result is to be no integer that numpy has.
    """
    kind = np.dtype(ONNX_DTYPES.get(output_dtype or 2, "float32"))
    if zero_point is not None and output_dtype in (0, None):
        kind = zero_point.dtype
    if kind.kind not in "iu" or (zero_point is not None and zero_point.dtype != kind):
        raise InputError(
            f"QuantizeLinear to ONNX data type {output_dtype} with a zero point of "
            f"{None if zero_point is None else zero_point.dtype} is not supported"
        )
    if precision not in (0, 1, 10, 11):
        raise InputError(f"QuantizeLinear precision {precision} is not supported; use 1 (float)")
    wide = np.dtype(ONNX_DTYPES[precision]) if precision else scale.dtype
    zero = np.zeros((), kind) if zero_point is None else zero_point
    steps = x.astype(wide) / _spread(scale.astype(wide), x, axis, block_size)
    return saturated(steps, _spread(zero, x, axis, block_size if zero.ndim else 0))


def dequantize_linear(
    x: Array,
    scale: Array,
    zero_point: Array | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Array:
    """Return (x - zero_point) * scale in the scale's dtype; shapes as in `quantize_linear`.

    ``output_dtype`` is the ONNX number of another one.
    """
    kind = np.dtype(ONNX_DTYPES.get(output_dtype, "int8")) if output_dtype else scale.dtype
    if kind.kind != "f":
        raise InputError(f"DequantizeLinear to ONNX data type {output_dtype} is not supported")
    codes = x.astype(np.int64)
    if zero_point is not None:
        if zero_point.dtype != x.dtype:
            raise InputError(f"a zero point of {zero_point.dtype} for codes of {x.dtype}")
        codes = codes - _spread(zero_point, x, axis, block_size)
    return codes.astype(kind) * _spread(scale.astype(kind), x, axis, block_size)


def dynamic_quantize_linear(x: Array) -> tuple[Array, Array, Array]:
    """Return uint8 codes of a float32 tensor, and the scale and zero point that span it and 0.

    A tensor of zeros has scale 1, for a scale of 0 cannot be divided by.
    """
    low = np.minimum(x.min(initial=0), 0).astype(np.float32)
    high = np.maximum(x.max(initial=0), 0).astype(np.float32)
    scale = np.asarray((high - low) / np.float32(255), np.float32)
    if not np.isfinite(scale):
        raise InputError("a value to quantize is not finite")
    if scale == 0:
        scale = np.asarray(1, np.float32)
    zero = np.asarray(np.rint(np.clip(-low / scale, 0, 255)), np.uint8)
    return saturated(x / scale, zero), scale, zero
