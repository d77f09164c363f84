"""The cycle model: bounds it may never pass, and what it must grow with."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from heterolith.errors import InputError
from heterolith.hw import CONFIGS, config, shape_cycles
from heterolith.hw.shapes import ConvShape, ElementwiseShape, FullyConnectedShape, PoolShape
from heterolith.hw.timing.cycles import (
    SETUP_CYCLES,
    conv_compute,
    conv_cycles,
    fully_connected_cycles,
    packed_groups,
    utilization,
)

from .cases import conv_shapes

ULTRA96 = replace(CONFIGS["ultra96"], requantizers=8)
CONV = ConvShape(
    in_channels=64, out_channels=64, height=56, width=56, kernel=(3, 3), pads=(1, 1, 1, 1)
)
DENSE = FullyConnectedShape(in_features=4096, out_features=1000)
POOL = PoolShape(kind="average", channels=64, height=56, width=56, kernel=(3, 3), stride=(2, 2))
SHAPES = [CONV, DENSE, POOL, ElementwiseShape(kind="add", elements=200704)]


@settings(deadline=None, max_examples=100)
@given(conv_shapes())
def test_never_below_the_peak_rate(shape):
    """No configuration is modelled above its MACs per cycle or its port's bytes per cycle."""
    for entry in CONFIGS.values():
        cycles = conv_cycles(shape, entry, 4.0)
        assert cycles.total > shape.macs / entry.macs_per_cycle
        assert cycles.total > shape.input_bytes / (entry.axi_data_bits / 8)
        assert cycles.total >= max(cycles.compute, cycles.load, cycles.store)
        assert 0 < utilization(shape, entry) <= 1


def test_dense_layer_is_the_printed_formula():
    """A 3x3 layer whose sizes divide takes ceil products only, and keeps the array busy."""
    steps = (64 // 16) * (56 * 56 // 2) * (64 * 9 // 16)
    assert steps <= conv_compute(CONV, ULTRA96) < steps + 32
    assert utilization(CONV, ULTRA96) > 0.99


def test_first_layer_flattens_its_reduction():
    """Three channels times 49 taps fill the lanes: 147 products take 10 cycles of 16, not 49."""
    first = ConvShape(
        in_channels=3, out_channels=64, height=224, width=224, kernel=(7, 7), stride=(2, 2)
    )
    rows, columns = first.output_size
    steps = 4 * -(-rows * columns // 2) * 10
    assert steps <= conv_compute(first, ULTRA96) < steps + 32


def test_depthwise_packs_groups_block_diagonally():
    """Sixteen channels share a block, one tap per cycle: one lane in sixteen works."""
    depthwise = replace(CONV, groups=64)
    assert packed_groups(depthwise, ULTRA96) == 16
    assert utilization(depthwise, ULTRA96) == pytest.approx(1 / 16, rel=0.01)
    grouped = replace(CONV, in_channels=256, out_channels=256, groups=4)
    assert packed_groups(grouped, ULTRA96) == 1
    assert utilization(grouped, ULTRA96) > 0.99


def test_requantizers_bound_short_reductions():
    """A 1x1 layer of 16 channels reduces in one cycle but rescales 32 results in four."""
    short = replace(CONV, in_channels=16, kernel=(1, 1), pads=(0, 0, 0, 0))
    steps = 4 * (56 * 56 // 2) * 4
    assert steps <= conv_compute(short, ULTRA96) < steps + 32


def test_fully_connected_is_bound_by_its_weights():
    """A fully connected layer takes as long as its weights stream at the port."""
    cycles = fully_connected_cycles(DENSE, ULTRA96, 4.267)
    assert cycles.load == pytest.approx(4096 * 1000 / 16, rel=0.01)
    assert cycles.total == cycles.load + SETUP_CYCLES
    assert cycles.compute < cycles.load


def test_slow_memory_bounds_and_shares():
    """DRAM below the port's rate carries loads and stores one after the other."""
    add = ElementwiseShape(kind="add", elements=2**20)
    cycles = shape_cycles(add, ULTRA96, 0.4)
    assert cycles.total == pytest.approx(3 * 2**20 / 2, rel=0.001)
    assert (cycles.load_bytes, cycles.store_bytes) == (2**21, 2**20)


@pytest.mark.parametrize("shape", SHAPES)
def test_more_bandwidth_never_costs(shape):
    """Cycles fall, or stay, with DRAM bandwidth and end at the compute bound or the port."""
    totals = [shape_cycles(shape, ULTRA96, gbs).total for gbs in (0.1, 0.5, 2.0, 8.0, 64.0)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > totals[-1]


@settings(deadline=None, max_examples=60)
@given(conv_shapes())
def test_more_work_never_saves(shape):
    """Cycles grow, or stay, with batch, channels and map size."""
    base = conv_cycles(shape, ULTRA96, 2.0).total
    bigger = {"batch": shape.batch + 1, "height": shape.height + 2, "width": shape.width + 2}
    for field, value in bigger.items():
        assert conv_cycles(replace(shape, **{field: value}), ULTRA96, 2.0).total >= base
    assert conv_cycles(shape, ULTRA96, 2.0, residual=True).total >= base
    for field in ("in_channels", "out_channels") if shape.groups == 1 else ():
        more = replace(shape, **{field: getattr(shape, field) + 3})
        assert conv_cycles(more, ULTRA96, 2.0).total >= base


@pytest.mark.parametrize(("small", "large"), [("arty-a7-35t", "pynq-z2"), ("ultra96", "zcu104")])
@pytest.mark.parametrize("shape", SHAPES)
def test_larger_array_never_needs_more_cycles(small, large, shape):
    """On the same bandwidth per cycle a larger array is at least as good."""
    slow, quick = config(small), replace(config(large), clock_mhz=config(small).clock_mhz)
    assert shape_cycles(shape, quick, 2.0).total <= shape_cycles(shape, slow, 2.0).total


@pytest.mark.parametrize(
    ("shape", "compute"),
    [
        (POOL, 4 * -(-27 * 27 // 2) * 9),
        (replace(POOL, kind="max", kernel=(1, 1), stride=(1, 1)), 4 * 56 * 56 // 2),
        (ElementwiseShape(kind="add", elements=8000), 1000),
        (ElementwiseShape(kind="requantize", elements=8000), 1000),
    ],
)
def test_pool_and_elementwise_rates(shape, compute):
    """Pooling takes a tap of 16 channels x 2 positions per cycle, elementwise 8 results."""
    assert compute <= shape_cycles(shape, ULTRA96, 4.0).compute <= compute + 16


def test_copy_is_memory_alone():
    """A copy has nothing to compute."""
    cycles = shape_cycles(ElementwiseShape(kind="copy", elements=16000), ULTRA96, 64.0)
    assert cycles.compute == 0
    assert cycles.total == 1000 + SETUP_CYCLES


@pytest.mark.parametrize("gbs", [0.0, -1.0, float("nan")])
def test_bandwidth_must_be_positive(gbs):
    """A DRAM without bandwidth is refused."""
    with pytest.raises(InputError, match="bandwidth"):
        shape_cycles(CONV, ULTRA96, gbs)
