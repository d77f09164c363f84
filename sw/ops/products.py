"""Convolutions and matrix products in parts; see `heterolith.sw.ops.conv` and `linear`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from heterolith.sw.network import Array
from heterolith.sw.ops import tiling
from heterolith.sw.ops.conv import conv_window, convolve
from heterolith.sw.ops.tiling import Arrays, Crew, Job, Part, Run, even_parts
from heterolith.sw.ops.window import Cut, Window

# Convolutions with fewer places than this per thread are cut by kernels, not by rows.
_FEW_PLACES = 128


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a convolution: where it lies, and what of image, channels and rows it reads."""

    part: Part
    kernels: slice
    read: Part
    cut: Cut


def conv(job: Job, crew: Crew) -> Run:
    """Convolve by rows or kernels."""
    x, w = job.shape(0), job.shape(1)
    geometry = dict(job.attributes)
    group = geometry.pop("group", 1)
    window = conv_window(x, w, group, Window.of(w[2:], geometry))
    shape = (x[0], w[0], *window.output(x[2:]))
    finish, column, each = job.finish(shape), (-1, *(1,) * window.rank), w[0] // group

    def piece(part: Part) -> _Piece:
        image, kernels, rows = part
        groups = slice(kernels.start // each, -(-kernels.stop // each))
        channels = slice(groups.start * w[1], groups.stop * w[1])
        return _Piece(part, kernels, (image, channels), window.cut(x[2:], rows))

    pieces = [piece(p) for p in conv_parts(shape, w, group, job.dtype.itemsize, crew.threads)]

    def run(inputs: Arrays, residual: Array | None) -> Array:
        x, w, *rest = inputs
        assert x is not None
        assert w is not None
        out = crew.empty(shape, job.dtype)
        bias = rest[0].reshape(column) if rest and rest[0] is not None else None

        def task(piece: _Piece) -> None:
            mine = out[piece.part]
            padded = piece.cut.of(x[piece.read], 0, lambda *of: crew.scratch(0, *of))
            convolve(padded, w[piece.kernels], window, mine, lambda *of: crew.scratch(1, *of))
            if bias is not None:
                np.add(mine, bias[piece.kernels], out=mine)
            finish.apply(mine, residual, piece.part)

        crew.run(task, pieces)
        return out

    return run


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
    threads = crew.threads if shape[0] * prod(b) >= tiling.SERIAL_MACS else 1
    parts = [(slice(None), cut) for cut in even_parts(shape[1], shape[1], threads)]

    def run(inputs: Arrays, residual: Array | None) -> Array:
        a, b, *rest = inputs
        assert a is not None
        assert b is not None
        out = crew.empty(shape, job.dtype)
        left, right = a.T if turns[0] else a, b.T if turns[1] else b
        added = None
        if rest and rest[0] is not None:
            scaled = rest[0] if beta == 1 else rest[0] * beta
            added = np.broadcast_to(scaled, shape)

        def task(part: Part) -> None:
            mine = out[part]
            np.matmul(left, right[part], out=mine)
            if alpha != 1:
                np.multiply(mine, alpha, out=mine)
            if added is not None:
                np.add(mine, added[part], out=mine)
            finish.apply(mine, residual, part)

        crew.run(task, parts)
        return out

    return run
