"""The arithmetic contract against exact rational arithmetic."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw.fixed import (
    Output,
    Residual,
    Scaling,
    accumulator_bound,
    dequantize_tensor,
    quantize_multiplier,
    quantize_multipliers,
    quantize_tensor,
    requantize,
    saturate,
    scaled,
)

INT32 = st.integers(-(2**31), 2**31 - 1)
EXTREME = INT32 | st.sampled_from([-(2**31), 2**31 - 1, -1, 0, 1])
MULTIPLIER = st.integers(2**15, 2**16 - 1) | st.sampled_from([2**15, 2**16 - 1])
SHIFT = st.integers(1, 47)
CODE = st.integers(-128, 127)


def rounded(value: Fraction) -> int:
    """Return a rational number rounded half up."""
    return math.floor(value + Fraction(1, 2))


def clamp(value: int, low: int = -128, high: int = 127) -> int:
    """Return a value held in an interval."""
    return min(max(value, low), high)


def fits(value: int, bits: int) -> bool:
    """Return whether a two's complement number of that width holds the value."""
    return -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


@given(acc=EXTREME, multiplier=MULTIPLIER, shift=SHIFT, zero_point=CODE)
def test_requantize_is_exact(acc, multiplier, shift, zero_point):
    """The code is the rational result rounded half up, shifted by the zero point and clamped."""
    got = requantize(np.array([acc], np.int32), multiplier, shift, zero_point)
    expected = clamp(rounded(Fraction(acc * multiplier, 2**shift)) + zero_point)
    assert got.dtype == np.int8
    assert got[0] == expected


@given(acc=EXTREME, multiplier=MULTIPLIER, shift=SHIFT)
def test_widths_of_the_accumulator_path(acc, multiplier, shift):
    """Product, rounded sum and scaled sum fit the documented widths."""
    value = scaled(np.array([acc], np.int64), multiplier, shift)[0]
    assert fits(acc * multiplier, 48)
    assert fits(acc * multiplier + 2 ** (shift - 1), 49)
    assert fits(int(value), 47)


@given(acc=EXTREME, pair=st.tuples(MULTIPLIER, SHIFT), r=CODE, r_pair=st.tuples(MULTIPLIER, SHIFT))
def test_residual_path_is_exact_and_may_saturate_early(acc, pair, r, r_pair):
    """The sum of two rounded terms is exact; a 25-bit saturation of the first changes nothing."""
    zero_point, r_zero = 5, -7
    scaling = Scaling(
        multiplier=np.array(r_pair[0], np.uint16), shift=np.array(r_pair[1], np.uint8)
    )
    term = Residual(scaling=scaling, zero_point=r_zero).term(np.array([r], np.int8))
    first = scaled(np.array([acc], np.int32), *pair)
    got = saturate(first + term, zero_point, -128, 127)[0]
    exact_first = rounded(Fraction(acc * pair[0], 2 ** pair[1]))
    exact_term = rounded(Fraction((r - r_zero) * r_pair[0], 2 ** r_pair[1]))
    assert got == clamp(exact_first + exact_term + zero_point)
    early = min(max(exact_first, -(2**24)), 2**24 - 1)
    assert fits(early + exact_term + zero_point, 26)
    assert clamp(early + exact_term + zero_point) == got


@given(r=st.integers(-255, 255), multiplier=MULTIPLIER, shift=SHIFT)
def test_widths_of_the_residual_path(r, multiplier, shift):
    """Nine-bit differences give 25, 48 and 24 bits; a shift above 24 leaves nothing."""
    value = int(scaled(np.array([r]), multiplier, shift)[0])
    assert fits(r * multiplier, 25)
    assert fits(r * multiplier + 2 ** (shift - 1), 48)
    assert fits(value, 24)
    assert shift <= 24 or value == 0


@given(real=st.floats(2.0**-32, 32767.0))
def test_multiplier_is_near_the_real_factor(real):
    """Inside the range the relative error is at most 2**-16."""
    multiplier, shift = quantize_multiplier(real)
    assert 2**15 <= multiplier < 2**16
    assert 1 <= shift <= 47
    assert abs(Fraction(multiplier, 2**shift) / Fraction(real) - 1) <= Fraction(1, 2**16)


def test_multiplier_that_rounds_up_to_17_bits_is_renormalised():
    """A factor just below a power of two takes that power."""
    assert quantize_multiplier(1 - 2.0**-30) == (2**15, 15)
    assert quantize_multiplier(2.0**15 - 2.0**-10) == (2**16 - 1, 1)


@given(acc=EXTREME, real=st.floats(0.0, 2.0**-32, exclude_max=True))
def test_tiny_factor_gives_zero(acc, real):
    """A factor below 2**-32 rounds every 32-bit sum to 0, as its stand-in does."""
    assert rounded(Fraction(real) * acc) == 0
    assert requantize(np.array([acc], np.int32), *quantize_multiplier(real))[0] == 0


