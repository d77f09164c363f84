"""Layers cut into independent parts, each finished while it is in the cache.

The task of a part computes the operator on a piece of the output, then adds what was fused behind
it. Invariant: parts write disjoint pieces, so any number of threads gives the same result up to
rounding. A part is a tuple of slices of the output: image, channels, rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from heterolith.errors import InputError
from heterolith.sw.network import Activation, Array
from heterolith.sw.ops import compute
from heterolith.sw.ops.conv import conv_window, convolve
from heterolith.sw.ops.pool import lowest, pool_padded, window_counts
from heterolith.sw.ops.window import Window

# Bytes of patches or activations that one part gathers: longer matrices, yet within the caches.
_PART_BYTES = 1 << 21
# Layers of fewer multiply-accumulates, or elements where there are none, than this are over before
# another thread has woken up.
_SERIAL_MACS = 1 << 23
_SERIAL_ELEMENTS = 1 << 17
# Convolutions with fewer places than this per thread are cut by kernels, not by rows.
_FEW_PLACES = 128

Part = tuple[slice, ...]


class Crew(Protocol):
    """Does a task for every part, maybe in several threads, and allocates memory for them."""

    threads: int

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array with undefined elements, like ``np.empty``."""

    def run(self, task: Callable[[Part], None], parts: Sequence[Part]) -> None:
        """Return when every part is done."""


@dataclass(frozen=True, slots=True)
class Finish:
    """What was fused behind an operator: a residual addition, then a clamp."""

    residual: Array | None = None
    activation: Activation | None = None

    def check(self, shape: tuple[int, ...]) -> None:
        """Check that the residual has the shape of the result.

        Raises
        ------
        InputError
            If it has another one: parts could not find their piece of it.
        """
        if self.residual is not None and self.residual.shape != shape:
            raise InputError(f"a residual of shape {self.residual.shape} is added to {shape}")

    def apply(self, out: Array, part: Part) -> None:
        """Finish the piece ``out`` of the result in place; ``part`` is where it lies."""
        if self.residual is not None:
            out += self.residual[part]
        if self.activation is not None:
            kind = out.dtype.type
            if self.activation.low > -np.inf:
                np.maximum(out, kind(self.activation.low), out=out)
            if self.activation.high < np.inf:
                np.minimum(out, kind(self.activation.high), out=out)


@dataclass(frozen=True, slots=True)
class Job:
    """One operator of one output with its inputs in ONNX order and what is fused behind it."""

    attributes: Mapping[str, Any]
    inputs: Sequence[Array | None]
    finish: Finish

    def output(self, shape: tuple[int, ...], crew: Crew) -> Array:
        """Return an empty result of the dtype of the first input."""
        self.finish.check(shape)
        return crew.empty(shape, self.array(0).dtype)

    def array(self, place: int) -> Array:
        """Return an input that must be there."""
        value = self.inputs[place]
        assert value is not None
        return value

    def optional(self, place: int) -> Array | None:
        """Return an input, or None where it is absent."""
        return self.inputs[place] if place < len(self.inputs) else None


