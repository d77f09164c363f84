"""The path ``winograd``: F(m x m, r x r) as three matrix products.

Patches of n x n pixels, n = m + r - 1, are gathered into (n n, tiles * C). One product transforms
them, n n products of (tiles, C) by (C, M) do the work, one product transforms back. An output costs
n n / (m m) products per channel instead of r r, and rounds about 10 (m = 2) to 100 times (m = 4) as
much: see `heterolith.sw.fast.cooktoom`. The bias is added to the component whose share in every
result is 1, that of the point (1, 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import as_strided

from heterolith.sw.fast.conv_spec import ConvSpec, winograd_tiles
from heterolith.sw.fast.convolve import Conv
from heterolith.sw.fast.cooktoom import squares
from heterolith.sw.fast.passes import swept
from heterolith.sw.fast.products import Factor, multiply, transform
from heterolith.sw.fast.spots import Region, Scratch, Step, Target, chunks
from heterolith.sw.fast.work import Work, cost_us
from heterolith.sw.network import Array

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class _Rectangle:
    """Tiles of an image: rows and columns of tiles."""

    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def _rectangles(first: int, last: int, width: int) -> list[_Rectangle]:
    """Cover a range of tiles, counted row by row, by at most three rectangles."""
    found = []
    while first < last:
        row, column = divmod(first, width)
        if column or last - first < width:
            end = min(last, (row + 1) * width)
            found.append(_Rectangle(slice(row, row + 1), slice(column, column + end - first)))
        else:
            full = (last - first) // width
            end = first + full * width
            found.append(_Rectangle(slice(row, row + full), slice(0, width)))
        first = end
    return found


def _pieces(rectangle: _Rectangle, size: tuple[int, int], m: int) -> list[_Rectangle]:
    """Split off the last row and column of tiles where results are cut off by the border."""
    splits = []
    for cut, length in zip((rectangle.rows, rectangle.columns), size, strict=True):
        full = length // m
        parts = [slice(cut.start, min(cut.stop, full)), slice(max(cut.start, full), cut.stop)]
        splits.append([part for part in parts if part.stop > part.start])
    return [_Rectangle(rows, columns) for rows in splits[0] for columns in splits[1]]


def _folding(piece: _Rectangle, m: int, width: int) -> Callable[[Array], Array]:
    """Return what turns the rows of a piece, (rows, W, channels), into tiles.

    These have shape (row in tile, column in tile, rows of tiles, columns of tiles, channels).
    """
    low, high = piece.columns.start * m, min(piece.columns.stop * m, width)
    counts = piece.shape

    def fold(view: Array) -> Array:
        part = view[:, low:high]
        heights = (counts[0], len(part) // counts[0])
        widths = (counts[1], (high - low) // counts[1])
        split = part.reshape(*heights, *widths, part.shape[-1])
        return split.transpose(1, 3, 0, 2, 4)

    return fold


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Both transforms of a layer."""

    m: int
    n: int
    into: Array
    back: Array


def _prepare(conv: Conv, m: int) -> _Prepared:
    into, _, back = squares(m, conv.spec.kernel[0])
    n = m + conv.spec.kernel[0] - 1
    return _Prepared(m, n, into.astype(np.float32), back.astype(np.float32))


def _transformed(conv: Conv, m: int, group: int, channels: slice) -> Array:
    """Return kernels of a group as (n n, C, M), transformed in float64, a few at a time."""
    filters = squares(m, conv.spec.kernel[0])[1]
    each = conv.spec.kernels // conv.spec.group
    w = conv.w[group * each : (group + 1) * each][channels]
    out = np.empty((len(filters), w.shape[1], len(w)), np.float32)
    for low in range(0, len(w), _AT_ONCE):
        part = w[low : low + _AT_ONCE].transpose(2, 3, 1, 0)
        flat = part.reshape(filters.shape[1], -1).astype(np.float64)
        out[..., low : low + _AT_ONCE] = (filters @ flat).reshape(len(filters), *part.shape[2:])
    return out


