"""Matrix products. Source: ONNX operator set 18."""

from __future__ import annotations

import numpy as np

from heterolith.sw.network import Array


def matmul(a: Array, b: Array) -> Array:
    """Return the product over the last two axes, the others broadcast."""
    out: Array = np.matmul(a, b)
    return out


def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """Return alpha * A B + beta * C.

    Parameters
    ----------
    a, b
        Matrices of shape (M, K) and (K, N), or their transposes where ``transA``, ``transB``.
    c
        Broadcasts to (M, N).
    """
    out: Array = np.matmul(a.T if transA else a, b.T if transB else b)
    if alpha != 1.0:
        out *= out.dtype.type(alpha)
    if c is not None:
        out += c if beta == 1.0 else c * c.dtype.type(beta)
    return out


def einsum(*operands: Array, equation: str) -> Array:
    """Return sums of products over the axes that an equation names."""
    return np.asarray(np.einsum(equation, *operands, optimize=len(operands) > 2))


def determinant(x: Array) -> Array:
    """Return determinants of the matrices on the last two axes."""
    return np.asarray(np.linalg.det(x.astype(np.float64)), x.dtype)
