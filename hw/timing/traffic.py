"""Bytes a convolution loads from DRAM when its operands are tiled into the on-chip buffers.

Half of each buffer holds the tile that computes while the other half fills. An input map that fits
its half is loaded once. Otherwise two loop orders are compared and the cheaper one is taken:

* weights outside: a slice of output channels stays, the input passes once per slice;
* pixels outside: a band of output rows stays, the weights pass once per band.

Bands overlap by the rows that a window reaches over. A reduction too long for a buffer is cut along
the input channels; its partial sums stay in the accumulator buffer and cost no traffic. Results are
written once.
"""

from __future__ import annotations

from heterolith.hw.config import ArrayConfig
from heterolith.hw.shapes import ConvShape

CHANNEL_BYTES = 8
"""Per output channel: bias 4, multiplier 2, shift 1, one unused."""


def _ceil(value: int, step: int) -> int:
    return -(-value // step)


def _reach(shape: ConvShape) -> int:
    return (shape.kernel[0] - 1) * shape.dilation[0] + 1


def band_rows(shape: ConvShape, config: ArrayConfig) -> int:
    """Return the most output rows whose input fits half the buffer; 0 if not even one does."""
    input_rows = config.activation_buffer_bytes // 2 // (shape.in_channels * shape.width)
    if input_rows >= shape.height:
        return shape.output_size[0]
    rows = (input_rows - _reach(shape)) // shape.stride[0] + 1
    return max(0, min(rows, shape.output_size[0]))


def input_bytes(shape: ConvShape, rows: int) -> int:
    """Return bytes of passing the input once in bands of ``rows`` output rows, overlap included."""
    bands = _ceil(shape.output_size[0], max(rows, 1))
    overlap = min(max(0, _reach(shape) - shape.stride[0]), shape.height)
    height = shape.height + (bands - 1) * overlap
    return shape.batch * shape.in_channels * height * shape.width


def conv_bytes(shape: ConvShape, config: ArrayConfig) -> int:
    """Return the bytes that a convolution loads: weights, biases and scalings, input."""
    rows = band_rows(shape, config)
    bands = shape.batch * _ceil(shape.output_size[0], max(rows, 1))
    passed = input_bytes(shape, rows)
    held = config.weight_buffer_bytes // 2 // (shape.reduction * config.n_pe)
    slices = _ceil(shape.out_channels // shape.groups, max(held, 1) * config.n_pe)
    loads = [shape.weight_bytes + slices * passed]
    if rows:
        loads.append(passed + bands * shape.weight_bytes)
    return min(loads) + CHANNEL_BYTES * shape.out_channels
