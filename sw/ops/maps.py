"""Poolings, normalisations and concatenations in parts; see `heterolith.sw.ops.pool` and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from heterolith.sw.network import Array
from heterolith.sw.ops import tiling
from heterolith.sw.ops.normalize import normalize_into
from heterolith.sw.ops.pool import flattens, lowest, pool_flat, pool_padded, window_counts
from heterolith.sw.ops.tiling import Arrays, Crew, Job, Part, Run, even_parts
from heterolith.sw.ops.window import Window


def max_pool(job: Job, crew: Crew) -> Run:
    """Take maxima by channels."""
    return _pool(job, crew, np.maximum, lowest(job.dtype))


def average_pool(job: Job, crew: Crew) -> Run:
    """Take means by channels."""
    return _pool(job, crew, np.add, 0)


def _pool(job: Job, crew: Crew, function: np.ufunc, fill: float) -> Run:
    x, geometry = job.shape(0), dict(job.attributes)
    geometry.pop("storage_order", None)
    include_pad = bool(geometry.pop("count_include_pad", 0))
    window = Window.of(geometry["kernel_shape"], geometry)
    shape = (*x[:2], *window.output(x[2:]))
    cut = window.cut(x[2:], slice(0, shape[2]))
    mean = function is np.add
    counts = window_counts(x[2:], window, include_pad).astype(job.dtype) if mean else None
    frame = partial(crew.scratch, 0)

    def left(axis: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
        return crew.scratch(1 + axis, shape, dtype)

    flat = flattens(window.kernel, window.strides, cut.covered, shape[2:])

    def compute(x: Array, out: Array) -> None:
        padded = cut.of(x, fill, frame)
        if flat and padded.size and padded.flags.c_contiguous:
            found = pool_flat(function, padded, window, out, left)
            if counts is None:
                np.copyto(out, found)
        else:
            pool_padded(function, padded, window, out, left)
            found = out
        if counts is not None:
            np.divide(found, counts, out=out)

    parts = _channel_parts(x, job.dtype.itemsize, crew.threads)
    return _by_parts(job, crew, shape, parts, compute)


def _by_parts(
    job: Job,
    crew: Crew,
    shape: tuple[int, ...],
    parts: Sequence[Any],
    compute: Callable[[Array, Array], None],
) -> Run:
    """Return what computes parts of the only input into the same parts of the output."""
    finish = job.finish(shape)

    def run(inputs: Arrays, residual: Array | None) -> Array:
        x = inputs[0]
        assert x is not None
        out = crew.empty(shape, job.dtype)
        if len(parts) == 1:
            compute(x, out)
            finish.apply(out, residual, ())
            return out

        def task(part: Any) -> None:  # noqa: ANN401 - whatever cuts an array
            mine = out[part]
            compute(x[part], mine)
            finish.apply(mine, residual, part)

        crew.run(task, parts)
        return out

    return run


def _channel_parts(x: tuple[int, ...], itemsize: int, threads: int) -> list[Part]:
    if prod(x) < tiling.SERIAL_ELEMENTS:
        threads = 1
    channels = even_parts(x[1], tiling.PART_BYTES // (prod(x[2:]) * itemsize), threads)
    images = [slice(image, image + 1) for image in range(x[0])]
    return list(product(images, channels))


def lrn(job: Job, crew: Crew) -> Run:
    """Normalise by rows, all channels each."""
    shape = job.shape(0)
    threads = crew.threads if prod(shape) >= tiling.SERIAL_ELEMENTS else 1
    row_bytes = shape[1] * prod(shape[3:]) * job.dtype.itemsize
    rows = even_parts(shape[2], tiling.PART_BYTES // row_bytes, threads)
    images = [slice(image, image + 1) for image in range(shape[0])]
    parts = list(product(images, [slice(None)], rows))

    def compute(x: Array, out: Array) -> None:
        normalize_into(out, x, crew.scratch, **job.attributes)

    return _by_parts(job, crew, shape, parts, compute)


def concat(job: Job, crew: Crew) -> Run:
    """Join tensors of one dtype; one thread moves as much as memory gives."""
    shapes = [job.shape(place) for place in range(len(job.shapes))]
    axis, extents = job.attributes["axis"], list(shapes[0])
    extents[axis] = sum(each[axis] for each in shapes)
    shape = tuple(extents)
    finish = job.finish(shape)

    def run(inputs: Arrays, residual: Array | None) -> Array:
        out = crew.empty(shape, job.dtype)
        np.concatenate([x for x in inputs if x is not None], axis=axis, out=out)
        finish.apply(out, residual, ())
        return out

    return run


def transpose(job: Job, crew: Crew) -> Run:
    """Move axes: a copy, so that whoever reads it finds rows of memory."""
    axes = tuple(job.attributes.get("perm") or reversed(range(len(job.shape(0)))))
    shape = tuple(job.shape(0)[axis] for axis in axes)

    def compute(x: Array, out: Array) -> None:
        np.copyto(out, x.transpose(axes))

    return _by_parts(job, crew, shape, [(...,)], compute)
