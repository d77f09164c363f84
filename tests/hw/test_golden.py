"""The golden model against plain int64 arithmetic and exact rationals."""

import math
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw import golden
from heterolith.hw.fixed import Output, Residual, Scaling
from heterolith.hw.shapes import ConvShape, PoolShape

from .cases import codes, conv_shapes, parameters, pool_shapes, scalings

SEEDS = st.integers(0, 2**32 - 1)
CHECKED = settings(deadline=None, max_examples=60)


@CHECKED
@given(conv_shapes(), SEEDS, st.booleans(), st.booleans())
def test_conv2d_equals_reference(shape, seed, extreme, residual):
    """Any kernel, stride, padding, dilation and grouping gives the int64 result."""
    rng = np.random.default_rng(seed)
    p = parameters(rng, shape, extreme=extreme, residual=residual)
    x = codes(rng, shape.input_shape, extreme)
    other = codes(rng, shape.output_shape) if residual else None
    got = golden.conv2d(x, p, shape, other)
    assert got.dtype == np.int8
    assert (got == golden.conv2d_reference(x, p, shape, other)).all()


@CHECKED
@given(conv_shapes(depthwise=True), SEEDS, st.booleans())
def test_depthwise_equals_reference(shape, seed, extreme):
    """Depthwise convolutions, with channel multipliers, give the int64 result."""
    rng = np.random.default_rng(seed)
    p, x = parameters(rng, shape, extreme=extreme), codes(rng, shape.input_shape, extreme)
    assert (golden.conv2d(x, p, shape) == golden.conv2d_reference(x, p, shape)).all()


def test_reference_is_the_formula():
    """The oracle equals seven nested loops on one small grouped, strided, padded convolution."""
    shape = ConvShape(
        in_channels=4,
        out_channels=2,
        height=5,
        width=4,
        kernel=(2, 3),
        stride=(2, 1),
        pads=(1, 0, 0, 2),
        dilation=(2, 1),
        groups=2,
    )
    rng = np.random.default_rng(1)
    p, x = parameters(rng, shape), codes(rng, shape.input_shape)
    got = golden.sums_reference(x, p, shape)
    for co, row, column in np.ndindex(2, *shape.output_size):
        total = int(p.bias[co])
        for ci, i, j in np.ndindex(2, 2, 3):
            h, w = row * 2 - 1 + i * 2, column + j
            inside = 0 <= h < 5 and w < 4
            value = int(x[0, co * 2 + ci, h, w]) if inside else p.pad_value
            total += value * int(p.weights[co, ci, i, j])
        assert got[0, co, row, column] == total


@pytest.mark.parametrize("value", [(-128, -128), (-128, 127), (127, 127)])
def test_long_reduction_at_the_extremes(value):
    """4608 products of extreme codes stay exact: the reduction is cut where float32 would round."""
    shape = ConvShape(in_channels=512, out_channels=3, height=3, width=3, kernel=(3, 3))
    rng = np.random.default_rng(0)
    p = replace(
        parameters(rng, shape),
        weights=np.full(shape.weight_shape, value[0], np.int8),
        scaling=Scaling.of(np.array([1e-6, 3e-7, 1.6e-6])),
        output=Output(),
    )
    x = np.full(shape.input_shape, value[1], np.int8)
    x[0, 0, 0, 0] += 1 if value[1] < 0 else -1
    assert (golden.conv2d(x, p, shape) == golden.conv2d_reference(x, p, shape)).all()


def test_large_map_stays_under_200_mb():
    """A 224x224x64 convolution gathers tiles, never the whole matrix of columns (115 MB)."""
    shape = ConvShape(
        in_channels=64, out_channels=64, height=224, width=224, kernel=(3, 3), pads=(1, 1, 1, 1)
    )
    rng = np.random.default_rng(0)
    p, x = parameters(rng, shape), codes(rng, shape.input_shape)
    tracemalloc.start()
    out = golden.conv2d(x, p, shape)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    patch = replace(shape, height=4, width=224, pads=(1, 1, 0, 1))
    top = golden.conv2d_reference(x[:, :, :4], p, patch)
    assert (out[:, :, :3] == top).all()


