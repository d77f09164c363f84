"""Convolutions and matrix products in parts; see `heterolith.sw.ops.conv` and `linear`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from math import prod
from operator import mul
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.ops import tiling
from heterolith.sw.ops.conv import conv_window
from heterolith.sw.ops.tiling import Arrays, Crew, Job, Part, Run, even_parts
from heterolith.sw.ops.window import Cut, Window

# Convolutions with fewer places than this per thread are cut by kernels, not by rows.
_FEW_PLACES = 128


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a convolution.

    Attributes
    ----------
    part, read, cut
        Where it lies in the output, what it reads of images and channels, and of rows.
    whole, plain
        Whether it is all of the output, and whether it reads all of the input as it lies there.
    matrix, columns, result
        Shapes of kernels, patches and output as factors and result of a product; of a window of one
        channel and element, of factors, inputs and output of a product of elements.
    taps
        What the first element of the window meets of the padded form, ``None`` for all.
    patches, steps
        Shape of the patches, and steps of their axes in the padded form.
    """

    part: Part
    read: Part
    cut: Cut
    whole: bool
    plain: bool
    matrix: tuple[int, ...]
    columns: tuple[int, ...]
    result: tuple[int, ...]
    taps: Part | None
    patches: tuple[int, ...]
    steps: tuple[int, ...]


