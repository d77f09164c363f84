"""Transforms of Winograd's minimal filtering F(m, r): m results of r taps by m + r - 1 products.

Polynomials are evaluated at points, multiplied there, and interpolated (Cook). Points are
small integers and one half with both signs, then infinity, so that float32 loses little: with six
points the error of a 3x3 layer stays near 1e-5 of its largest result. Source: A. Lavin, S. Gray,
"Fast Algorithms for Convolutional Neural Networks", CVPR 2016, sections 3 and 4.1.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array

_POINTS = (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2))
_Matrix = list[list[Fraction]]


def _times(p: list[Fraction], root: Fraction) -> list[Fraction]:
    """Multiply a polynomial, lowest power first, by (x - root)."""
    return [
        (p[k - 1] if k else Fraction(0)) - (p[k] * root if k < len(p) else Fraction(0))
        for k in range(len(p) + 1)
    ]


def _product(roots: list[Fraction]) -> list[Fraction]:
    result = [Fraction(1)]
    for root in roots:
        result = _times(result, root)
    return result


@lru_cache(maxsize=16)
def transforms(outputs: int, taps: int) -> tuple[Array, Array, Array]:
    """Return B^T, G and A^T in float64: results are A^T [(G g) * (B^T d)] for d of n inputs.

    Parameters
    ----------
    outputs, taps
        m and r; n = m + r - 1 is at most 8.

    Returns
    -------
    arrays of shape (n, n), (n, r) and (m, n)

    Raises
    ------
    InputError
        If more points are needed than there are.
    """
    n = outputs + taps - 1
    if outputs < 1 or taps < 1 or n - 1 > len(_POINTS):
        raise InputError(f"no points for {outputs} outputs of {taps} taps; use at most 8 in all")
    points = [Fraction(point) for point in _POINTS[: n - 1]]
    data: _Matrix = []
    kernel: _Matrix = []
    for place, point in enumerate(points):
        others = points[:place] + points[place + 1 :]
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        data.append([*_product(others), Fraction(0)])
        kernel.append([point**k / scale for k in range(taps)])
    data.append(_product(points))
    kernel.append([Fraction(0)] * (taps - 1) + [Fraction(1)])
    result = [[point**k for point in points] for k in range(outputs)]
    for k, row in enumerate(result):
        row.append(Fraction(int(k == outputs - 1)))
    for row_in, row_kernel in zip(data, kernel, strict=True):
        if next(value for value in row_in if value) < 0:
            row_in[:] = [-value for value in row_in]
            row_kernel[:] = [-value for value in row_kernel]
    arrays = [np.array([[float(v) for v in row] for row in m]) for m in (data, kernel, result)]
    return arrays[0], arrays[1], arrays[2]


@lru_cache(maxsize=16)
def squares(outputs: int, taps: int) -> tuple[Array, Array, Array]:
    """Return the same for m x m results at once: Kronecker products with themselves.

    Two-dimensional data are flattened in row-major order. Arrays have shapes (n n, n n), (n n, r r)
    and (m m, n n), in float64.
    """
    data, kernel, result = transforms(outputs, taps)
    return np.kron(data, data), np.kron(kernel, kernel), np.kron(result, result)
