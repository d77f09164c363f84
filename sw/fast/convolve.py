"""Paths of a convolution: constants are prepared once, steps work on blocks that fit a cache.

Every path computes what `heterolith.sw.ops.conv` computes. ``pointwise``, ``gather`` and ``planar``
add the same products in another order; biases ride along as one more product with a constant 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np
from numpy.lib.stride_tricks import as_strided

from heterolith.sw.fast.conv_spec import ConvSpec
from heterolith.sw.fast.memory import Shelf
from heterolith.sw.fast.passes import swept
from heterolith.sw.fast.products import Factor, factor, multiply
from heterolith.sw.fast.spots import Region, Scratch, Spot, Step, Target, chunks, images
from heterolith.sw.fast.work import Work, cost_us
from heterolith.sw.network import Array

# Rows of patches start this many elements after a multiple of 16, so that they do not all meet in
# the same sets of a cache.
_GAP = 16
_LEAST_PIXELS = 192
_RUN = 2048  # elements that sums over taps treat as one
_ALL = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv:
    """One convolution to be prepared.

    Attributes
    ----------
    w, b
        Kernels (M, C / group, rows, columns) and bias (M,), or ``None`` for no bias.
    source
        Where the input lies, with the frame that the path needs.
    block_bytes
        What one block should fill of the cache.
    small
        Cut matrix products into small ones.
    by_kernels
        Cut for workers by kernels instead of rows.
    made
        Factors by kernels and group: workers share them.
    shelf
        Where they lie.
    """

    spec: ConvSpec
    w: Array
    b: Array | None
    source: Spot
    target: Target
    block_bytes: int
    small: bool
    by_kernels: bool = False
    made: dict[object, Factor] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)

    def cuts(self, first: int, last: int, row_bytes: int) -> list[Region]:
        """Return the blocks of a range of units."""
        spec = self.spec
        if self.by_kernels:
            rows = [(image, 0, spec.out[0]) for image in range(spec.n)]
        else:
            rows = images(first, last, spec.out[0])
        channels = self.channels(first, last)
        most = rows_at_once(spec, row_bytes, self.block_bytes)
        return [
            Region(image, slice(*cut), channels)
            for image, low, high in rows
            for cut in chunks(low, high, most)
        ]

    def channels(self, first: int, last: int) -> slice:
        """Return the kernels of a range of units."""
        return (
            slice(first * 16, min(last * 16, self.spec.kernels)) if self.by_kernels else slice(None)
        )

    def factor(
        self, make: Callable[[slice], Array], first: int, last: int, part: int = 0
    ) -> Factor:
        """Prepare the columns of (K, M) that a range of units needs."""
        channels = self.channels(first, last)
        key = (channels.start, channels.stop, part)
        if key not in self.made:
            self.made[key] = factor(make(channels), self.small, self.shelf)
        return self.made[key]

    @property
    def units(self) -> int:
        """Rows of all images, or blocks of 16 kernels."""
        return -(-self.spec.kernels // 16) if self.by_kernels else self.spec.n * self.spec.out[0]


def rows_at_once(spec: ConvSpec, row_bytes: int, block_bytes: int) -> int:
    """Return how many rows of results one block has."""
    # Fewer pixels than this would read the kernels more often than it pays.
    return max(block_bytes // max(1, row_bytes), _LEAST_PIXELS // spec.out[1], 1)


def with_bias(matrix: Array, bias: Array | None, channels: slice = _ALL) -> Array:
    """Append the bias as the last row of (K, M); return the columns of some kernels."""
    matrix, bias = matrix[:, channels], None if bias is None else bias[channels]
    rows = [matrix] if bias is None else [matrix, bias[None]]
    return (
        np.ascontiguousarray(np.concatenate(rows))
        if len(rows) > 1
        else np.ascontiguousarray(matrix)
    )


def windows(conv: Conv, region: Region) -> Array:
    """Return a view (rows, columns, kernel rows, kernel columns, C) of a framed input."""
    spec, outer = conv.spec, conv.source.outer[region.image]
    start = outer[region.rows.start * spec.strides[0] :]
    row, column, channel = outer.strides
    shape = (region.rows.stop - region.rows.start, spec.out[1], *spec.kernel, spec.channels)
    strides = (
        row * spec.strides[0],
        column * spec.strides[1],
        row * spec.dilations[0],
        column * spec.dilations[1],
        channel,
    )
    # The frame was made so that every window lies inside.
    return as_strided(start, shape, strides)


def gather(conv: Conv) -> Work:
    """Copy the patch of every place into a row of a matrix, blockwise, and multiply it."""
    spec, target = conv.spec, conv.target
    each_in, each_out = spec.channels // spec.group, spec.kernels // spec.group
    length = each_in * spec.kernel[0] * spec.kernel[1]
    rows = length + (conv.b is not None)

    def factor_of(group: int, channels: slice) -> Array:
        cut = slice(group * each_out, (group + 1) * each_out)
        matrix = conv.w[cut].transpose(2, 3, 1, 0).reshape(length, each_out)
        return with_bias(matrix, None if conv.b is None else conv.b[cut], channels)

    pitch = -(-(length + 1) // 16) * 16 + _GAP
    row_bytes = spec.out[1] * (pitch + spec.kernels) * 4

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        marked = 0
        kernels = [
            conv.factor(partial(factor_of, group), first, last, group)
            for group in range(spec.group)
        ]
        for region in conv.cuts(first, last, row_bytes):
            scratch.reset()
            patches = windows(conv, region)
            count = patches.shape[0] * patches.shape[1]
            space = scratch.take(count, pitch)
            ones = space[:, length : length + 1]
            # Blocks of one size use the same scratch memory alike; others overwrite the ones.
            if rows > length and count != marked:
                steps.append(partial(ones.fill, 1))
                marked = count
            landing = target.landing(region, scratch)
            shape = (*patches.shape[:4], each_in)
            place = space[:, :length].reshape(shape)
            for group, matrix in enumerate(kernels):
                source = patches[..., group * each_in : (group + 1) * each_in]
                steps.append(partial(np.copyto, place, source))
                cut = slice(group * each_out, (group + 1) * each_out)
                result = landing[:, cut] if spec.group > 1 else landing
                steps += multiply(space[:, :rows], matrix, result, scratch)
            steps += target.finish(landing.reshape(-1, spec.out[1], landing.shape[1]), region)
        return steps

    elements = spec.n * spec.out[0] * spec.out[1] * (length * spec.group + 2 * spec.kernels)
    return Work(units=conv.units, cost_us=cost_us(spec.macs, elements), build=build)


def planar(conv: Conv) -> Work:
    """Convolve a network input of few channels, channels first, as it is given.

    ``source.outer`` has shape (N, C, padded rows, column phases, padded columns / phases): a
    strided row of patches is then one run of memory.
    """
    spec, target = conv.spec, conv.target
    length = spec.channels * spec.kernel[0] * spec.kernel[1]
    weights = with_bias(conv.w.reshape(spec.kernels, length).T, conv.b)
    row_bytes = spec.out[1] * (length + 1 + spec.kernels) * 4
    step = spec.strides[1]

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        kernels = conv.factor(lambda channels: weights[:, channels], first, last)
        for region in conv.cuts(first, last, row_bytes):
            scratch.reset()
            rows = region.rows.stop - region.rows.start
            space = scratch.take(weights.shape[0], rows, spec.out[1])
            outer, begin = conv.source.outer[region.image], region.rows.start * spec.strides[0]
            place = space[:length].reshape(spec.channels, *spec.kernel, rows, spec.out[1])
            for column in range(spec.kernel[1]):
                source = outer[:, begin:, column % step, column // step :]
                plane, line, _ = source.strides
                shape = (spec.channels, spec.kernel[0], rows, spec.out[1])
                strides = (plane, line, line * spec.strides[0], source.strides[2])
                # Windows end inside the padded rows and columns.
                steps.append(
                    partial(np.copyto, place[:, :, column], as_strided(source, shape, strides))
                )
            if weights.shape[0] > length:
                steps.append(partial(space[length].fill, 1))
            landing = target.landing(region, scratch)
            patches = space.reshape(weights.shape[0], -1).T
            steps += multiply(patches, kernels, landing, scratch)
            steps += target.finish(landing.reshape(rows, spec.out[1], -1), region)
        return steps

    elements = spec.n * spec.out[0] * spec.out[1] * (length + 2 * spec.kernels)
    return Work(units=conv.units, cost_us=cost_us(spec.macs, elements), build=build)


def depthwise(conv: Conv) -> Work:
    """Sum shifted inputs times a weight per channel; a kernel of one element is a product."""
    spec, target = conv.spec, conv.target
    weights = np.ascontiguousarray(conv.w[:, 0].transpose(1, 2, 0))
    row_bytes = spec.out[1] * spec.channels * 4 * (spec.strides[0] + 2)
    width = spec.out[1] // -(-spec.out[1] // max(1, _RUN // spec.channels))

    @cache
    def tiled(pixels: int) -> Array:
        return np.tile(weights, (1, 1, pixels))

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        for region in conv.cuts(first, last, row_bytes):
            patches = windows(conv, region)
            home = target.spots[0].at(region)
            if target.shuffle > 1:
                home = scratch.take(*home.shape)
            if spec.kernel == (1, 1):
                steps.append(partial(np.multiply, patches[:, :, 0, 0], weights[0, 0], home))
            else:
                pitches = {view.strides[1] for view in (patches, home)}
                dense = spec.strides[1] == 1 and pitches == {4 * spec.channels}
                steps += _tap_sums(patches, tiled, home, width if dense else 1)
            if conv.b is not None:
                steps += swept(np.add, home, conv.b)
            steps += target.finish(home, region)
        return steps

    taps = spec.kernel[0] * spec.kernel[1]
    elements = spec.n * spec.out[0] * spec.out[1] * spec.channels * (taps + 2)
    return Work(units=conv.units, cost_us=cost_us(0, elements), build=build)


def _tap_sums(patches: Array, tiled: Callable[[int], Array], home: Array, width: int) -> list[Step]:
    """Sum (rows, columns, kernel rows, kernel columns, C) times weights over the kernel.

    ``width`` pixels, which lie without gaps, are one run of memory: the longer runs are, the fewer
    there are to begin.
    """
    columns, channels = home.shape[1:]
    count, rest = divmod(columns, width)
    steps: list[Step] = []
    for low, number, each in ((0, count, width), (count * width, 1, rest)):
        if not each:
            continue
        a, c, run = patches[:, low:], home[:, low:], each * channels
        shape, strides = (a.shape[0], number, *a.shape[2:4], run), list(a.strides)
        strides[1] *= each
        runs = as_strided(a, shape, strides)
        place = as_strided(c, (len(c), number, run), (c.strides[0], c.strides[1] * each, 4))
        steps.append(partial(np.einsum, "ywabk,abk->ywk", runs, tiled(each), out=place))
    return steps
