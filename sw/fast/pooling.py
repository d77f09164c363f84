"""Paths of pooling: one axis after the other by strided slices.

No padding is needed: a tap that falls into it is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
    function: np.ufunc, taps: _Axis, middle: Array, scratch: Scratch
) -> tuple[Array, list[Step]]:
    """Combine columns of (rows, columns, C)."""

    def read(start: int, count: int) -> Array:
        stop = start + (count - 1) * taps.stride + 1
        return middle[:, start : stop : taps.stride].transpose(1, 0, 2)

    out = scratch.take(len(middle), taps.places, middle.shape[2])
    return out, _reduced(function, taps, read, out.transpose(1, 0, 2))


def pool(layer: Layer, source: Spot, target: Target) -> Work:
    """Take maxima or means of windows over images."""
    attributes = dict(layer.attributes)
    include_pad = bool(attributes.pop("count_include_pad", 0))
    attributes.pop("storage_order", None)
    window = Window.of(attributes["kernel_shape"], attributes)
    n, height, width, channels = target.shape
    maximum = layer.op == "MaxPool"
    function: np.ufunc = np.maximum if maximum else np.add
    step = window.strides[0]
    shares: Array | None = None
    size = source.shape[1:3]
    if not maximum:
        given = np.broadcast_to(constant(0.0), (n, channels, *size))
        counts = window_counts(given, window, (height, width), include_pad)[..., None]
        shares = 1 / counts
        if np.ptp(counts) == 0:
            shares = constant(shares.flat[0])
        else:
            shares = np.repeat(shares, source.runs.shape[3], axis=2)
    row_bytes = 4 * channels * (width + size[1] * (window.strides[0] + 1))

    def axis(place: int, first: int, places: int) -> _Axis:
        geometry = (window.kernel[place], window.strides[place], window.dilations[place])
        return _Axis(*geometry, window.pads[place], size[place], first, places)

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
                values, more = _columns(function, axis(1, 0, width), middle, scratch)
                steps += more
                if shares is not None:
                    share = shares[start:stop] if shares.size > 1 else shares
                    steps.append(partial(np.multiply, values, share, values))
                steps += target.finish(values[..., :channels], region)
        return steps

    elements = n * height * channels * (width * window.kernel[1] + size[1] * window.kernel[0])
    return Work(units=n * height, cost_us=cost_us(0, elements), build=build)


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
