"""Elementwise activation functions on tensors of any shape.

Invariant: the result has the input's dtype. Source: ONNX operator set 18 (Gelu: set 20,
Swish: set 24, SwiGLU: set 28).
"""

from __future__ import annotations

import math

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.ops.elementwise import erf


def relu(x: Array) -> Array:
    """Return max(x, 0)."""
    out: Array = np.maximum(x, x.dtype.type(0))
    return out


def leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    """Return x where positive, else alpha * x."""
    return np.where(x < 0, x * x.dtype.type(alpha), x)


def prelu(x: Array, slope: Array) -> Array:
    """Return x where positive, else slope * x; the slope broadcasts to `x`."""
    return np.where(x < 0, x * slope, x)


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """Return x where positive, else alpha * (exp(x) - 1)."""
    return np.where(x < 0, x.dtype.type(alpha) * np.expm1(x), x)


def selu(
    x: Array, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Array:
    """Return gamma * `elu` (x, alpha)."""
    out: Array = x.dtype.type(gamma) * elu(x, alpha=alpha)
    return out


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), as (1 + tanh(x / 2)) / 2, which cannot overflow.

    That of float16 is computed in float32, where the sum loses nothing.
    """
    if x.dtype == np.float16:
        return sigmoid(x.astype(np.float32)).astype(np.float16)
    half = x.dtype.type(0.5)
    out: Array = half * np.tanh(half * x) + half
    return out


def hard_sigmoid(x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    """Return alpha * x + beta, clamped to [0, 1]."""
    line = x.dtype.type(alpha) * x + x.dtype.type(beta)
    out: Array = np.minimum(np.maximum(line, x.dtype.type(0)), x.dtype.type(1))
    return out


def hard_swish(x: Array) -> Array:
    """Return x * `hard_sigmoid` (x, 1/6, 0.5)."""
    return x * hard_sigmoid(x, alpha=1 / 6, beta=0.5)


def softplus(x: Array) -> Array:
    """Return log(1 + exp(x)) without overflow."""
    out: Array = np.logaddexp(x, x.dtype.type(0))
    return out


def softsign(x: Array) -> Array:
    """Return x / (1 + |x|)."""
    out: Array = x / (x.dtype.type(1) + np.abs(x))
    return out


def mish(x: Array) -> Array:
    """Return x * tanh(`softplus` (x))."""
    return x * np.tanh(softplus(x))


def gelu(x: Array, *, approximate: str = "none") -> Array:
    """Return x * P(normal < x), exactly by `erf` or approximately by ``tanh``."""
    if approximate == "none":
        inner = erf(x * x.dtype.type(math.sqrt(0.5)))
    elif approximate == "tanh":
        cubic = x + x.dtype.type(0.044715) * x * x * x
        inner = np.tanh(x.dtype.type(math.sqrt(2 / math.pi)) * cubic)
    else:
        raise InputError(f"Gelu approximate {approximate!r} is not known; use none or tanh")
    out: Array = x.dtype.type(0.5) * x * (x.dtype.type(1) + inner)
    return out


def celu(x: Array, *, alpha: float = 1.0) -> Array:
    """Return x where positive, else alpha * (exp(x / alpha) - 1)."""
    a = x.dtype.type(alpha)
    zero = x.dtype.type(0)
    out: Array = np.maximum(x, zero) + np.minimum(a * np.expm1(x / a), zero)
    return out


def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    """Return x where it is above alpha, else 0."""
    return np.where(x > x.dtype.type(alpha), x, x.dtype.type(0))


def shrink(x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    """Return x + bias below -lambd, x - bias above lambd, 0 between; of integers too."""
    low = np.where(x < -lambd, x + bias, 0)
    return np.where(x > lambd, x - bias, low).astype(x.dtype)


def swish(x: Array, *, alpha: float = 1.0) -> Array:
    """Return x * `sigmoid` (alpha * x), that of float16 computed in float32."""
    if x.dtype == np.float16:
        return swish(x.astype(np.float32), alpha=alpha).astype(np.float16)
    return x * sigmoid(x.dtype.type(alpha) * x)


def swiglu(gate: Array, x: Array, *, alpha: float = 1.0) -> Array:
    """Return `swish` (gate) * x of two tensors of one shape."""
    if gate.shape != x.shape:
        raise InputError(f"SwiGLU of shapes {gate.shape} and {x.shape}, which must agree")
    return swish(gate, alpha=alpha) * x
