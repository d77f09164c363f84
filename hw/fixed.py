"""The arithmetic contract: rounding, saturation and rescaling, to the last bit.

Golden model, HLS C++ and RTL compute these formulas and no others; all are integer. With
``half(s) = 2**(s - 1)`` and ``>>`` the arithmetic shift (floor), a real factor is
``multiplier / 2**shift`` and rounding is half up (towards plus infinity)::

    scaled(v, m, s) = (v * m + half(s)) >> s
    requantize      = clamp(scaled(acc, m, s) + zero_point, low, high)
    with a residual = clamp(scaled(acc, m, s) + scaled(r - zp_r, m_r, s_r) + zero_point, low, high)

Widths in bits, two's complement unless said otherwise:

====================  ==========================================================================
activation, weight    8; the quantizer emits weights in [-127, 127], every code is legal
acc                   32; no partial sum may leave it, see `accumulator_bound`
multiplier            16 unsigned, top bit set: 32768..65535
shift                 6 unsigned, 1..47
acc * multiplier      48; plus ``half`` 49
scaled(acc)           47; saturating it to 25 changes no result
r - zp_r              9; times multiplier 25; plus ``half`` 48; for a shift above 24 the term is 0
scaled(r - zp_r)      24
sum before the clamp  26 after that saturation
====================  ==========================================================================

The multiplier is that of gemmlowp and TFLite (Jacob et al., CVPR 2018, section 2.2) at 16 bits
instead of 31, so that a product takes two DSP slices. Without a residual, a factor below ``2**-32``
gives 0 for every ``acc`` and one of ``2**15`` or more saturates for every ``acc`` but 0:
`quantize_multiplier` maps both ends onto the nearest legal pair and changes no result by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heterolith.errors import InputError

Array = NDArray[Any]

CODE_LOW, CODE_HIGH = -128, 127
"""Range of an int8 code."""

WEIGHT_LIMIT = 127
"""Largest magnitude of a weight that the quantizer emits."""

MULTIPLIER_LOW, MULTIPLIER_HIGH = 2**15, 2**16 - 1
SHIFT_LOW, SHIFT_HIGH = 1, 47
ACCUMULATOR_HIGH = 2**31 - 1
"""Largest magnitude that a sum of products may reach."""


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return (multiplier, shift) with ``multiplier / 2**shift`` next to a real factor.

    The relative error is at most 2**-16 for factors in [2**-32, 2**15); beyond, see the module.

    Raises
    ------
    InputError
        If the factor is negative, infinite or NaN.
    """
    if not 0.0 <= real < math.inf:
        raise InputError(f"rescaling factor is {real}; it must be finite and not negative")
    mantissa, exponent = math.frexp(real)
    multiplier, shift = math.floor(mantissa * 2**16 + 0.5), 16 - exponent
    if multiplier > MULTIPLIER_HIGH:
        multiplier, shift = MULTIPLIER_LOW, shift - 1
    if real == 0.0 or shift > SHIFT_HIGH:
        return MULTIPLIER_LOW, SHIFT_HIGH
    if shift < SHIFT_LOW:
        return MULTIPLIER_HIGH, SHIFT_LOW
    return multiplier, shift


