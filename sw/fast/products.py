"""Matrix products cut into pieces that BLAS computes without copying them first.

OpenBLAS packs both factors of a product into its own order unless the product is small: up to
100 x 100 x 100 multiply-accumulates it works on them where they are (its ``SMALL_MATRIX_OPT``). For
inner lengths of a few hundred a batch of small products is therefore faster than one large one, on
x86-64 by a quarter to a half. Longer ones are cut along the sum as well, and the parts added: that
pays where there are few rows, as packing would then read a large factor for little work. Every
element is the same sum, though in an order of its own.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from heterolith.sw.fast.memory import Shelf
from heterolith.sw.fast.spots import Scratch, Step, chunks
from heterolith.sw.network import Array

SMALL = platform.machine().lower() in ("x86_64", "amd64")
"""Whether products are cut where nothing was measured."""

_SMALL_MACS = 1_000_000
_WIDTH = 64  # columns of a piece
_LONGEST = 312  # inner length of a piece, so that it has up to 50 rows: those of 7 x 7 places
_FEW_ROWS = 64  # of a product that is cut along the sum where nothing was measured
_PACKED_LENGTH = 384  # beyond it products of more rows are left whole where nothing was measured


@dataclass(frozen=True, slots=True)
class Factor:
    """A constant right factor of shape (taps, K, M), cut into pieces.

    Attributes
    ----------
    pieces
        For each piece its first row and column and an array (taps, count, rows, columns).
    small
        Whether rows of the left factor are cut as well.
    """

    pieces: tuple[tuple[int, int, Array], ...]
    small: bool

    @property
    def columns(self) -> int:
        """Number of columns, M."""
        return sum(part.shape[1] * part.shape[3] for row, _, part in self.pieces if row == 0)


def cut_small(length: int, rows: int) -> bool:
    """Tell whether products are cut where nothing was measured."""
    return SMALL and (length <= _PACKED_LENGTH or rows <= _FEW_ROWS)


def factor(matrix: Array, small: bool, shelf: Shelf) -> Factor:
    """Prepare a right factor of shape (K, M) or (taps, K, M) in memory from a shelf."""
    matrices = matrix if matrix.ndim == 3 else matrix[None]
    taps, length, columns = matrices.shape
    if not small:
        return Factor(((0, 0, _placed(matrices, shelf)[:, None]),), False)
    pieces = []
    for row, end in chunks(0, length, _LONGEST):
        width = min(columns, _WIDTH)
        count = columns // width
        for first, number, each in ((0, count, width), (count * width, 1, columns - count * width)):
            if each and number:
                part = matrices[:, row:end, first : first + number * each]
                split = part.reshape(taps, end - row, number, each).transpose(0, 2, 1, 3)
                pieces.append((row, first, _placed(split, shelf)))
    return Factor(tuple(pieces), True)


def _placed(values: Array, shelf: Shelf) -> Array:
    place = shelf.take(values.shape)
    np.copyto(place, values)
    return place


def _heights(rows: int, most: int) -> list[tuple[int, int, int]]:
    """Cut rows into (first, number of pieces, rows of each): pieces of one size, or nearly."""
    if rows <= most:
        return [(0, 1, rows)]
    for height in range(most, most // 2, -1):
        if rows % height == 0:
            return [(0, rows // height, height)]
    number = -(-rows // most)
    height, higher = divmod(rows, number)
    first = higher * (height + 1)
    return [(0, higher, height + 1), (first, number - higher, height)]


def multiply(values: Array, right: Factor, out: Array, scratch: Scratch) -> list[Step]:
    """Return the steps of out = values @ right.

    Parameters
    ----------
    values
        (rows, K) or (taps, rows, K), of any distance between rows.
    out
        (rows, M) or (taps, rows, M), likewise.
    scratch
        Where sums of parts wait to be added.
    """
    left = values if values.ndim == 3 else values[None]
    home = out if out.ndim == 3 else out[None]
    steps: list[Step] = []
    parts = home
    for row, first, pieces in right.pieces:
        if row and not first:
            if parts is home:
                parts = scratch.take(*home.shape)
            else:
                steps.append(partial(np.add, home, parts, home))
        length = pieces.shape[2]
        steps += _product(left[:, :, row : row + length], pieces, parts[:, :, first:], right.small)
    return steps if parts is home else [*steps, partial(np.add, home, parts, home)]


def _product(left: Array, pieces: Array, out: Array, small: bool) -> list[Step]:
    """Multiply by pieces of columns that lie side by side."""
    taps, rows, length = left.shape
    number, width = pieces.shape[1], pieces.shape[3]
    most = max(1, _SMALL_MACS // (length * width)) if small else rows
    steps: list[Step] = []
    for low, count, height in _heights(rows, most):
        cut = slice(low, low + count * height)
        a = left[:, cut].reshape(taps, count, 1, height, length)
        c = out[:, cut, : number * width]
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
