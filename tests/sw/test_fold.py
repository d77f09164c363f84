"""Affine functions in the weights before them."""

import numpy as np
import pytest

from heterolith.sw.fold import Affine, affine_of, folded_bias, scaled_weights
from heterolith.sw.network import Layer

RNG = np.random.default_rng(3)
SCALE, SHIFT = RNG.uniform(0.5, 2, 4), RNG.standard_normal(4)


def layer(op, *inputs, **attributes):
    """Return a layer with one result."""
    return Layer(name="l", op=op, inputs=inputs, outputs=("y",), attributes=attributes)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("order", [("x", "c"), ("c", "x")])
@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1), (), (1,)])
def test_elementwise_with_a_constant(op, order, shape):
    """The affine function is what the operator does to each channel; c / x is none."""
    constant = RNG.uniform(0.5, 2, shape)
    affine = affine_of(layer(op, *order), {"c": constant}, (2, 4, 5, 5))
    if op == "Div" and order == ("c", "x"):
        assert affine is None
        return
    x = RNG.standard_normal((2, 4, 5, 5))
    operands = [x if name == "x" else constant for name in order]
    function = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[op]
    got = x * affine.scale[:, None, None] + affine.shift[:, None, None]
    np.testing.assert_allclose(got, function(*operands))


@pytest.mark.parametrize("shape", [(4,), (5,), (4, 5, 5), (2, 1, 1, 1), (1, 1, 4, 1, 1), (3, 1, 1)])
def test_constants_that_are_not_per_channel(shape):
    """Constants along other axes, or of another rank, are no affine function per channel."""
    assert affine_of(layer("Mul", "x", "c"), {"c": np.ones(shape)}, (2, 4, 5, 5)) is None


def test_what_is_not_affine():
    """Integers, two activations, other operators and division by zero are left alone."""
    shape = (1, 4, 2, 2)
    assert affine_of(layer("Add", "x", "c"), {"c": np.ones((4, 1, 1), np.int64)}, shape) is None
    assert affine_of(layer("Add", "x", "z"), {}, shape) is None
    assert affine_of(layer("Relu", "x"), {}, shape) is None
    assert affine_of(layer("Div", "x", "c"), {"c": np.zeros(())}, shape) is None


def test_transposed_weights_run_group_by_group():
    """Output channel m of a grouped transposed convolution is scaled by entry m."""
    weights = RNG.standard_normal((6, 2, 3, 3)).astype(np.float32)  # 2 groups of 3 -> 2 channels
    got = scaled_weights(layer("ConvTranspose", group=2), weights, SCALE)
    for channel in range(6):
        for place in range(2):
            factor = SCALE[channel // 3 * 2 + place]
            expected = (weights[channel, place].astype(np.float64) * factor).astype(np.float32)
            np.testing.assert_array_equal(got[channel, place], expected)


def test_rounding_happens_once():
    """Products are those of float64 rounded to the dtype of the weights."""
    weights = RNG.standard_normal((4, 3, 2, 2)).astype(np.float32)
    got = scaled_weights(layer("Conv"), weights, SCALE)
    expected = (weights.astype(np.float64) * SCALE[:, None, None, None]).astype(np.float32)
    np.testing.assert_array_equal(got, expected)
    assert got.dtype == np.float32


def test_repeated_weights_stay_repeated():
    """Weights of one value cost a value per channel after the fold, none if the scale is one."""
    weights = np.broadcast_to(np.float32(0.02), (4, 512, 3, 3))
    got = scaled_weights(layer("Conv"), weights, SCALE)
    assert got.strides[1:] == (0, 0, 0)
    np.testing.assert_array_equal(got, weights * SCALE[:, None, None, None].astype(np.float32))
    assert scaled_weights(layer("Conv"), weights, np.ones(4)) is weights
    assert scaled_weights(layer("Conv"), weights, np.full(4, 2.0)).strides == (0, 0, 0, 0)


def test_bias():
    """The new bias is scale * bias + shift, or the shift alone."""
    bias = RNG.standard_normal(4)
    affine = Affine(SCALE, SHIFT)
    got = folded_bias(layer("Conv"), bias, affine, np.dtype("float32"))
    np.testing.assert_array_equal(got, (SCALE * bias + SHIFT).astype(np.float32))
    alone = folded_bias(layer("Conv"), None, affine, np.dtype("float32"))
    np.testing.assert_array_equal(alone, SHIFT.astype(np.float32))
