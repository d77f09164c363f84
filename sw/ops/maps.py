"""Poolings, normalisations and concatenations in parts; see `heterolith.sw.ops.pool` and others."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from heterolith.sw.network import Array
from heterolith.sw.ops import tiling
from heterolith.sw.ops.normalize import normalize_into
from heterolith.sw.ops.pool import lowest, pool_padded, window_counts
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
    finish, cut = job.finish(shape), window.cut(x[2:], slice(0, shape[2]))
    mean = function is np.add
    counts = window_counts(x[2:], window, include_pad).astype(job.dtype) if mean else None
    parts = _channel_parts(x, job.dtype.itemsize, crew.threads)

    def run(inputs: Arrays, residual: Array | None) -> Array:
        x = inputs[0]
        assert x is not None
        out = crew.empty(shape, job.dtype)

        def task(part: Part) -> None:
            mine = out[part]
            padded = cut.of(x[part], fill, lambda *of: crew.scratch(0, *of))
            pool_padded(
                function, padded, window, mine, lambda axis, *of: crew.scratch(1 + axis, *of)
            )
            if counts is not None:
                np.divide(mine, counts, out=mine)
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
    finish = job.finish(shape)
    threads = crew.threads if prod(shape) >= tiling.SERIAL_ELEMENTS else 1
    row_bytes = shape[1] * prod(shape[3:]) * job.dtype.itemsize
    rows = even_parts(shape[2], tiling.PART_BYTES // row_bytes, threads)
    images = [slice(image, image + 1) for image in range(shape[0])]
    parts = list(product(images, [slice(None)], rows))

    def run(inputs: Arrays, residual: Array | None) -> Array:
        x = inputs[0]
        assert x is not None
        out = crew.empty(shape, job.dtype)

        def task(part: Part) -> None:
            mine = out[part]
            normalize_into(mine, x[part], crew.scratch, **job.attributes)
            finish.apply(mine, residual, part)

        crew.run(task, parts)
        return out

    return run


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
    finish = job.finish(shape)

    def run(inputs: Arrays, residual: Array | None) -> Array:
        x = inputs[0]
        assert x is not None
        out = crew.empty(shape, job.dtype)
        np.copyto(out, x.transpose(axes))
        finish.apply(out, residual, ())
        return out

    return run