def quantize_multipliers(real: Array) -> tuple[Array, Array]:
    """Apply `quantize_multiplier` to float64 factors; returns uint16 and uint8 arrays."""
    pairs = [quantize_multiplier(float(value)) for value in np.ravel(real)]
    multipliers = np.array([pair[0] for pair in pairs], dtype=np.uint16)
    shifts = np.array([pair[1] for pair in pairs], dtype=np.uint8)
    return multipliers.reshape(np.shape(real)), shifts.reshape(np.shape(real))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """A rescaling by ``multiplier / 2**shift``, one pair or one per channel.

    Attributes
    ----------
    multiplier
        uint16 array in 32768..65535, 0-d or of shape (C,).
    shift
        uint8 array in 1..47 of the same shape.
    """

    multiplier: Array
    shift: Array

    def __post_init__(self) -> None:
        if self.multiplier.dtype != np.uint16 or self.shift.dtype != np.uint8:
            raise InputError(
                f"multiplier and shift are {self.multiplier.dtype} and {self.shift.dtype}; "
                "they must be uint16 and uint8"
            )
        if self.multiplier.shape != self.shift.shape or self.multiplier.ndim > 1:
            raise InputError(
                f"multiplier and shift have shapes {self.multiplier.shape} and "
                f"{self.shift.shape}; both must be () or (C,)"
            )
        if self.multiplier.size and int(self.multiplier.min()) < MULTIPLIER_LOW:
            raise InputError(f"multiplier {int(self.multiplier.min())} is below {MULTIPLIER_LOW}")
        if self.shift.size and not (
            int(self.shift.min()) >= SHIFT_LOW and int(self.shift.max()) <= SHIFT_HIGH
        ):
            raise InputError(f"a shift is outside {SHIFT_LOW}..{SHIFT_HIGH}")

    @classmethod
    def of(cls, real: float | Array) -> Scaling:
        """Return the scaling nearest to real factors; raises like `quantize_multiplier`."""
        multiplier, shift = quantize_multipliers(np.asarray(real, dtype=np.float64))
        return cls(multiplier=multiplier, shift=shift)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How sums become codes: zero point of the result and the clamp of the fused activation."""

    zero_point: int = 0
    low: int = CODE_LOW
    high: int = CODE_HIGH

    def __post_init__(self) -> None:
        if not CODE_LOW <= self.zero_point <= CODE_HIGH:
            raise InputError(f"zero_point {self.zero_point} is outside {CODE_LOW}..{CODE_HIGH}")
        if not CODE_LOW <= self.low <= self.high <= CODE_HIGH:
            raise InputError(
                f"clamp {self.low}..{self.high} is no interval inside {CODE_LOW}..{CODE_HIGH}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """How a second operand is scaled before it is added to the first."""

    scaling: Scaling
    zero_point: int

    def term(self, codes: Array) -> Array:
        """Return ``scaled(codes - zero_point)`` as int64, of the shape of the int8 ``codes``."""
        values = codes.astype(np.int64) - self.zero_point
        return scaled(values, self.scaling.multiplier, self.scaling.shift)


def scaled(values: Array, multiplier: Array | int, shift: Array | int) -> Array:
    """Return ``(values * multiplier + 2**(shift - 1)) >> shift``, exact in int64.

    Parameters
    ----------
    values
        Integers in [-2**31, 2**31), any shape.
    multiplier, shift
        Integers in 32768..65535 and 1..47; shapes that broadcast to that of ``values``.
    """
    shift = np.asarray(shift, dtype=np.int64)
    product: Array = values.astype(np.int64) * np.asarray(multiplier, dtype=np.int64)
    product += np.left_shift(np.int64(1), shift - 1)
    return np.asarray(np.right_shift(product, shift), dtype=np.int64)


def saturate(values: Array, zero_point: int, low: int, high: int) -> Array:
    """Return ``clamp(values + zero_point, low, high)`` as int8."""
    return np.asarray(np.clip(values + zero_point, low, high), dtype=np.int8)


def requantize(
    acc: Array,
    multiplier: Array | int,
    shift: Array | int,
    zero_point: int = 0,
    low: int = CODE_LOW,
    high: int = CODE_HIGH,
) -> Array:
    """Return the int8 codes of int32 sums; see the module docstring and `scaled`."""
    return saturate(scaled(acc, multiplier, shift), zero_point, low, high)


def accumulator_bound(abs_weight_sum: Array, bias: Array) -> Array:
    """Return the largest magnitude any partial sum of ``bias + sum(w * a)`` can reach.

    Parameters
    ----------
    abs_weight_sum
        Integers of shape (Co,): sum of |w| per output channel.
    bias
        int32 array of shape (Co,), the input's zero point folded in.
    """
    return np.abs(bias.astype(np.int64)) + np.asarray(abs_weight_sum, np.int64) * -CODE_LOW


def quantize_tensor(values: Array, scale: float, zero_point: int) -> Array:
    """Return int8 codes ``clamp(round(values / scale) + zero_point)``.

    Rounding is half to even and the quotient a float32 one, as in ONNX QuantizeLinear.

    Raises
    ------
    InputError
        If a value is NaN or the scale is not a normal positive float32.
    """
    if not np.finfo(np.float32).tiny <= scale <= np.finfo(np.float32).max:
        raise InputError(f"scale is {scale}; it must be a normal positive float32")
    if values.size and np.isnan(np.min(values)):
        raise InputError("a tensor to quantize holds NaN; check the network's inputs")
    codes = np.empty(values.shape, dtype=np.float32)
    with np.errstate(over="ignore"):
        np.divide(values, np.float32(scale), out=codes, dtype=np.float32, casting="same_kind")
    np.rint(codes, out=codes)
    codes += np.float32(zero_point)
    np.clip(codes, CODE_LOW, CODE_HIGH, out=codes)
    return codes.astype(np.int8)


def dequantize_tensor(codes: Array, scale: float, zero_point: int) -> Array:
    """Return float32 values ``(codes - zero_point) * scale`` of int8 codes."""
    values = codes.astype(np.float32)
    values -= np.float32(zero_point)
    values *= np.float32(scale)
    return values
