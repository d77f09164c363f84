"""Affine quantization of tensors, per tensor or per axis. Source: ONNX operator set 18."""

from __future__ import annotations

import numpy as np

from heterolith.sw.network import Array


def _along(parameter: Array, x: Array, axis: int) -> Array:
    """Return a scale or zero point shaped to broadcast along one axis of `x`."""
    if parameter.size == 1:
        return parameter.reshape(())
    form = [1] * x.ndim
    form[axis] = parameter.size
    return parameter.reshape(form)


def quantize_linear(
    x: Array, scale: Array, zero_point: Array | None = None, *, axis: int = 1
) -> Array:
    """Return round(x / scale) + zero_point, rounded half to even and saturated.

    Parameters
    ----------
    x
        Float tensor.
    scale, zero_point
        One element, or one per element of `axis`. The zero point's dtype is the result's; without
        one it is 0 and uint8.
    """
    zero = np.zeros(1, np.uint8) if zero_point is None else zero_point
    limits = np.iinfo(zero.dtype)
    codes = np.rint(x / _along(scale, x, axis)).astype(np.float64)
    codes += _along(zero, x, axis)
    return np.clip(codes, limits.min, limits.max).astype(zero.dtype)


def dequantize_linear(
    x: Array, scale: Array, zero_point: Array | None = None, *, axis: int = 1
) -> Array:
    """Return (x - zero_point) * scale in the scale's dtype; shapes as in `quantize_linear`."""
    codes = x.astype(np.int64)
    if zero_point is not None:
        codes = codes - _along(zero_point, x, axis)
    return codes.astype(scale.dtype) * _along(scale, x, axis)
