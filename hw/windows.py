"""Sliding windows over int8 maps: padding, single taps, gathered tiles (im2col).

Views into a padded map stand for the address generator of the accelerator: output element (r, w)
meets input element (r * stride + i * dilation, w * stride + j * dilation) at tap (i, j).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from heterolith.hw.fixed import Array
from heterolith.hw.shapes import ConvShape, Pair, PoolShape

TILE_BYTES = 2**24
"""Size of one gathered float32 tile; sums and their rescaling take about six times as much."""


def pad(x: Array, shape: ConvShape | PoolShape, value: int) -> Array:
    """Return (N, C, H, W) codes with padding that holds ``value``."""
    top, left, bottom, right = shape.pads
    if not any(shape.pads):
        return np.ascontiguousarray(x)
    size = (*x.shape[:2], top + x.shape[2] + bottom, left + x.shape[3] + right)
    full = np.full(size, value, dtype=np.int8)
    full[:, :, top : top + x.shape[2], left : left + x.shape[3]] = x
    return full


def taps(kernel: Pair) -> Iterator[Pair]:
    """Yield the (row, column) positions of a kernel, row by row."""
    return ((i, j) for i in range(kernel[0]) for j in range(kernel[1]))


def tap(padded: Array, shape: ConvShape | PoolShape, position: Pair) -> Array:
    """Return the input element that each output element meets at one tap: a strided view."""
    dilation = shape.dilation if isinstance(shape, ConvShape) else (1, 1)
    spans = []
    for i, count in enumerate(shape.output_size):
        begin, step = position[i] * dilation[i], shape.stride[i]
        spans.append(slice(begin, begin + (count - 1) * step + 1, step))
    return padded[:, :, spans[0], spans[1]]


def windows(padded: Array, shape: ConvShape) -> Array:
    """Return one image's windows (C, Kh, Kw, Ho, Wo) as a view of its padded map (C, H, W)."""
    channel, row, column = padded.strides
    (sh, sw), (dh, dw) = shape.stride, shape.dilation
    return as_strided(
        padded,
        (len(padded), *shape.kernel, *shape.output_size),
        (channel, row * dh, column * dw, row * sh, column * sw),
        writeable=False,
    )


def tiles(size: Pair, bytes_per_pixel: int) -> Iterator[tuple[slice, slice]]:
    """Cut an output map of (rows, columns) so that a tile's columns stay under `TILE_BYTES`."""
    pixels = max(1, TILE_BYTES // bytes_per_pixel)
    columns = min(size[1], pixels)
    rows = max(1, pixels // size[1])
    for top in range(0, size[0], rows):
        for left in range(0, size[1], columns):
            yield slice(top, top + rows), slice(left, left + columns)