def even_parts(length: int, most: int, threads: int) -> list[slice]:
    """Cut into pieces of about one size, at most ``most``, their number a multiple of threads."""
    count = -(-length // max(1, most))
    count = max(1, min(length, -(-count // threads) * threads))
    edges = [length * place // count for place in range(count + 1)]
    return [slice(first, last) for first, last in pairwise(edges)]


def conv(job: Job, crew: Crew) -> Array:
    """Convolve by rows or kernels; see `heterolith.sw.ops.conv`."""
    x, w, b = job.array(0), job.array(1), job.optional(2)
    geometry = dict(job.attributes)
    group = geometry.pop("group", 1)
    window = conv_window(x, w, group, Window.of(w.shape[2:], geometry))
    out = job.output((x.shape[0], w.shape[0], *window.output(x.shape[2:])), crew)
    bias = None if b is None else b.reshape(-1, *(1,) * window.rank)
    kernels_per_group = w.shape[0] // group

    def task(part: Part) -> None:
        image, kernels, rows = part
        groups = slice(kernels.start // kernels_per_group, -(-kernels.stop // kernels_per_group))
        channels = slice(groups.start * w.shape[1], groups.stop * w.shape[1])
        piece = out[part]
        padded = window.rows(x[image, channels], rows, 0, crew.empty)
        convolve(padded, w[kernels], window, piece, crew.empty)
        if bias is not None:
            piece += bias[kernels]
        job.finish.apply(piece, part)

    crew.run(task, _conv_parts(out.shape, w.shape, group, out.itemsize, crew.threads))
    return out


@lru_cache(maxsize=1024)
def _conv_parts(
    shape: tuple[int, ...], kernel: tuple[int, ...], group: int, itemsize: int, threads: int
) -> tuple[Part, ...]:
    """Cut an output shape; ``kernel`` is the shape of the weights."""
    n, kernels, rows = shape[:3]
    row_places = prod(shape[3:])
    places = rows * row_places
    if places * prod(kernel) < _SERIAL_MACS:
        threads = 1
    kernel_cuts, row_cuts = [slice(0, kernels)], [slice(0, rows)]
    if kernel[1] == 1 and group > 1:
        each = kernels // group
        patch_bytes = prod(kernel[2:]) * places * itemsize
        channels = even_parts(group, _PART_BYTES // patch_bytes, threads)
        kernel_cuts = [slice(cut.start * each, cut.stop * each) for cut in channels]
    elif group == 1 and threads > 1 and places < _FEW_PLACES * threads:
        kernel_cuts = even_parts(kernels, kernels, threads)
    else:
        patch_bytes = prod(kernel[1:]) * group * row_places * itemsize
        row_cuts = even_parts(rows, _PART_BYTES // patch_bytes, threads)
    images = [slice(image, image + 1) for image in range(n)]
    return tuple(product(images, kernel_cuts, row_cuts))


def gemm(job: Job, crew: Crew) -> Array:
    """Multiply by columns of the result; see `heterolith.sw.ops.linear`."""
    a, b, c = job.array(0), job.array(1), job.optional(2)
    transposed = job.attributes.get("transB", 0)
    rows = a.shape[1 if job.attributes.get("transA", 0) else 0]
    columns = b.shape[0 if transposed else 1]
    out = job.output((rows, columns), crew)
    bias = None if c is None else np.broadcast_to(c, out.shape)

    def task(part: Part) -> None:
        weights = b[part[1]] if transposed else b[:, part[1]]
        addend = None if bias is None else bias[part]
        (out[part],) = compute("Gemm", job.attributes, [a, weights, addend])
        job.finish.apply(out[part], part)

    threads = crew.threads if rows * b.size >= _SERIAL_MACS else 1
    crew.run(task, [(slice(None), cut) for cut in even_parts(columns, columns, threads)])
    return out


def max_pool(job: Job, crew: Crew) -> Array:
    """Take maxima by channels; see `heterolith.sw.ops.pool`."""
    x = job.array(0)
    geometry = dict(job.attributes)
    geometry.pop("storage_order", None)
    window = Window.of(geometry["kernel_shape"], geometry)
    out = job.output((*x.shape[:2], *window.output(x.shape[2:])), crew)

    def task(part: Part) -> None:
        padded = window.pad(x[part], lowest(x.dtype))
        out[part] = pool_padded(np.maximum, padded, window, out.shape[2:])
        job.finish.apply(out[part], part)

    crew.run(task, _channel_parts(x, crew.threads))
    return out


def average_pool(job: Job, crew: Crew) -> Array:
    """Take means by channels; see `heterolith.sw.ops.pool`."""
    x = job.array(0)
    geometry = dict(job.attributes)
    include_pad = bool(geometry.pop("count_include_pad", 0))
    window = Window.of(geometry["kernel_shape"], geometry)
    places = window.output(x.shape[2:])
    counts = window_counts(x, window, places, include_pad)
    out = job.output((*x.shape[:2], *places), crew)

    def task(part: Part) -> None:
        sums = pool_padded(np.add, window.pad(x[part]), window, places)
        np.divide(sums, counts, out=out[part])
        job.finish.apply(out[part], part)

    crew.run(task, _channel_parts(x, crew.threads))
    return out


def _channel_parts(x: Array, threads: int) -> list[Part]:
    if x.size < _SERIAL_ELEMENTS:
        threads = 1
    per_channel = prod(x.shape[2:]) * x.itemsize
    channels = even_parts(x.shape[1], _PART_BYTES // per_channel, threads)
    images = [slice(image, image + 1) for image in range(x.shape[0])]
    return list(product(images, channels))


def lrn(job: Job, crew: Crew) -> Array:
    """Normalise by rows, all channels each; see `heterolith.sw.ops.normalize`."""
    x = job.array(0)
    out = job.output(x.shape, crew)

    def task(part: Part) -> None:
        (out[part],) = compute("LRN", job.attributes, [x[part]])
        job.finish.apply(out[part], part)

    threads = crew.threads if x.size >= _SERIAL_ELEMENTS else 1
    row_bytes = x[0, :, :1].size * x.itemsize
    rows = even_parts(x.shape[2], _PART_BYTES // row_bytes, threads)
    images = [slice(image, image + 1) for image in range(x.shape[0])]
    crew.run(task, list(product(images, [slice(None)], rows)))
    return out


# Operators that are worth cutting, where they have one output.
TILED: Mapping[str, Callable[[Job, Crew], Array]] = {
    "AveragePool": average_pool,
    "Conv": conv,
    "Gemm": gemm,
    "LRN": lrn,
    "MaxPool": max_pool,
}
