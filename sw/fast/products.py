"""Matrix products cut into pieces that BLAS computes without copying them first.

OpenBLAS packs both factors of a product into its own order unless the product is small: up to
100 x 100 x 100 multiply-accumulates it works on them where they are (its ``SMALL_MATRIX_OPT``). For
inner lengths of a few hundred a batch of small products is therefore faster than one large one, on
x86-64 by a quarter to a half. Every element is the same sum, though in an order of its own.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from heterolith.sw.fast.spots import Step
from heterolith.sw.network import Array

SMALL = platform.machine().lower() in ("x86_64", "amd64")
"""Whether products are cut where nothing was measured."""

_SMALL_MACS = 1_000_000
_LONGEST = 384  # inner length up to which the copies cost more than they bring
_WIDE, _NARROW = 64, 32  # columns of a piece, for inner lengths up to 256 and above
_WIDE_LENGTH = 288


@dataclass(frozen=True, slots=True)
class Factor:
    """A constant right factor of shape (taps, K, M), cut into pieces of columns.

    Attributes
    ----------
    pieces
        For each piece its first column and an array (taps, count, K, columns).
    small
        Whether rows are cut as well.
    """

    pieces: tuple[tuple[int, Array], ...]
    small: bool


def factor(matrix: Array, small: bool) -> Factor:
    """Prepare a right factor of shape (K, M) or (taps, K, M)."""
    matrices = matrix if matrix.ndim == 3 else matrix[None]
    taps, length, columns = matrices.shape
    if not small or length > _LONGEST:
        return Factor(((0, np.ascontiguousarray(matrices)[:, None]),), False)
    width = min(columns, _WIDE if length <= _WIDE_LENGTH else _NARROW)
    count = columns // width
    pieces = []
    for first, number, each in ((0, count, width), (count * width, 1, columns - count * width)):
        if each and number:
            part = matrices[:, :, first : first + number * each]
            split = part.reshape(taps, length, number, each).transpose(0, 2, 1, 3)
            pieces.append((first, np.ascontiguousarray(split)))
    return Factor(tuple(pieces), True)


def _heights(rows: int, most: int) -> list[tuple[int, int, int]]:
    """Cut rows into (first, number of pieces, rows of each): even pieces, then a rest."""
    if rows <= most:
        return [(0, 1, rows)]
    for height in range(most, most // 2, -1):
        if rows % height == 0:
            return [(0, rows // height, height)]
    number = -(-rows // most)
    height = rows // number
    cuts = [(0, number, height), (number * height, 1, rows - number * height)]
    return [cut for cut in cuts if cut[2]]


def multiply(values: Array, right: Factor, out: Array) -> list[Step]:
    """Return the steps of out = values @ right.

    Parameters
    ----------
    values
        (rows, K) or (taps, rows, K), of any distance between rows.
    out
        (rows, M) or (taps, rows, M), likewise.
    """
    left = values if values.ndim == 3 else values[None]
    place = out if out.ndim == 3 else out[None]
    taps, rows, length = left.shape
    steps: list[Step] = []
    for first, pieces in right.pieces:
        number, width = pieces.shape[1], pieces.shape[3]
        most = max(1, _SMALL_MACS // (length * width)) if right.small else rows
        for low, count, height in _heights(rows, most):
            cut = slice(low, low + count * height)
            a = left[:, cut].reshape(taps, count, 1, height, length)
            c = place[:, cut, first : first + number * width]
            c = c.reshape(taps, count, height, number, width).transpose(0, 1, 3, 2, 4)
            steps.append(_step(a, pieces[:, None], c))
    return steps


def _step(a: Array, b: Array, c: Array) -> Step:
    """Return one call of matmul, without batch axes that have one element."""
    keep = [axis for axis in range(c.ndim - 2) if c.shape[axis] > 1]
    views: Sequence[Array] = [
        view.reshape(*(view.shape[axis] for axis in keep), *view.shape[-2:]) for view in (a, b, c)
    ]
    return partial(np.matmul, *views)


def transform(matrix: Array, values: Array, out: Array, small: bool) -> list[Step]:
    """Return the steps of out = matrix @ values for a small matrix and a wide right factor."""
    most = _SMALL_MACS // matrix.size if small else values.shape[1]
    steps: list[Step] = []
    for low, count, width in _heights(values.shape[1], most):
        cut = slice(low, low + count * width)
        b = values[:, cut].reshape(values.shape[0], count, width).transpose(1, 0, 2)
        c = out[:, cut].reshape(out.shape[0], count, width).transpose(1, 0, 2)
        steps.append(_step(matrix[None], b, c) if count == 1 else partial(np.matmul, matrix, b, c))
    return steps
