"""Paths of pooling: rows first, then columns.

No padding is needed: a tap that falls into it is left out. Where a window moves by two columns, all
columns are combined with their neighbours, as that is one run of memory, and every second result is
copied: a copy of short runs of memory takes a third of the time of a sum of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np

from heterolith.sw.fast.spots import Region, Scratch, Spot, Step, Target, chunks, constant, images
from heterolith.sw.fast.work import Work, cost_us
from heterolith.sw.network import Array, Layer
from heterolith.sw.ops.pool import lowest, window_counts
from heterolith.sw.ops.window import Window

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a window: ``size`` inputs, of which ``places`` results from ``first`` on."""

    kernel: int
    stride: int
    dilation: int
    pad: int
    size: int
    first: int
    places: int

    def taps(self) -> list[tuple[int, int, int]]:
        """Return (first result, last result, first input) of each tap, widest cover first."""
        found = []
        for tap in range(self.kernel):
            offset = self.first * self.stride - self.pad + tap * self.dilation
            low = max(0, -(offset // self.stride))
            high = min(self.places, (self.size - 1 - offset) // self.stride + 1)
            if high > low:
                found.append((low, high, offset + low * self.stride))
        return sorted(found, key=lambda tap: tap[0] - tap[1])

    def covered(self, number: int) -> list[tuple[int, int, int]]:
        """Return (first result, last result, first input) of results with so many taps."""
        taps = self.taps()
        edges = sorted({0, self.places, *(edge for low, high, _ in taps for edge in (low, high))})
        found = []
        for low, high in pairwise(edges):
            starts = [
                start + (low - first) * self.stride
                for first, last, start in taps
                if first <= low < last
            ]
            if len(starts) == number:
                found.append((low, high, min(starts, default=0)))
        return found

    @property
    def neighbouring(self) -> bool:
        """Whether taps are neighbours, results every second, and each has a tap."""
        return (self.stride, self.dilation) == (2, 1) and not self.covered(0)


def _reduced(
    function: np.ufunc, taps: _Axis, read: Callable[[int, int], Array], out: Array
) -> list[Step]:
    """Return steps that combine the taps of one axis into ``out``, whose first axis that is.

    ``read(start, count)`` gives the inputs of ``count`` neighbouring results.
    """
    order = [(low, high, read(start, high - low)) for low, high, start in taps.taps()]
    full = [values for low, high, values in order if high - low == taps.places]
    if len(full) > 1:
        steps: list[Step] = [partial(function, full[0], full[1], out=out)]
    elif full:
        steps = [partial(np.copyto, out, full[0])]
    else:
        steps = [partial(out.fill, lowest(out.dtype) if function is np.maximum else 0)]
    for low, high, values in order[min(len(full), 2) :]:
        steps.append(partial(function, out[low:high], values, out=out[low:high]))
    return steps


def _columns(
    function: np.ufunc, taps: _Axis, middle: Array, out: Array, scratch: Scratch
) -> list[Step]:
    """Combine columns of (rows, columns, C)."""
    channels = out.shape[2]

    def read(start: int, count: int) -> Array:
        stop = start + (count - 1) * taps.stride + 1
        return middle[:, start : stop : taps.stride, :channels].transpose(1, 0, 2)

    return _reduced(function, taps, read, out.transpose(1, 0, 2))


def _neighbours(
    function: np.ufunc, taps: _Axis, middle: Array, out: Array, scratch: Scratch
) -> list[Step]:
    """Combine all neighbouring columns, as one run of memory, and copy every second result."""
    pixel, flat = middle.shape[2], middle.reshape(-1)
    sums, values, found = scratch.take(*middle.shape), flat, middle
    steps: list[Step] = []
    for number in range(1, taps.kernel + 1):
        if number > 1:
            place = sums.reshape(-1)[: flat.size - (number - 1) * pixel]
            more = flat[flat.size - place.size :]
            steps.append(partial(function, values[: place.size], more, out=place))
            values, found = place, sums
        for low, high, start in taps.covered(number):
            stop = start + (high - low - 1) * taps.stride + 1
            given = found[:, start : stop : taps.stride, : out.shape[2]]
            steps.append(partial(np.copyto, out[:, low:high], given))
    return steps


def pool(layer: Layer, source: Spot, target: Target) -> Work:
    """Take maxima or means of windows over images."""
    attributes = dict(layer.attributes)
    include_pad = bool(attributes.pop("count_include_pad", 0))
    attributes.pop("storage_order", None)
    window = Window.of(attributes["kernel_shape"], attributes)
    n, height, width, channels = target.shape
    function: np.ufunc = np.maximum if layer.op == "MaxPool" else np.add
    step, size = window.strides[0], source.shape[1:3]
    shares = constant(1.0)
    if function is np.add:
        shares = _shares(window, channels, size, include_pad)
    row_bytes = 4 * channels * (width + size[1] * (step + 1))

    def axis(place: int, first: int, places: int) -> _Axis:
        geometry = (window.kernel[place], window.strides[place], window.dilations[place])
        return _Axis(*geometry, window.pads[place], size[place], first, places)

    columns = axis(1, 0, width)
    neighbours = columns.neighbouring

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        for image, low, high in images(first, last, height):
            for start, stop in chunks(low, high, max(1, _BLOCK_BYTES // row_bytes)):
                scratch.reset()
                region = Region(image, slice(start, stop))
                whole = source.runs[0 if source.height else image]

                def read(start: int, count: int, whole: Array = whole) -> Array:
                    begin = start - source.first
                    return whole[begin : begin + (count - 1) * step + 1 : step]

                middle = scratch.take(stop - start, size[1], whole.shape[2])
                steps += _reduced(function, axis(0, start, stop - start), read, middle)
                values = scratch.take(stop - start, width, channels)
                if neighbours and function is np.maximum:
                    values = target.landing(region, scratch).reshape(values.shape)
                across = _neighbours if neighbours else _columns
                steps += across(function, columns, middle, values, scratch)
                if function is np.add:
                    share = shares[start:stop] if shares.size > 1 else shares
                    steps.append(partial(np.multiply, values, share, values))
                steps += target.finish(values, region)
        return steps

    elements = n * height * channels * (width * window.kernel[1] + size[1] * window.kernel[0])
    return Work(units=n * height, cost_us=cost_us(0, elements), build=build)


def _shares(window: Window, channels: int, size: Sequence[int], include_pad: bool) -> Array:
    """Return the share of a tap in each mean: one number, or of shape (rows, columns, C)."""
    counts = window_counts(size, window, include_pad).astype(np.float32)[..., None]
    shares = 1 / counts
    if np.ptp(counts) == 0:
        return constant(shares.flat[0])
    return np.repeat(shares, channels, axis=2)


def global_pool(layer: Layer, source: Spot, target: Target) -> Work:
    """Reduce all pixels of each image."""
    n, height, width, channels = source.inner.shape

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        for image in range(first, last):
            region = Region(image, slice(0, 1))
            home = target.spots[0].at(region)
            function: np.ufunc = np.maximum if layer.op.endswith("MaxPool") else np.add
            steps.append(partial(function.reduce, source.inner[image], (0, 1), None, home[0, 0]))
            if function is np.add:
                steps.append(partial(np.divide, home, constant(height * width), home))
            steps += target.finish(home, region)
        return steps

    elements = n * height * width * channels
    return Work(units=n, cost_us=cost_us(0, elements), build=build)
