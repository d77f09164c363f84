"""Cuts and schedules: everything covered once, nothing beyond the buffers, nothing refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw.compiler.mapping import convolution, image_layout_fits, pooling
from heterolith.hw.compiler.schedule import choose, fits, modelled_cycles
from heterolith.hw.compiler.tiling import chunks, cut, slices, target_blocks, walk
from heterolith.hw.config import CONFIGS
from heterolith.hw.fixed import Output, Scaling
from heterolith.hw.geometry import geometry
from heterolith.hw.golden import LinearParameters, average_parameters
from heterolith.hw.shapes import ConvShape, PoolShape, limit_reason
from heterolith.hw.timing.timeline import Dram

from .accel_cases import TESTED, case, layers

DRAM = Dram(bytes_per_cycle=14.2)


@given(st.integers(0, 50), st.integers(1, 200), st.integers(1, 70))
def test_cut_covers_a_range_evenly(begin, length, most):
    """Parts touch, none is longer than asked, sizes differ by at most one."""
    parts = cut((begin, begin + length), most)
    assert parts[0][0] == begin
    assert parts[-1][1] == begin + length
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    sizes = [high - low for low, high in parts]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def mapped(shape, g, parameters=None):
    """Return the mapping of a shape, with zero weights where no parameters are given."""
    if isinstance(shape, PoolShape):
        average = None
        if shape.kind == "average":
            average = average_parameters(shape, 1.0, 0, Output())
        return pooling(shape, g, average)
    p = parameters or LinearParameters(
        weights=np.broadcast_to(np.int8(0), shape.weight_shape),
        bias=np.zeros(shape.out_channels, np.int32),
        scaling=Scaling.of(np.full(shape.out_channels, 0.01)),
        output=Output(),
    )
    return convolution(shape, p, g, image_layout_fits(shape))


@settings(deadline=None, max_examples=100)
@given(layers(), st.sampled_from(sorted(TESTED)))
def test_a_schedule_covers_every_output_and_product_once(layer, name):
    """Tiles of all bands and slices cover each output block once, chunks each step once."""
    shape, parameters, _, _ = case(layer)
    if not isinstance(shape, ConvShape | PoolShape):
        return
    g = geometry(TESTED[name])
    m = mapped(shape, g, parameters if isinstance(shape, ConvShape) else None)
    s, cycles = choose(m, g, DRAM)
    assert fits(m, s, g)
    assert cycles == modelled_cycles(m, s, g, DRAM)
    seen = np.zeros((m.out_blocks, *m.output_size), dtype=int)
    for band, tile, part in walk(m, s):
        blocks = target_blocks(m, part, g)
        seen[slice(*blocks), slice(*tile), slice(*band.cols)] += 1
    assert (seen == 1).all()
    for part in slices(m, s.slice_groups):
        blocks = part.span[1]
        steps = np.zeros((blocks, m.kernel_steps[0]), dtype=int)
        for chunk in chunks(m, part, s):
            steps[slice(*chunk.blocks), slice(*chunk.rows)] += 1
        assert (steps == 1).all()


def limits():
    """Return layers at the limits of what the accelerator takes."""
    wide = {"in_channels": 4096, "out_channels": 4096, "height": 1024, "width": 1024}
    side = {"height": 1024, "width": 1024}
    return (
        ConvShape(**wide, kernel=(1, 1)),
        ConvShape(**wide, kernel=(4, 4), pads=(2, 2, 1, 1)),
        ConvShape(**wide, kernel=(11, 11), pads=(80,) * 4, dilation=(16, 16), groups=4096),
        ConvShape(**wide, kernel=(11, 5), stride=(16, 16), dilation=(16, 1), groups=4096),
        ConvShape(in_channels=541, out_channels=64, **side, kernel=(11, 11), dilation=(16, 16)),
        ConvShape(in_channels=3, out_channels=64, **side, kernel=(11, 11), stride=(16, 16)),
        ConvShape(in_channels=3, out_channels=9, **side, kernel=(11, 11), pads=(176,) * 4),
        ConvShape(in_channels=3, out_channels=9, **side, kernel=(11, 11), dilation=(16, 1)),
        PoolShape(kind="max", channels=4096, **side, kernel=(11, 11), stride=(16, 16)),
        PoolShape(kind="average", channels=64, **side, kernel=(11, 11), pads=(5,) * 4),
        PoolShape(kind="average", channels=4096, **side, kernel=(1024, 1024)),
        PoolShape(kind="max", channels=8, height=1021, width=1019, kernel=(1021, 1019)),
    )


@pytest.mark.parametrize("name", ["arty-a7-35t", "ultra96", "zcu104"])
@pytest.mark.parametrize("index", range(len(limits())))
def test_nothing_within_the_limits_is_refused(name, index):
    """4096 channels and 1024 x 1024 pixels of any kernel find a schedule that fits."""
    shape, g = limits()[index], geometry(CONFIGS[name])
    assert limit_reason(shape) == ""
    m = mapped(shape, g)
    schedule, _ = choose(m, g, DRAM)
    assert fits(m, schedule, g)


def test_what_cannot_fit_is_named():
    """A window of 161 rows in 512 words: the message states both."""
    shape = limits()[3]
    with pytest.raises(InputError, match="reach \\(161, 5\\) fits 512 activation words"):
        choose(mapped(shape, geometry(TESTED["small"])), geometry(TESTED["small"]), DRAM)