@given(acc=EXTREME, real=st.floats(2.0**15, 1e300))
def test_huge_factor_saturates(acc, real):
    """A factor of 2**15 or more saturates every sum but 0, as its stand-in does."""
    expected = clamp(rounded(Fraction(real) * acc))
    assert requantize(np.array([acc], np.int32), *quantize_multiplier(real))[0] == expected


@pytest.mark.parametrize("real", [-1e-9, math.inf, math.nan])
def test_impossible_factor_is_refused(real):
    """Negative, infinite and NaN factors are refused."""
    with pytest.raises(InputError, match="rescaling factor"):
        quantize_multiplier(real)


def test_scaling_per_channel_broadcasts():
    """One pair per channel scales along the axis it is shaped for."""
    scaling = Scaling.of(np.array([0.5, 0.25]))
    acc = np.full((2, 3), 10, np.int32)
    got = requantize(acc, scaling.multiplier[:, None], scaling.shift[:, None])
    assert got.tolist() == [[5, 5, 5], [3, 3, 3]]
    assert quantize_multipliers(np.array([[1.0]]))[0].shape == (1, 1)


@pytest.mark.parametrize(
    ("multiplier", "shift"),
    [
        (np.array([1], np.uint16), np.array([1], np.uint8)),  # top bit not set
        (np.array([2**15], np.uint16), np.array([0], np.uint8)),
        (np.array([2**15], np.uint16), np.array([48], np.uint8)),
        (np.array([2**15], np.int64), np.array([1], np.uint8)),
        (np.array([2**15], np.uint16), np.array([1, 1], np.uint8)),
    ],
)
def test_illegal_scaling_is_refused(multiplier, shift):
    """Pairs outside the contract cannot be built."""
    with pytest.raises(InputError):
        Scaling(multiplier=multiplier, shift=shift)


@pytest.mark.parametrize("fields", [{"zero_point": 128}, {"low": 3, "high": 2}, {"low": -129}])
def test_illegal_output_is_refused(fields):
    """Zero points and clamps outside int8 cannot be built."""
    with pytest.raises(InputError):
        Output(**fields)


def test_quantize_rounds_half_to_even_and_saturates():
    """Ties go to even codes, as in ONNX QuantizeLinear, and infinities to the ends."""
    values = np.array([0.5, 1.5, -0.5, 200.0, -np.inf, np.inf], np.float32)
    assert quantize_tensor(values, 1.0, 0).tolist() == [0, 2, 0, 127, -128, 127]
    huge = np.array([3e38, -3e38], np.float32)
    assert quantize_tensor(huge, 2.0**-100, 3).tolist() == [127, -128]


@given(st.lists(CODE, min_size=1), st.floats(2.0**-80, 2.0**80, width=32), CODE)
def test_codes_survive_a_round_trip(codes, scale, zero_point):
    """Dequantized codes quantize to themselves."""
    codes = np.array(codes, np.int8)
    values = dequantize_tensor(codes, scale, zero_point)
    assert values.dtype == np.float32
    assert (quantize_tensor(values, scale, zero_point) == codes).all()


def test_quantize_refuses_nan_and_bad_scales():
    """NaN has no code; a scale is a normal positive float32."""
    with pytest.raises(InputError, match="NaN"):
        quantize_tensor(np.array([1.0, np.nan], np.float32), 1.0, 0)
    for scale in (0.0, -1.0, math.inf, math.nan, 1e-60):
        with pytest.raises(InputError, match="scale"):
            quantize_tensor(np.zeros(1, np.float32), scale, 0)
    assert quantize_tensor(np.zeros((0, 3), np.float32), 1.0, 0).shape == (0, 3)


def test_quantize_agrees_with_onnxruntime():
    """Codes equal those of ONNX Runtime's QuantizeLinear on values with many ties."""
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    helper = onnx.helper
    rng = np.random.default_rng(3)
    ties = rng.integers(-400, 400, 2000) * np.float32(0.05)
    values = np.concatenate([rng.normal(0, 9, 2000), ties]).astype(np.float32)
    scale, zero_point = np.float32(0.1), np.int8(-9)
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", 1, [len(values)])],
        [helper.make_tensor_value_info("y", 3, [len(values)])],
        [helper.make_tensor("s", 1, [], [scale]), helper.make_tensor("z", 3, [], [zero_point])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    expected = session.run(None, {"x": values})[0]
    assert (quantize_tensor(values, float(scale), int(zero_point)) == expected).all()


def test_accumulator_bound_counts_the_lowest_code():
    """The bound is what weights times -128 plus the bias can reach."""
    bound = accumulator_bound(np.array([1000]), np.array([-24], np.int32))
    assert bound.tolist() == [128024]