def tiles_at_once(spec: ConvSpec, m: int, block_bytes: int) -> int:
    """Return how many tiles of m x m results one block has."""
    each_in, each_out = spec.channels // spec.group, spec.kernels // spec.group
    tile_bytes = (m + spec.kernel[0] - 1) ** 2 * (each_in + max(each_in, each_out)) * 4
    # Fewer tiles than this would read the kernels more often than it pays.
    return max(block_bytes // tile_bytes, each_in * each_out >> 8, 1)


def winograd(conv: Conv, m: int) -> Work:
    """Convolve by tiles of m x m results."""
    spec, data = conv.spec, _prepare(conv, m)
    height, width = winograd_tiles(spec, m)
    each_in, each_out = spec.channels // spec.group, spec.kernels // spec.group
    most, tiles = tiles_at_once(spec, m, conv.block_bytes), height * width

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        channels = conv.channels(first, last)
        spans = [(image, 0, tiles) for image in range(spec.n)]
        if not conv.by_kernels:
            spans = [
                (image, max(0, first - image * tiles), min(tiles, last - image * tiles))
                for image in range(first // tiles, -(-last // tiles))
            ]
        kernels = [
            conv.factor(partial(_transformed, conv, m, group), first, last, group)
            for group in range(spec.group)
        ]
        for image, low, high in spans:
            for cut in chunks(low, high, most):
                block = _Block(image, _rectangles(*cut, width), channels)
                for group in range(spec.group):
                    scratch.reset()
                    steps += _block(conv, data, block, (group, kernels[group]), scratch)
        return steps

    macs = data.n**2 * spec.n * tiles * each_in * each_out * spec.group
    transforms = data.n**2 * spec.n * tiles * (data.n**2 * spec.channels + m * m * spec.kernels)
    elements = 2.25 * spec.n * spec.out[0] * spec.out[1] * (spec.channels + spec.kernels)
    units = -(-spec.kernels // 16) if conv.by_kernels else spec.n * tiles
    cost = cost_us(macs + transforms, elements)
    return Work(units=units, cost_us=cost, build=build, grain=m, across=width)


@dataclass(frozen=True, slots=True)
class _Block:
    image: int
    rectangles: list[_Rectangle]
    channels: slice


def _gathered(conv: Conv, data: _Prepared, block: _Block, group: int, space: Array) -> list[Step]:
    """Copy the patches of all tiles into (n, n, tiles, C)."""
    steps: list[Step] = []
    each = conv.spec.channels // conv.spec.group
    outer = conv.source.outer[block.image, :, :, group * each : (group + 1) * each]
    row, column, channel = outer.strides
    done = 0
    for rectangle in block.rectangles:
        rows, columns = rectangle.shape
        start = outer[rectangle.rows.start * data.m :, rectangle.columns.start * data.m :]
        shape = (data.n, data.n, rows, columns, each)
        strides = (row, column, row * data.m, column * data.m, channel)
        # The frame was made so that every tile lies inside.
        patches = as_strided(start, shape, strides)
        place = space[:, :, done : done + rows * columns].reshape(shape)
        steps.append(partial(np.copyto, place, patches))
        done += rows * columns
    return steps


def _block(
    conv: Conv, data: _Prepared, block: _Block, kernels: tuple[int, Factor], scratch: Scratch
) -> list[Step]:
    """Return the steps of one block of tiles and one group of channels."""
    group, matrices = kernels
    taps, m = data.n**2, data.m
    each_in = conv.spec.channels // conv.spec.group
    each_out = matrices.columns
    tiles = sum(rows * columns for rows, columns in (r.shape for r in block.rectangles))
    # Two spaces in turn: patches, transformed, products, results.
    wide = taps * tiles * max(each_in, each_out)
    first, second = scratch.take(wide), scratch.take(wide)
    patches = first[: taps * tiles * each_in].reshape(data.n, data.n, tiles, each_in)
    changed = second[: taps * tiles * each_in].reshape(taps, tiles, each_in)
    products = first[: taps * tiles * each_out].reshape(taps, tiles, each_out)
    results = second[: m * m * tiles * each_out].reshape(m * m, tiles * each_out)
    steps = _gathered(conv, data, block, group, patches)
    into, back = data.into, data.back
    steps += transform(into, patches.reshape(taps, -1), changed.reshape(taps, -1), conv.small)
    steps += multiply(changed, matrices, products, scratch)
    if conv.spec.group > 1:
        channels = slice(group * each_out, (group + 1) * each_out)
    else:
        channels = block.channels
    if conv.b is not None:
        share = products[data.n + 1]
        steps += swept(np.add, share, conv.b[channels])
    steps += transform(back, products.reshape(taps, -1), results, conv.small)
    target = conv.target
    if target.residual is None:  # one run is faster than many short ones
        steps += target.clamped(results)
        target = replace(target, activation=None)
    block = replace(block, channels=channels)
    return steps + _finished(target, block, results.reshape(m, m, tiles, each_out), conv.spec.out)


def _finished(target: Target, block: _Block, results: Array, size: tuple[int, int]) -> list[Step]:
    """Return the steps that store results, cut off where tiles reach over the border."""
    steps: list[Step] = []
    m, done = len(results), 0
    for rectangle in block.rectangles:
        rows, columns = rectangle.shape
        values = results[:, :, done : done + rows * columns].reshape(m, m, rows, columns, -1)
        done += rows * columns
        for piece in _pieces(rectangle, size, m):
            fold = _folding(piece, m, size[1])
            lines = slice(piece.rows.start * m, min(piece.rows.stop * m, size[0]))
            region = Region(block.image, lines, block.channels)
            shape = fold(target.spots[0].at(region)).shape
            low = (
                piece.rows.start - rectangle.rows.start,
                piece.columns.start - rectangle.columns.start,
            )
            part = values[
                : shape[0], : shape[1], low[0] : low[0] + shape[2], low[1] : low[1] + shape[3]
            ]
            steps += target.finish(part, region, fold)
    return steps
