"""Shapes: sizes against numpy, validity, limits with reasons."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from heterolith.errors import InputError
from heterolith.hw.golden import conv2d_reference, max_pool
from heterolith.hw.shapes import (
    MAX_REDUCTION,
    ConvShape,
    ElementwiseShape,
    FullyConnectedShape,
    PoolShape,
    limit_reason,
)

from .cases import codes, conv_shapes, parameters, pool_shapes

CONV = ConvShape(in_channels=64, out_channels=32, height=56, width=28, kernel=(3, 3))
POOL = PoolShape(kind="max", channels=8, height=9, width=9, kernel=(3, 3))


@settings(deadline=None, max_examples=40)
@given(conv_shapes())
def test_conv_sizes_are_those_of_the_arrays(shape):
    """Shapes, bytes and MACs of a convolution are those of the arrays it computes with."""
    rng = np.random.default_rng(0)
    p, x = parameters(rng, shape), codes(rng, shape.input_shape)
    out = conv2d_reference(x, p, shape)
    assert out.shape == shape.output_shape
    sizes = (shape.input_bytes, shape.weight_bytes, shape.output_bytes)
    assert sizes == (x.nbytes, p.weights.nbytes, out.nbytes)
    assert shape.macs == out.size * p.weights[0].size


@settings(deadline=None, max_examples=40)
@given(pool_shapes("max"))
def test_pool_sizes_are_those_of_the_arrays(shape):
    """Shapes and bytes of a pooling are those of the arrays it computes with."""
    x = np.zeros(shape.input_shape, np.int8)
    out = max_pool(x, shape)
    assert (shape.input_bytes, shape.output_bytes) == (x.nbytes, out.nbytes)


def test_fully_connected_and_elementwise_sizes():
    """A fully connected layer moves its matrix; an addition reads two operands."""
    dense = FullyConnectedShape(rows=2, in_features=10, out_features=3)
    assert (dense.macs, dense.input_bytes, dense.weight_bytes, dense.output_bytes) == (
        60,
        20,
        30,
        6,
    )
    assert ElementwiseShape(kind="add", elements=5).input_bytes == 10
    assert ElementwiseShape(kind="copy", elements=5).input_bytes == 5


@pytest.mark.parametrize(
    ("shape", "change"),
    [
        (CONV, {"kernel": (0, 3)}),
        (CONV, {"kernel": (57, 1)}),  # larger than the map
        (CONV, {"dilation": (1, 14)}),  # reaches over the map
        (CONV, {"stride": (0, 1)}),
        (CONV, {"pads": (0, 0, -1, 0)}),
        (CONV, {"groups": 3}),
        (CONV, {"in_channels": 0}),
        (POOL, {"kind": "median"}),
        (POOL, {"pads": (3, 0, 0, 0)}),  # a window of padding alone
        (POOL, {"channels": 0}),
        (FullyConnectedShape(in_features=1, out_features=1), {"rows": 0}),
        (ElementwiseShape(kind="add", elements=1), {"kind": "mul"}),
        (ElementwiseShape(kind="add", elements=1), {"elements": -1}),
    ],
)
def test_impossible_shape_is_refused(shape, change):
    """Shapes without an output cannot be built."""
    with pytest.raises(InputError):
        replace(shape, **change)


@pytest.mark.parametrize(
    ("shape", "change", "word"),
    [
        (CONV, {"in_channels": 4097}, "input channels"),
        (CONV, {"out_channels": 4097}, "output channels"),
        (CONV, {"height": 1025}, "height"),
        (CONV, {"width": 1025}, "width"),
        (CONV, {"kernel": (3, 12)}, "kernel"),
        (CONV, {"stride": (17, 1)}, "stride"),
        (CONV, {"height": 64, "dilation": (17, 1)}, "dilation"),
        (CONV, {"in_channels": 4096, "kernel": (5, 5)}, "reduction"),
        (CONV, {"batch": 1025}, "batch"),
        (CONV, {"pads": (177, 0, 0, 0)}, "pads"),
        (POOL, {"channels": 4097}, "channels"),
        (POOL, {"kernel": (1, 12), "width": 20}, "kernel"),
        (FullyConnectedShape(in_features=1, out_features=1), {"in_features": 65537}, "input"),
        (FullyConnectedShape(in_features=1, out_features=1), {"out_features": 65537}, "output"),
        (FullyConnectedShape(in_features=1, out_features=1), {"rows": 2**20 + 1}, "rows"),
        (ElementwiseShape(kind="add", elements=1), {"elements": 2**26 + 1}, "elements"),
    ],
)
def test_limits_are_named_with_value_and_bound(shape, change, word):
    """A shape inside the limits has no reason; each limit passed is named."""
    assert limit_reason(shape) == ""
    reason = limit_reason(replace(shape, **change))
    assert word in reason
    assert "at most" in reason


def test_global_pool_may_be_larger_than_the_kernel_limit():
    """A global pool is a reduction over the map, not a sliding window."""
    assert limit_reason(replace(POOL, kind="average", kernel=(9, 9))) == ""
    large = PoolShape(kind="average", channels=8, height=64, width=64, kernel=(64, 64))
    assert limit_reason(large) == ""
    assert limit_reason(replace(large, height=65)) != ""


def test_reduction_limit_keeps_sums_in_32_bits():
    """Weights of 127 on codes of any zero point stay inside the accumulator at the limit."""
    assert 2 * MAX_REDUCTION * 127 * 128 < 2**31