@CHECKED
@given(
    rows=st.integers(1, 3),
    k=st.integers(1, 3000),
    n=st.integers(1, 5),
    seed=SEEDS,
    residual=st.booleans(),
)
def test_fully_connected_equals_convolution(rows, k, n, seed, residual):
    """A fully connected layer is the 1x1 convolution of one column per row."""
    shape = ConvShape(batch=rows, in_channels=k, out_channels=n, height=1, width=1, kernel=(1, 1))
    rng = np.random.default_rng(seed)
    p, x = parameters(rng, shape, residual=residual), codes(rng, (rows, k))
    other = codes(rng, (rows, n)) if residual else None
    columns = None if other is None else other[:, :, None, None]
    expected = golden.conv2d_reference(x[:, :, None, None], p, shape, columns)[:, :, 0, 0]
    got = golden.fully_connected(x, replace(p, weights=p.weights[:, :, 0, 0]), other)
    assert (got == expected).all()


@CHECKED
@given(pool_shapes("max"), SEEDS)
def test_max_pool_is_the_largest_valid_code(shape, seed):
    """Padding never wins, even where all codes are the lowest."""
    x = codes(np.random.default_rng(seed), shape.input_shape)
    got = golden.max_pool(x, shape)
    for row, column in np.ndindex(*shape.output_size):
        window = valid(x, shape, row, column)
        assert (got[:, :, row, column] == window.max(axis=(2, 3))).all()


def valid(x, shape, row, column):
    """Return the elements of one window that lie inside the map."""
    top, left = row * shape.stride[0] - shape.pads[0], column * shape.stride[1] - shape.pads[1]
    rows = slice(max(top, 0), top + shape.kernel[0])
    return x[:, :, rows, max(left, 0) : left + shape.kernel[1]]


@CHECKED
@given(pool_shapes("average"), SEEDS, st.floats(0.1, 4.0))
def test_average_pool_is_the_rounded_mean(shape, seed, ratio):
    """Each code is the exact sum times the factor of its element count, rounded half up."""
    zero_point = -11
    p = golden.average_parameters(shape, ratio, zero_point, Output(zero_point=4))
    x = codes(np.random.default_rng(seed), shape.input_shape)
    got = golden.average_pool(x, p, shape)
    for row, column in np.ndindex(*shape.output_size):
        window = valid(x, shape, row, column).astype(int) - zero_point
        area = shape.kernel[0] * shape.kernel[1]
        index = p.counts.index(area if shape.count_pads else window[0, 0].size)
        factor = Fraction(int(p.scaling.multiplier[index]), 2 ** int(p.scaling.shift[index]))
        assert abs(float(factor) * p.counts[index] / ratio - 1) < 2**-15
        exact = math.floor(int(window[0, 0].sum()) * factor + Fraction(1, 2)) + 4
        assert got[0, 0, row, column] == min(max(exact, -128), 127)


def test_global_average_equals_the_windowed_one():
    """The kernel as large as the map takes the short way and gives the same codes."""
    shape = PoolShape(kind="average", channels=3, height=6, width=5, kernel=(6, 5))
    x = codes(np.random.default_rng(0), shape.input_shape)
    p = golden.average_parameters(shape, 0.9, 17, Output(zero_point=-3))
    wide = replace(shape, pads=(0, 0, 1, 0), stride=(2, 1))
    got = golden.average_pool(x, p, shape)
    assert shape.is_global
    assert not wide.is_global
    assert (got == golden.average_pool(x, p, wide)).all()


