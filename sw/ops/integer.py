"""Products of quantized tensors: exact int32 sums of int8 and uint8 codes, and their rescaling.

Sums run through BLAS in floating point, which is exact as long as no partial sum leaves the
integers that the format holds: 2**24 in float32, 2**53 in float64. Every sum is checked against
int32, which it must not leave. Source: ONNX operator set 18; QLinearAdd and the other com.microsoft
operators: ONNX Runtime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.ops.conv import conv_window, convolve
from heterolith.sw.ops.window import Attribute, Window

_INT32 = np.iinfo(np.int32)


def _centred(x: Array, zero: Array | None, form: tuple[int, ...] = ()) -> Array:
    """Return int32 codes minus their zero point, one for all or in the given shape."""
    codes = x.astype(np.int32)
    if zero is None:
        return codes
    if zero.dtype != x.dtype:
        raise InputError(f"a zero point of {zero.dtype} for codes of {x.dtype}; they must agree")
    if zero.size == 1:
        return codes - int(zero.item())
    if not form:
        raise InputError(f"a zero point of shape {zero.shape}; one for the whole tensor is needed")
    return codes - zero.astype(np.int32).reshape(form)


def _largest(x: Array) -> int:
    return max(abs(int(x.min(initial=0))), abs(int(x.max(initial=0))))


def exact_dtype(terms: int, left: Array, right: Array) -> np.dtype[np.floating]:
    """Return the float dtype in which sums of ``terms`` products of two int arrays are exact.

    Raises
    ------
    InputError
        If no float dtype is wide enough.
    """
    bound = terms * _largest(left) * _largest(right)
    if bound <= 1 << 24:
        return np.dtype(np.float32)
    if bound <= 1 << 53:
        return np.dtype(np.float64)
    raise InputError(f"sums of {terms} products may reach {bound}, above 2**53; split the layer")


def _to_int32(sums: Array, what: str) -> Array:
    """Return exact float or int64 sums as int32, refusing those that it does not hold."""
    if sums.size and (sums.min() < _INT32.min or sums.max() > _INT32.max):
        worst = sums.flat[int(np.abs(sums).argmax())]
        raise InputError(
            f"{what} sum {int(worst)} leaves int32 [{_INT32.min}, {_INT32.max}]; split the layer"
        )
    return sums.astype(np.int32)


def conv_integer(
    x: Array,
    w: Array,
    x_zero: Array | None = None,
    w_zero: Array | None = None,
    *,
    group: int = 1,
    **geometry: Attribute,
) -> Array:
    """Return the int32 convolution of codes, each minus its zero point; padding is the zero point.

    Parameters
    ----------
    x
        int8 or uint8 array of shape (N, C, spatial axes).
    w
        int8 or uint8 kernels of shape (M, C / group, kernel axes).
    x_zero
        Zero point of `x`, one element.
    w_zero
        Zero point of `w`, one element or (M,).
    **geometry
        As in `heterolith.sw.ops.conv.conv`.
    """
    return _to_int32(_conv_sums(x, w, x_zero, w_zero, group, geometry), "ConvInteger")


def _conv_sums(
    x: Array,
    w: Array,
    x_zero: Array | None,
    w_zero: Array | None,
    group: int,
    geometry: Mapping[str, Attribute],
) -> Array:
    window = conv_window(x.shape, w.shape, group, Window.of(w.shape[2:], geometry))
    left = _centred(x, x_zero)
    right = _centred(w, w_zero, (-1, *(1,) * (w.ndim - 1)))
    dtype = exact_dtype(w[0].size if len(w) else 0, left, right)
    out = np.empty((x.shape[0], w.shape[0], *window.output(x.shape[2:])), dtype)
    convolve(window.pad(left.astype(dtype)), right.astype(dtype), window, out)
    return out


def matmul_integer(
    a: Array, b: Array, a_zero: Array | None = None, b_zero: Array | None = None
) -> Array:
    """Return the int32 product over the last two axes of codes, each minus its zero point.

    `a_zero` has one element, one per row (M,) or (..., M, 1); `b_zero` one, one per column (N,) or
    (..., 1, N).
    """
    return _to_int32(_matmul_sums(a, b, a_zero, b_zero), "MatMulInteger")


def _rows(parameter: Array, a: Array) -> tuple[int, ...]:
    """Return the shape in which a parameter per row broadcasts to `a`."""
    if parameter.ndim == a.ndim and parameter.ndim > 1:
        return parameter.shape
    if parameter.ndim == 1 and a.ndim > 1 and parameter.size in (1, a.shape[-2]):
        return (parameter.size, 1)
    if parameter.size == 1:
        return (1,) * max(a.ndim, 1)
    raise InputError(f"a scale or zero point of shape {parameter.shape} per row of {a.shape}")


def _columns(parameter: Array, b: Array) -> tuple[int, ...]:
    """Return the shape in which a parameter per column broadcasts to `b`."""
    if parameter.size in (1, b.shape[-1]) and parameter.ndim <= 1:
        return (parameter.size,)
    if parameter.ndim == b.ndim and parameter.shape[-2] == 1:
        return parameter.shape
    raise InputError(f"a scale or zero point of shape {parameter.shape} per column of {b.shape}")


def _matmul_sums(a: Array, b: Array, a_zero: Array | None, b_zero: Array | None) -> Array:
    left = _centred(a, a_zero, () if a_zero is None else _rows(a_zero, a))
    right = _centred(b, b_zero, () if b_zero is None else _columns(b_zero, b))
    dtype = exact_dtype(a.shape[-1], left, right)
    out: Array = np.matmul(left.astype(dtype), right.astype(dtype))
    return out


def saturated(values: Array, zero: Array) -> Array:
    """Return values rounded half to even, plus the zero point, saturated in its dtype."""
    limits = np.iinfo(zero.dtype)
    codes = np.rint(values).astype(np.float64) + zero.astype(np.float64)
    if np.isnan(codes).any():
        raise InputError("a value to quantize is not a number")
    return np.clip(codes, limits.min, limits.max).astype(zero.dtype)


def _scalar(parameter: Array, what: str) -> Array:
    if parameter.size != 1:
        raise InputError(f"{what} of shape {parameter.shape}; one for the whole tensor is needed")
    return parameter.reshape(())


def qlinear_conv(
    x: Array,
    x_scale: Array,
    x_zero: Array,
    w: Array,
    w_scale: Array,
    w_zero: Array,
    y_scale: Array,
    y_zero: Array,
    b: Array | None = None,
    *,
    group: int = 1,
    **geometry: Attribute,
) -> Array:
    """Return the convolution of codes as codes: ``round(sum * xs * ws / ys) + y_zero``, saturated.

    Parameters
    ----------
    x, w
        As in `conv_integer`, with scales: one for `x`, one or (M,) for `w`.
    y_scale, y_zero
        Of the result, one element each.
    b
        int32 bias of shape (M,) in steps of ``x_scale * w_scale``.
    """
    sums = _conv_sums(x, w, x_zero, w_zero, group, geometry)
    per_kernel = (-1, *(1,) * (w.ndim - 2))
    if b is not None:
        sums = sums.astype(np.float64) + b.astype(np.float64).reshape(per_kernel)
    factor = _scalar(x_scale, "x_scale") * w_scale.reshape(-1) / _scalar(y_scale, "y_scale")
    codes = _to_int32(sums, "QLinearConv").astype(np.float32)
    return saturated(codes * factor.reshape(per_kernel), _scalar(y_zero, "zero point"))


def qlinear_matmul(
    a: Array,
    a_scale: Array,
    a_zero: Array,
    b: Array,
    b_scale: Array,
    b_zero: Array,
    y_scale: Array,
    y_zero: Array,
) -> Array:
    """Return the product of codes as codes: ``round(sum * as * bs / ys) + y_zero``, saturated.

    Scales and zero points as in `matmul_integer`; those of the result have one element.
    """
    sums = _to_int32(_matmul_sums(a, b, a_zero, b_zero), "QLinearMatMul")
    wide = [scale.astype(np.float32) for scale in (a_scale, b_scale, y_scale)]
    scales = wide[0].reshape(_rows(a_scale, a)) * wide[1].reshape(_columns(b_scale, b))
    factor = scales / _scalar(wide[2], "y_scale")
    return saturated(sums.astype(np.float32) * factor, _scalar(y_zero, "zero point"))


def _real(x: Array, scale: Array, zero: Array | None) -> Array:
    """Return float64 values of codes."""
    out: Array = _centred(x, zero) * _scalar(scale, "scale").astype(np.float64)
    return out


def _zero(zero: Array | None, x: Array) -> Array:
    return np.zeros((), x.dtype) if zero is None else _scalar(zero, "zero point")


def qlinear_add(
    a: Array,
    a_scale: Array,
    a_zero: Array | None,
    b: Array,
    b_scale: Array,
    b_zero: Array | None,
    c_scale: Array,
    c_zero: Array | None = None,
) -> Array:
    """Return the sum of broadcast codes as codes (com.microsoft): parameters have one element."""
    total = _real(a, a_scale, a_zero) + _real(b, b_scale, b_zero)
    return saturated(total / _scalar(c_scale, "scale"), _zero(c_zero, a))


def qlinear_mul(
    a: Array,
    a_scale: Array,
    a_zero: Array | None,
    b: Array,
    b_scale: Array,
    b_zero: Array | None,
    c_scale: Array,
    c_zero: Array | None = None,
) -> Array:
    """Return the product of broadcast codes as codes (com.microsoft)."""
    total = _real(a, a_scale, a_zero) * _real(b, b_scale, b_zero)
    return saturated(total / _scalar(c_scale, "scale"), _zero(c_zero, a))


def qlinear_global_average_pool(
    x: Array,
    x_scale: Array,
    x_zero: Array | None,
    y_scale: Array,
    y_zero: Array | None = None,
    *,
    channels_last: int = 0,
) -> Array:
    """Return the mean of codes over all spatial axes as codes (com.microsoft).

    `x` has shape (N, C, spatial axes); scales and zero points have one element.
    """
    if channels_last:
        raise InputError("QLinearGlobalAveragePool channels_last is not supported; use 0")
    axes = tuple(range(2, x.ndim))
    sums = np.sum(_centred(x, x_zero), axis=axes, keepdims=True, dtype=np.int64)
    count = sums.dtype.type(x[0, 0].size)
    factor = _scalar(x_scale, "x_scale") / _scalar(y_scale, "y_scale")
    return saturated((sums / count).astype(np.float32) * factor, _zero(y_zero, x))


def qgemm(
    a: Array,
    a_scale: Array,
    a_zero: Array | None,
    b: Array,
    b_scale: Array,
    b_zero: Array | None,
    c: Array | None = None,
    y_scale: Array | None = None,
    y_zero: Array | None = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """Return ``alpha * A B + C`` of codes (com.microsoft), as codes if there is ``y_scale``.

    Parameters
    ----------
    a, b
        Matrices as in `heterolith.sw.ops.linear.gemm`, with one scale and zero point each, or one
        per column of the product for `b`.
    c
        int32 bias of shape (N,) or (M, N) in steps of ``alpha * a_scale * b_scale``.
    """
    left, right = (a.T if transA else a), (b.T if transB else b)
    sums = _matmul_sums(left, right, a_zero, b_zero)
    if c is not None:
        sums = sums.astype(np.float64) + c
    scales = np.float32(alpha) * _scalar(a_scale, "a_scale") * b_scale.reshape(-1)
    codes = _to_int32(sums, "QGemm").astype(np.float32)
    if y_scale is None:
        return codes * scales
    return saturated(codes * (scales / _scalar(y_scale, "y_scale")), _zero(y_zero, a))
