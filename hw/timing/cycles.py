"""Closed-form cycles of one layer on an `ArrayConfig`: a model, not yet checked against the RTL.

Load, compute and store run decoupled, so a layer takes the longest of the three, plus its set-up
(the roofline form of a reconstruction of SCALENet; Shea, Page, Mohsenin, GLSVLSI 2018,
10.1145/3194554.3194601, does not print one)::

    compute = ceil(Co / n_pe) * ceil(Ho * Wo / pixels) * ceil(Ci * Kh * Kw / lanes) + fill
    memory  = bytes moved / bytes per cycle
    total   = max(compute, memory) + set-up

Mapping. Output channels spread over processing elements, output pixels over their pixel slots,
and the whole reduction axis (input channel x tap, flattened) over lanes, so that a first layer of
three channels keeps the lanes busy. Grouped and depthwise convolutions pack as many groups as fit
into one block of ``n_pe`` channels x ``lanes`` inputs, block-diagonal, one tap per cycle: a
processing element then uses the lanes of its own group alone (`utilization` tells how few that is
for depthwise). Pooling reads ``lanes`` channels of ``pixels`` positions per cycle. Fully connected
layers are 1 x 1 convolutions of a map of 1 x rows: weights stream and memory bounds them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from heterolith.errors import InputError
from heterolith.hw.config import ArrayConfig
from heterolith.hw.shapes import ConvShape, ElementwiseShape, FullyConnectedShape, PoolShape, Shape
from heterolith.hw.timing.traffic import conv_bytes

PIPELINE_CYCLES = 12
"""Stages from an operand's read to its result's write besides the adder tree's log2(lanes)."""

SETUP_CYCLES = 256
"""Per layer: fetch and decode of its commands, and one DRAM round trip for the first tile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycles:
    """Cycles of one layer; ``load`` and ``store`` are what their bytes need at the AXI port.

    ``total`` is the longest of compute, load, store and the DRAM time of both, plus set-up.
    """

    compute: int
    load: int
    store: int
    total: int
    load_bytes: int = 0
    store_bytes: int = 0


def _ceil(value: int, step: int) -> int:
    return -(-value // step)


def _memory(load: int, store: int, config: ArrayConfig, dram_gbs: float) -> tuple[int, int, int]:
    """Return cycles of loading, of storing, and of both together at the DRAM."""
    if not dram_gbs > 0:
        raise InputError(f"DRAM bandwidth is {dram_gbs} GB/s; it must be above 0")
    dram = dram_gbs * 1e3 / config.clock_mhz
    port = min(config.axi_data_bits / 8, dram)
    return math.ceil(load / port), math.ceil(store / port), math.ceil((load + store) / dram)


def _total(compute: int, moved: tuple[int, int], config: ArrayConfig, dram_gbs: float) -> Cycles:
    load, store, both = _memory(*moved, config, dram_gbs)
    return Cycles(
        compute=compute,
        load=load,
        store=store,
        total=max(compute, load, store, both) + SETUP_CYCLES,
        load_bytes=moved[0],
        store_bytes=moved[1],
    )


def packed_groups(shape: ConvShape, config: ArrayConfig) -> int:
    """Return how many groups of a convolution share one block of the array."""
    if shape.groups == 1:
        return 1
    inputs, outputs = shape.in_channels // shape.groups, shape.out_channels // shape.groups
    return max(1, min(shape.groups, config.lanes // inputs, config.n_pe // outputs))


def reduction_cycles(shape: ConvShape, config: ArrayConfig) -> int:
    """Return the cycles that one block of channels and pixels reduces in."""
    packed = packed_groups(shape, config)
    if packed == 1:
        return _ceil(shape.reduction, config.lanes)
    return shape.kernel[0] * shape.kernel[1]


def conv_compute(shape: ConvShape, config: ArrayConfig) -> int:
    """Return the cycles that the array needs, pipeline fill included.

    Where a block reduces in fewer cycles than its results take to rescale, the requantizers bound.
    """
    packed = packed_groups(shape, config)
    outputs = shape.out_channels // shape.groups * packed
    rows, columns = shape.output_size
    per_block = max(
        reduction_cycles(shape, config),
        _ceil(min(outputs, config.n_pe) * config.pixels, config.requantizers),
    )
    blocks = _ceil(shape.groups, packed) * _ceil(outputs, config.n_pe)
    steps = blocks * shape.batch * _ceil(rows * columns, config.pixels)
    return steps * per_block + PIPELINE_CYCLES + config.lanes.bit_length() - 1


def conv_cycles(
    shape: ConvShape, config: ArrayConfig, dram_gbs: float, residual: bool = False
) -> Cycles:
    """Return the cycles of a convolution.

    Parameters
    ----------
    dram_gbs
        DRAM bandwidth the accelerator gets, 1e9 bytes per second.
    residual
        Whether a second operand of the output's size is read and added.
    """
    load = conv_bytes(shape, config) + (shape.output_bytes if residual else 0)
    moved = (load, shape.output_bytes)
    return _total(conv_compute(shape, config), moved, config, dram_gbs)


def fully_connected_cycles(
    shape: FullyConnectedShape, config: ArrayConfig, dram_gbs: float, residual: bool = False
) -> Cycles:
    """Return the cycles of a fully connected layer: a convolution over a map of 1 x rows."""
    as_conv = ConvShape(
        in_channels=shape.in_features,
        out_channels=shape.out_features,
        height=1,
        width=shape.rows,
        kernel=(1, 1),
    )
    return conv_cycles(as_conv, config, dram_gbs, residual)


def pool_cycles(shape: PoolShape, config: ArrayConfig, dram_gbs: float) -> Cycles:
    """Return the cycles of a pooling; averages also pass the requantizers."""
    rows, columns = shape.output_size
    taps = shape.kernel[0] * shape.kernel[1]
    steps = shape.batch * _ceil(shape.channels, config.lanes) * _ceil(rows * columns, config.pixels)
    compute = steps * taps
    if shape.kind == "average":
        compute = max(compute, _ceil(shape.output_bytes, config.requantizers))
    moved = (shape.input_bytes, shape.output_bytes)
    return _total(compute + PIPELINE_CYCLES, moved, config, dram_gbs)


def elementwise_cycles(shape: ElementwiseShape, config: ArrayConfig, dram_gbs: float) -> Cycles:
    """Return the cycles of an addition, a rescaling or a copy (concat) of int8 codes."""
    compute = 0
    if shape.kind != "copy":
        compute = _ceil(shape.elements, config.requantizers) + PIPELINE_CYCLES
    return _total(compute, (shape.input_bytes, shape.output_bytes), config, dram_gbs)


def shape_cycles(
    shape: Shape, config: ArrayConfig, dram_gbs: float, residual: bool = False
) -> Cycles:
    """Return the cycles of any shape; ``residual`` is about convolution and fully connected."""
    if isinstance(shape, ConvShape):
        return conv_cycles(shape, config, dram_gbs, residual)
    if isinstance(shape, FullyConnectedShape):
        return fully_connected_cycles(shape, config, dram_gbs, residual)
    if isinstance(shape, PoolShape):
        return pool_cycles(shape, config, dram_gbs)
    return elementwise_cycles(shape, config, dram_gbs)


def utilization(shape: ConvShape, config: ArrayConfig) -> float:
    """Return the share of the array's multipliers that do a convolution's MACs, in (0, 1]."""
    return shape.macs / (conv_compute(shape, config) * config.macs_per_cycle)