def test_average_refuses_foreign_factors():
    """Factors made for other window sizes are not used."""
    shape = PoolShape(kind="average", channels=1, height=4, width=4, kernel=(2, 2))
    p = golden.average_parameters(shape, 1.0, 0, Output())
    padded = replace(shape, pads=(1, 1, 1, 1))
    with pytest.raises(InputError, match="factors"):
        golden.average_pool(np.zeros(padded.input_shape, np.int8), p, padded)


@CHECKED
@given(SEEDS)
def test_add_sums_two_rounded_terms(seed):
    """Each operand is rescaled and rounded alone, then both are added and clamped."""
    rng = np.random.default_rng(seed)
    a, b = codes(rng, (2, 3)), codes(rng, (2, 3))
    terms = tuple(
        Residual(scaling=Scaling.of(rng.uniform(0.1, 2)), zero_point=int(rng.integers(-128, 128)))
        for _ in range(2)
    )
    got = golden.add((a, b), terms, Output(zero_point=2, low=-100, high=99))
    for index in np.ndindex(2, 3):
        total = 2
        for operand, term in zip((a, b), terms, strict=True):
            factor = Fraction(int(term.scaling.multiplier), 2 ** int(term.scaling.shift))
            difference = int(operand[index]) - term.zero_point
            total += math.floor(difference * factor + Fraction(1, 2))
        assert got[index] == min(max(total, -100), 99)


def test_rescale_by_one_is_a_clamp():
    """A Relu on one scale is the clamp of its codes, and concat copies."""
    x = np.arange(-128, 128, dtype=np.int8)
    one = Residual(scaling=Scaling.of(1.0), zero_point=-5)
    relu = golden.rescale(x, one, Output(zero_point=-5, low=-5))
    assert (relu == np.maximum(x, -5)).all()
    joined = golden.concat((x[None], relu[None]))
    assert joined.shape == (1, 512)
    assert (joined[0, :256] == x).all()


SMALL = ConvShape(in_channels=2, out_channels=2, height=3, width=3, kernel=(1, 1))


@pytest.mark.parametrize(
    ("x", "change", "residual"),
    [
        (np.zeros((1, 2, 3, 4), np.int8), {}, None),  # wrong size
        (np.zeros((1, 2, 3, 3), np.uint8), {}, None),  # wrong type
        (np.zeros((1, 2, 3, 3), np.int8), {"weights": np.zeros((2, 2, 3, 1), np.int8)}, None),
        (np.zeros((1, 2, 3, 3), np.int8), {}, np.zeros((1, 2, 3, 3), np.int8)),  # not expected
    ],
)
def test_arrays_that_do_not_fit_are_refused(x, change, residual):
    """Sizes, types and unexpected operands are refused before anything is computed."""
    p = replace(parameters(np.random.default_rng(0), SMALL), **change)
    with pytest.raises(InputError):
        golden.conv2d(x, p, SMALL, residual)


@pytest.mark.parametrize("groups", [1, 2])
def test_bias_past_32_bits_is_refused(groups):
    """A bias that lets a sum leave the accumulator is refused, dense and depthwise alike."""
    shape = replace(SMALL, groups=groups)
    p = replace(
        parameters(np.random.default_rng(0), shape),
        weights=np.full(shape.weight_shape, 127, np.int8),
        bias=np.array([0, 2**31 - 1], np.int32),
    )
    with pytest.raises(InputError, match="accumulator"):
        golden.conv2d(np.zeros(shape.input_shape, np.int8), p, shape)


@pytest.mark.parametrize(
    "change",
    [
        {"weights": np.zeros((2, 2, 1, 1), np.int16)},
        {"bias": np.zeros(3, np.int32)},
        {"scaling": scalings(np.random.default_rng(0))},
    ],
)
def test_parameters_that_do_not_fit_are_refused(change):
    """Types and lengths of parameters are checked when they are built."""
    with pytest.raises(InputError):
        replace(parameters(np.random.default_rng(0), SMALL), **change)
