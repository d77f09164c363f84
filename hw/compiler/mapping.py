"""From a layer to the array: which lane and element computes what, before any tiling.

A `Mapping` states one layer in the terms of COMPUTE (``hw/doc/accelerator.md``, section 5): the
mode, the kernel in steps, for each output group the input blocks it reads, and the weight and
parameter words in the order of use. Invariant: the words of group g start at ``g * steps`` times
its span; tiling changes the order of commands, never these.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from heterolith.hw.compiler.layout import (
    ceil_div,
    ones_word,
    pack_dense,
    pack_depthwise,
    pack_image_weights,
    pack_parameters,
)
from heterolith.hw.fixed import CODE_LOW, Array, Output, Residual
from heterolith.hw.geometry import IMAGE_CHANNELS, PARAMETER_BYTES, WINDOW_TAPS, Geometry
from heterolith.hw.golden import AverageParameters, LinearParameters, window_counts
from heterolith.hw.shapes import ConvShape, Pads, Pair, PoolShape

STEP_COLS = 255
"""Most steps along a kernel row and most kernel rows of one COMPUTE."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of the output, rows and columns half open, with its own parameter words."""

    rows: Pair
    cols: Pair
    first_parameter: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One layer on the array.

    Attributes
    ----------
    size, output_size
        Rows and columns of input and output.
    in_blocks, out_blocks
        Channel blocks of input and output; an image counts as one block.
    spans
        Per output group (first input block, input blocks).
    kernel_steps
        (rows, steps per row) of the kernel; a step takes `window` or an image word of columns.
    col_step, row_step
        Words and rows between steps.
    reach
        Rows and words of input that one output pixel touches.
    weights
        int8 array of shape (words, n_pe, lanes).
    parameters
        uint8 array of shape (words, lanes * 8).
    regions
        Rectangles that tile the output.
    """

    size: Pair
    output_size: Pair
    in_blocks: int
    out_blocks: int
    spans: tuple[Pair, ...]
    kernel_steps: Pair
    reach: Pair
    weights: Array
    parameters: Array
    regions: tuple[Region, ...]
    output: Output
    stride: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    pad_value: int = 0
    col_step: int = 1
    row_step: int = 1
    image: bool = False
    per_channel: bool = False
    maximum: bool = False
    hold_weight: bool = False
    window: int = 1
    residual: Residual | None = None
    macs: int = 0

    @property
    def groups(self) -> int:
        """Output groups: passes of the array over the pixels."""
        return len(self.spans)

    def group_words(self, group: int) -> int:
        """Return the weight words, and steps per pixel, of an output group."""
        return self.spans[group][1] * self.kernel_steps[0] * self.kernel_steps[1]

    def first_word(self, group: int) -> int:
        """Return the weight word at which an output group starts."""
        if self.uniform:
            return group * self.group_words(0)
        blocks = sum(span[1] for span in self.spans[:group])
        return blocks * self.kernel_steps[0] * self.kernel_steps[1]

    @property
    def uniform(self) -> bool:
        """Whether all groups read the same number of input blocks."""
        return self.per_channel or len(set(self.spans)) == 1


def _whole(size: Pair) -> tuple[Region, ...]:
    return (Region((0, size[0]), (0, size[1]), 0),)


def _spans(shape: ConvShape, geometry: Geometry) -> tuple[Pair, ...]:
    """Return the input blocks that each group of n_pe output channels touches."""
    size_in, size_out = (n // shape.groups for n in (shape.in_channels, shape.out_channels))
    spans = []
    for begin in range(0, shape.out_channels, geometry.n_pe):
        last = min(begin + geometry.n_pe, shape.out_channels) - 1
        low = begin // size_out * size_in // geometry.lanes
        high = ceil_div((last // size_out + 1) * size_in, geometry.lanes)
        spans.append((low, high - low))
    return tuple(spans)


def _grouped_words(weights: Array, shape: ConvShape, geometry: Geometry) -> Array:
    """Return weight words of a grouped convolution, zeros where groups do not meet."""
    size_in, size_out = (n // shape.groups for n in (shape.in_channels, shape.out_channels))
    words = []
    for index, (first, blocks) in enumerate(_spans(shape, geometry)):
        begin = index * geometry.n_pe
        end = min(begin + geometry.n_pe, shape.out_channels)
        full = np.zeros((end - begin, blocks * geometry.lanes, *shape.kernel), dtype=np.int8)
        for channel in range(begin, end):
            at = channel // size_out * size_in - first * geometry.lanes
            full[channel - begin, at : at + size_in] = weights[channel]
        packed = pack_dense(full, geometry.n_pe, geometry.lanes)
        words.append(packed.reshape(-1, geometry.n_pe, geometry.lanes))
    return np.concatenate(words)


def _packed_weights(m: Mapping, shape: ConvShape, weights: Array, geometry: Geometry) -> Array:
    """Return the weight words (words, n_pe, lanes) that a mapping calls for."""
    lanes, n_pe = geometry.lanes, geometry.n_pe
    if m.image:
        words = pack_image_weights(weights, n_pe, lanes)
    elif m.per_channel:
        words = pack_depthwise(weights[:, 0], m.window, n_pe, lanes)
    elif shape.groups == 1:
        words = pack_dense(weights, n_pe, lanes)
    else:
        words = _grouped_words(weights, shape, geometry)
    return words.reshape(-1, n_pe, lanes)


def outline(
    shape: ConvShape, geometry: Geometry, image: bool = False, residual: Residual | None = None
) -> Mapping:
    """Map a convolution without data: zeros that take no memory stand for its constants.

    What the mapping costs in commands, bytes and cycles is that of any data.
    """
    lanes, n_pe = geometry.lanes, geometry.n_pe
    (rows, cols), dilation = shape.kernel, shape.dilation
    fields: dict[str, object] = {}
    reach_cols, col_step = (cols - 1) * dilation[1] + 1, dilation[1]
    if image:
        pixels = geometry.image_pixels
        steps = (rows, ceil_div(cols, pixels))
        spans: tuple[Pair, ...] = ((0, 1),) * ceil_div(shape.out_channels, n_pe)
        reach_cols, col_step = steps[1] * pixels, pixels
        fields["image"] = True
    elif 1 < shape.groups == shape.in_channels == shape.out_channels:
        window = cols if cols <= WINDOW_TAPS and dilation[1] == 1 else 1
        steps = (rows, cols // window)
        spans = tuple((block, 1) for block in range(ceil_div(shape.out_channels, lanes)))
        fields |= {"per_channel": True, "window": window}
    else:
        steps, spans = (rows, cols), _spans(shape, geometry)
    words = sum(blocks for _, blocks in spans) * steps[0] * steps[1]
    blocks = ceil_div(shape.out_channels, lanes)
    return Mapping(
        size=(shape.height, shape.width),
        output_size=shape.output_size,
        in_blocks=1 if image else ceil_div(shape.in_channels, lanes),
        out_blocks=blocks,
        spans=spans,
        kernel_steps=steps,
        reach=((rows - 1) * dilation[0] + 1, reach_cols),
        weights=np.broadcast_to(np.int8(0), (words, n_pe, lanes)),
        parameters=np.broadcast_to(np.uint8(0), (blocks, lanes * PARAMETER_BYTES)),
        regions=_whole(shape.output_size),
        output=Output(),
        stride=shape.stride,
        pads=shape.pads,
        col_step=col_step,
        row_step=dilation[0],
        residual=residual,
        macs=shape.macs,
        **fields,  # type: ignore[arg-type]
    )


def convolution(
    shape: ConvShape, parameters: LinearParameters, geometry: Geometry, image: bool = False
) -> Mapping:
    """Map a convolution; ``image`` says that its input is in the image layout."""
    p, m = parameters, outline(shape, geometry, image, parameters.residual)
    weights = _packed_weights(m, shape, p.weights.reshape(shape.weight_shape), geometry)
    scaling = (p.scaling.multiplier, p.scaling.shift)
    return replace(
        m,
        weights=weights,
        parameters=pack_parameters(p.bias, *scaling, geometry.lanes),
        output=p.output,
        pad_value=p.pad_value,
    )


def fully_connected(rows: int, parameters: LinearParameters, geometry: Geometry) -> Mapping:
    """Map rows (M, K) times weights (Co, K): a 1 x 1 convolution over a map of 1 x M."""
    outputs, features = parameters.weights.shape
    shape = ConvShape(
        in_channels=features, out_channels=outputs, height=1, width=rows, kernel=(1, 1)
    )
    return convolution(shape, parameters, geometry)


def _intervals(values: Array) -> list[Pair]:
    """Return the half-open runs of equal values."""
    cuts = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return list(pairwise(cuts))


def _pool_regions(shape: PoolShape, counts: Array, blocks: int) -> tuple[Region, ...]:
    """Return rectangles of equal window size; parameter words stand in order of that size."""
    sizes = np.unique(counts)
    regions = []
    for rows in _intervals(counts.max(axis=1)):
        for cols in _intervals(counts.max(axis=0)):
            index = int(np.searchsorted(sizes, counts[rows[0], cols[0]]))
            regions.append(Region(rows, cols, index * blocks))
    return tuple(regions)


def _global_view(shape: PoolShape) -> Pair:
    """Return the input of a global pooling as (rows, columns) with at most 255 columns."""
    elements = shape.height * shape.width
    cols = next(c for c in range(min(STEP_COLS, elements), 0, -1) if elements % c == 0)
    return elements // cols, cols


def pooling(
    shape: PoolShape, geometry: Geometry, average: AverageParameters | None = None
) -> Mapping:
    """Map a pooling; ``average`` is given for averages and absent for maxima."""
    size, kernel = (shape.height, shape.width), shape.kernel
    whole = shape.is_global and not any(shape.pads)
    if whole:
        size = kernel = _global_view(shape)
    blocks, lanes = ceil_div(shape.channels, geometry.lanes), geometry.lanes
    slides = average is not None and not whole and kernel[1] <= WINDOW_TAPS
    window = kernel[1] if slides else 1
    if average is None:
        one = np.ones(blocks * lanes, dtype=np.int64)
        words = pack_parameters(0 * one, 32768 * one, 15 * one, lanes)
        regions, output, pad_value = _whole(shape.output_size), Output(), CODE_LOW
    else:
        bias = -average.zero_point * kernel[0] * kernel[1]
        one = np.ones(blocks * lanes, dtype=np.int64)
        counts = window_counts(shape)
        used = np.searchsorted(np.array(average.counts), np.unique(counts))
        factors = [(average.scaling.multiplier[i], average.scaling.shift[i]) for i in used]
        words = np.concatenate(
            [pack_parameters(bias * one, int(m) * one, int(s) * one, lanes) for m, s in factors]
        )
        regions = _pool_regions(shape, counts, blocks)
        output, pad_value = average.output, average.zero_point
    return Mapping(
        size=size,
        output_size=shape.output_size,
        in_blocks=blocks,
        out_blocks=blocks,
        spans=tuple((block, 1) for block in range(blocks)),
        kernel_steps=(kernel[0], kernel[1] // window),
        reach=kernel,
        weights=ones_word(window, geometry.n_pe, lanes),
        parameters=words,
        regions=regions,
        output=output,
        stride=shape.stride,
        pads=shape.pads,
        pad_value=pad_value,
        per_channel=True,
        maximum=average is None,
        hold_weight=True,
        window=window,
    )


def elementwise(
    size: Pair, first: Residual, second: Residual | None, output: Output, geometry: Geometry
) -> Mapping:
    """Map an addition, or with ``second`` absent a rescaling, of (rows, columns) words."""
    one = np.ones(geometry.lanes, dtype=np.int64)
    multiplier, shift = int(first.scaling.multiplier), int(first.scaling.shift)
    return Mapping(
        size=size,
        output_size=size,
        in_blocks=1,
        out_blocks=1,
        spans=((0, 1),),
        kernel_steps=(1, 1),
        reach=(1, 1),
        weights=ones_word(1, geometry.n_pe, geometry.lanes),
        parameters=pack_parameters(
            -first.zero_point * one, multiplier * one, shift * one, geometry.lanes
        ),
        regions=_whole(size),
        output=output,
        per_channel=True,
        hold_weight=True,
        residual=second,
    )


def image_layout_fits(shape: ConvShape) -> bool:
    """Return whether a convolution may read the image layout."""
    return shape.in_channels <= IMAGE_CHANNELS and shape.groups == 1 and shape.dilation[1] == 1
