"""Arithmetic, comparison and logic on broadcast tensors.

Invariant: results keep the dtype of the inputs (comparisons give bool). Integer division truncates
towards zero as in C, rounding is half to even. Source: ONNX operator set 18.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array

# erf(x) = x P(x^2) / Q(x^2) up to 0.46875 and 1 - exp(-x^2) R(|x|) / S(|x|) up to 4, highest power
# first. W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23
# (1969), pp. 631-637, as tabulated in the public-domain SPECFUN.
_ERF_P = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_ERF_Q = (
    1.0,
    2.36012909523441209e1,
    2.44024637934444173e2,
    1.28261652607737228e3,
    2.84423683343917062e3,
)
_ERF_R = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_ERF_S = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)


def _refuse_zero(b: Array, what: str) -> None:
    if not b.all():
        raise InputError(f"{what} of an integer by 0, which ONNX does not define")


def divide(a: Array, b: Array) -> Array:
    """Return a / b; for integers the quotient is truncated towards zero.

    Raises
    ------
    InputError
        If an integer is divided by 0.
    """
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    _refuse_zero(b, "division")
    floor = np.floor_divide(a, b)
    inexact_negative = (np.mod(a, b) != 0) & ((a < 0) != (b < 0))
    out: Array = (floor + inexact_negative).astype(a.dtype)
    return out


def modulo(a: Array, b: Array, *, fmod: int = 0) -> Array:
    """Return the remainder with the sign of `b`, or of `a` if ``fmod``.

    Raises
    ------
    InputError
        If an integer is divided by 0.
    """
    if a.dtype.kind in "iu":
        _refuse_zero(b, "remainder")
    return np.fmod(a, b) if fmod else np.mod(a, b)


def power(base: Array, exponent: Array) -> Array:
    """Return base ** exponent in the dtype of the base.

    Powers of integers by integers are exact; other powers of integers are truncated.

    Raises
    ------
    InputError
        If a power of an integer leaves its dtype.
    """
    if base.dtype.kind not in "iu":
        return np.asarray(np.power(base, exponent.astype(base.dtype)))
    real = np.power(base.astype(np.float64), exponent.astype(np.float64))
    limits = np.iinfo(base.dtype)
    if not np.all((real >= limits.min) & (real < limits.max + 1)):
        raise InputError(f"a power of {base.dtype} leaves its range")
    if exponent.dtype.kind not in "iu":
        return real.astype(base.dtype)
    # A negative exponent gives a fraction, or 1 or -1: truncated, float64 holds it exactly.
    exact = np.power(base, np.maximum(exponent, 0).astype(base.dtype))
    return np.where(exponent < 0, real.astype(base.dtype), exact)


def sum_(*tensors: Array) -> Array:
    """Return the sum of one or more broadcast tensors."""
    return reduce(np.add, tensors)


def mean(*tensors: Array) -> Array:
    """Return the mean of one or more broadcast tensors."""
    total = sum_(*tensors)
    out: Array = np.divide(total, total.dtype.type(len(tensors)))
    return out


def maximum(*tensors: Array) -> Array:
    """Return the largest of one or more broadcast tensors."""
    return reduce(np.maximum, tensors)


def minimum(*tensors: Array) -> Array:
    """Return the smallest of one or more broadcast tensors."""
    return reduce(np.minimum, tensors)


def clip(x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    """Return min(max(x, low), high); an absent bound does not limit."""
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def reciprocal(x: Array) -> Array:
    """Return 1 / x."""
    out: Array = np.divide(x.dtype.type(1), x)
    return out


def erf(x: Array) -> Array:
    """Return the error function of `x`, computed in float64 with an absolute error below 2e-8."""
    magnitude = np.minimum(np.abs(x.astype(np.float64)), 4.0)
    square = magnitude * magnitude
    near = magnitude * np.polyval(_ERF_P, square) / np.polyval(_ERF_Q, square)
    tail = np.polyval(_ERF_R, magnitude) / np.polyval(_ERF_S, magnitude)
    far = 1.0 - np.exp(-square) * tail
    return np.copysign(np.where(magnitude <= 0.46875, near, far), x).astype(x.dtype)


def _accumulate(function: np.ufunc, x: Array, axis: Array, exclusive: int, reverse: int) -> Array:
    """Return a ufunc accumulated along an axis, from its identity on if ``exclusive``."""
    place = int(axis.item())
    total = np.flip(x, place) if reverse else x
    total = function.accumulate(total, axis=place, dtype=x.dtype)
    if exclusive:
        total = np.roll(total, 1, axis=place)
        first = [slice(None)] * x.ndim
        first[place] = slice(0, 1)
        total[tuple(first)] = function.identity
    return np.flip(total, place) if reverse else total


def cumulative_product(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Return running products along an axis; ``exclusive`` leaves out the element itself."""
    return _accumulate(np.multiply, x, axis, exclusive, reverse)


def bit_shift(x: Array, amount: Array, *, direction: str) -> Array:
    """Return integers shifted LEFT or RIGHT; what leaves the dtype is lost.

    A negative amount, or one of all bits or more, leaves nothing but sign bits.
    """
    if direction not in ("LEFT", "RIGHT"):
        raise unknown_name("BitShift direction", direction, ("LEFT", "RIGHT"))
    bits = 8 * x.dtype.itemsize
    outside = (amount < 0) | (amount >= bits)
    by = np.where(outside, 0, amount).astype(x.dtype)
    if direction == "LEFT":
        return np.where(outside, 0, np.left_shift(x, by)).astype(x.dtype)
    return np.where(outside, np.where(x < 0, -1, 0), np.right_shift(x, by)).astype(x.dtype)


def is_inf(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    """Return where `x` is infinite, of the signs to detect."""
    low = np.isneginf(x) if detect_negative else np.zeros(x.shape, bool)
    out: Array = low | np.isposinf(x) if detect_positive else low
    return out


def cumulative_sum(x: Array, axis: Array, *, exclusive: int = 0, reverse: int = 0) -> Array:
    """Return running sums along an axis; ``exclusive`` leaves out the element itself."""
    return _accumulate(np.add, x, axis, exclusive, reverse)