def _piece(job: Job, window: Window, group: int, part: Part) -> _Piece:
    x, w = job.shape(0), job.shape(1)
    spatial = x[2:]
    image, kernels, rows = part
    each, count, one = w[0] // group, kernels.stop - kernels.start, (1,) * window.rank
    groups = slice(kernels.start // each, -(-kernels.stop // each))
    channels = slice(groups.start * w[1], groups.stop * w[1])
    cut, places = window.cut(spatial, rows), (rows.stop - rows.start, *window.output(spatial)[1:])
    among = (groups.stop - groups.start,) if group > 1 else ()
    kernels_each, length = count // prod(among), prod(w[1:])
    matrix, columns = (*among, kernels_each, length), (*among, length, prod(places))
    result = (*among, kernels_each, prod(places))
    steps = zip(places, window.strides, strict=True)
    taps = (slice(None), slice(None), *(slice(0, (n - 1) * s + 1, s) for n, s in steps))
    inputs = channels.stop - channels.start
    if length == 1:
        matrix, columns = (inputs, count // inputs, *one), (inputs, 1, *places)
        result = (inputs, count // inputs, *places)
    return _Piece(
        part=part,
        read=(image, channels),
        cut=cut,
        whole=(count, rows.stop - rows.start) == (w[0], window.output(spatial)[0]) and x[0] == 1,
        plain=x[:2] == (1, inputs) and cut.covered == tuple(spatial) and not cut.padded,
        matrix=matrix,
        columns=columns,
        result=result,
        taps=None if prod(window.strides) == 1 == prod(window.kernel) else taps,
        patches=(inputs, *w[2:], *places),
        steps=(*window.dilations, *window.strides),
    )


def conv(job: Job, crew: Crew) -> Run:
    """Convolve by rows or kernels."""
    x, w = job.shape(0), job.shape(1)
    geometry = dict(job.attributes)
    group = geometry.pop("group", 1)
    window = conv_window(x, w, group, Window.of(w[2:], geometry))
    if not set(job.shapes[2:]) <= {None, (w[0],)}:
        raise InputError(f"{w[0]} kernels need as many biases; got shape {job.shapes[2]}")
    shape = (x[0], w[0], *window.output(x[2:]))
    finish, column = job.finish(shape), (-1, *(1,) * window.rank)
    parts = conv_parts(shape, w, group, job.dtype.itemsize, crew.threads)
    pieces = [_piece(job, window, group, part) for part in parts]
    multiply = np.multiply if prod(w[1:]) == 1 else np.matmul
    moves = prod(w[2:]) > 1, prod(w[1:]) > 1 and prod(window.strides) > 1
    known: tuple[Any, Any, list[tuple[Array, Any]]] = (None, None, [])

    def constants(w: Array, bias: Array | None) -> list[tuple[Array, Any]]:
        """Return kernels and biases of all pieces; they are nearly always those of last time."""
        nonlocal known
        last = known  # other threads may set it meanwhile
        # pieces of memory that is not in order are copies, which would not follow a change of it
        if last[0] is not w or last[1] is not bias or not w.flags.c_contiguous:
            rows = None if bias is None else bias.reshape(column)
            cuts = [(p, p.part[1]) for p in pieces]
            views = [(w[k].reshape(p.matrix), None if rows is None else rows[k]) for p, k in cuts]
            last = known = (w, bias, views)
        return last[2]

    frame = partial(crew.scratch, 0)

    def run(inputs: Arrays, residual: Array | None) -> Array:
        x, w = inputs[0], inputs[1]
        assert x is not None
        assert w is not None
        out = crew.empty(shape, job.dtype)
        views = constants(w, inputs[2] if len(inputs) > 2 else None)

        def task(place: int) -> None:
            piece, (matrix, bias) = pieces[place], views[place]
            mine = out if piece.whole else out[piece.part]
            padded = x if piece.plain else piece.cut.of(x[piece.read], 0, frame)
            columns = _columns(piece, padded, moves, crew)
            multiply(matrix, columns, out=mine.reshape(piece.result))
            if bias is not None:
                np.add(mine, bias, out=mine)
            finish.apply(mine, residual, piece.part)

        crew.run(task, range(len(pieces)))
        return out

    return run


def _columns(piece: _Piece, padded: Array, moves: tuple[bool, bool], crew: Crew) -> Array:
    """Return the patches of a piece as columns; ``moves`` tells of windows and of strides."""
    if moves[0]:
        _, channel, *axes = padded.strides
        strides = (channel, *map(mul, axes + axes, piece.steps))
        if padded.flags.c_contiguous:  # as `as_strided` for a tenth of its price
            patches: Array = np.ndarray(piece.patches, padded.dtype, padded, 0, strides)
        else:
            patches = as_strided(padded, piece.patches, strides)
    else:
        patches = padded if piece.taps is None else padded[piece.taps]
        if not moves[1]:
            return patches.reshape(piece.columns)
    columns = crew.scratch(1, patches.shape, padded.dtype)
    np.copyto(columns, patches)
    return columns.reshape(piece.columns)


def conv_parts(
    shape: tuple[int, ...], kernel: tuple[int, ...], group: int, itemsize: int, threads: int
) -> list[Part]:
    """Cut an output shape; ``kernel`` is the shape of the weights."""
    n, kernels, rows = shape[:3]
    row_places = prod(shape[3:])
    places = rows * row_places
    if places * prod(kernel) < tiling.SERIAL_MACS:
        threads = 1
    kernel_cuts, row_cuts = [slice(0, kernels)], [slice(0, rows)]
    if kernel[1] == 1 and group > 1:
        each = kernels // group
        patch_bytes = prod(kernel[2:]) * places * itemsize
        channels = even_parts(group, tiling.PART_BYTES // patch_bytes, threads)
        kernel_cuts = [slice(cut.start * each, cut.stop * each) for cut in channels]
    elif group == 1 and threads > 1 and places < _FEW_PLACES * threads:
        kernel_cuts = even_parts(kernels, kernels, threads)
    else:
        patch_bytes = prod(kernel[1:]) * group * row_places * itemsize
        row_cuts = even_parts(rows, tiling.PART_BYTES // patch_bytes, threads)
    images = [slice(image, image + 1) for image in range(n)]
    return list(product(images, kernel_cuts, row_cuts))


def gemm(job: Job, crew: Crew) -> Run:
    """Multiply by columns of the result."""
    a, b = job.shape(0), job.shape(1)
    alpha, beta = (job.dtype.type(job.attributes.get(key, 1.0)) for key in ("alpha", "beta"))
    turns = [bool(job.attributes.get(key, 0)) for key in ("transA", "transB")]
    shape = (a[1 if turns[0] else 0], b[0 if turns[1] else 1])
    finish = job.finish(shape)
    bias = job.shapes[2] if len(job.shapes) > 2 else None
    if bias is not None and np.broadcast_shapes(bias, shape) != shape:
        raise InputError(f"a bias of shape {bias} does not broadcast to {shape}")
    wide = bias is not None and bias[-1:] == shape[1:]
    threads = crew.threads if shape[0] * prod(b) >= tiling.SERIAL_MACS else 1
    parts = [(slice(None), cut) for cut in even_parts(shape[1], shape[1], threads)]

    def run(inputs: Arrays, residual: Array | None) -> Array:
        a, b = inputs[0], inputs[1]
        assert a is not None
        assert b is not None
        out = crew.empty(shape, job.dtype)
        left, right = a.T if turns[0] else a, b.T if turns[1] else b
        added = inputs[2] if len(inputs) > 2 else None
        if added is not None and beta != 1:
            added = added * beta

        def task(part: Part) -> None:
            mine = out[part]
            np.matmul(left, right[part], out=mine)
            if alpha != 1:
                np.multiply(mine, alpha, out=mine)
            if added is not None:  # broadcast unless it has columns too
                np.add(mine, added[..., part[1]] if wide else added, out=mine)
            finish.apply(mine, residual, part)

        crew.run(task, parts)
        return out

    return run
