"""Arithmetic, comparison and activation operators agree with ONNX Runtime, dtypes included."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.ops import compute

UNARY = {
    "Abs": 18,
    "Ceil": 18,
    "Elu": 18,
    "Erf": 18,
    "Exp": 18,
    "Floor": 18,
    "Gelu": 20,
    "HardSigmoid": 18,
    "HardSwish": 18,
    "Identity": 18,
    "LeakyRelu": 18,
    "Log": 18,
    "Mish": 18,
    "Neg": 18,
    "Reciprocal": 18,
    "Relu": 18,
    "Round": 18,
    "Selu": 18,
    "Sigmoid": 18,
    "Sign": 18,
    "Softplus": 18,
    "Softsign": 18,
    "Sqrt": 18,
    "Tanh": 18,
}


def floats(*shape, seed=0):
    """Return float32 values between -100 and 100, with zeros, halves and infinities."""
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal(shape) * 10 ** rng.uniform(-3, 1.5, shape)).astype(np.float32)
    x.ravel()[:8] = [0.0, 0.5, -0.5, 1.5, 2.5, -1.5, np.inf, -np.inf]
    return x


@pytest.mark.parametrize("op", UNARY)
def test_unary_operators_agree_with_onnxruntime(reference, op):
    """Values, infinities and the dtype are ONNX Runtime's."""
    x = floats(4, 50)
    (got,) = compute(op, {}, [x])
    (expected,) = reference(op, {}, [x], opset=UNARY[op])
    assert got.dtype == np.float32
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(np.isfinite(got), finite)
    np.testing.assert_allclose(got[finite], expected[finite], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("LeakyRelu", {"alpha": 0.3}),
        ("Elu", {"alpha": 0.3}),
        ("Selu", {"alpha": 2.0, "gamma": 0.5}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
        ("Gelu", {"approximate": "tanh"}),
    ],
)
def test_activation_attributes_agree_with_onnxruntime(reference, op, attributes):
    """Attributes other than the defaults are honoured."""
    x = np.random.default_rng(0).standard_normal((3, 40)).astype(np.float32)
    (got,) = compute(op, attributes, [x])
    (expected,) = reference(op, attributes, [x], opset=UNARY[op])
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_prelu_broadcasts_its_slope(reference):
    """A slope per channel broadcasts over the spatial axes."""
    x, slope = floats(2, 3, 5), np.array([[0.1], [0.2], [-0.3]], np.float32)
    x[~np.isfinite(x)] = 1.0  # ONNX Runtime before 1.24 makes NaN of infinity
    (expected,) = reference("PRelu", {}, [x, slope])
    np.testing.assert_allclose(compute("PRelu", {}, [x, slope])[0], expected, rtol=1e-6)


def test_erf_is_within_its_bound():
    """The stated bound of 2e-8 holds against math.erf, small arguments keep relative accuracy."""
    x = np.concatenate([np.linspace(-6, 6, 20001), 10.0 ** np.arange(-30, 1)])
    expected = np.array([math.erf(value) for value in x])
    (got,) = compute("Erf", {}, [x])
    np.testing.assert_allclose(got, expected, rtol=2e-8, atol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64])
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
def test_arithmetic_agrees_with_onnxruntime(reference, op, dtype):
    """Broadcast arithmetic keeps the dtype; integers divide towards zero."""
    rng = np.random.default_rng(3)
    a = rng.integers(-9, 10, (4, 1, 5)).astype(dtype)
    b = rng.integers(1, 5, (3, 5)).astype(dtype) * rng.choice([-1, 1], (3, 5)).astype(dtype)
    (got,) = compute(op, {}, [a, b])
    assert got.dtype == dtype
    np.testing.assert_allclose(got, reference(op, {}, [a, b])[0], rtol=1e-6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(-(2**62), 2**62), st.integers(1, 2**62), st.booleans())
def test_integer_division_is_exact(a, b, negative):
    """Large int64 quotients are truncated exactly."""
    b = -b if negative else b
    (got,) = compute("Div", {}, [np.array([a]), np.array([b])])
    assert got[0] == int(math.copysign(1, a) * math.copysign(1, b)) * (abs(a) // abs(b))


@pytest.mark.parametrize("op", ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"])
def test_comparisons_agree_with_onnxruntime(reference, op):
    """Comparisons broadcast and give bool."""
    a, b = np.array([[1.0], [2.0]], np.float32), np.array([1.0, 2.0, 3.0], np.float32)
    (got,) = compute(op, {}, [a, b])
    assert got.dtype == np.bool_
    np.testing.assert_array_equal(got, reference(op, {}, [a, b])[0])


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_logic_agrees_with_onnxruntime(reference, op):
    """Logic works on bool tensors."""
    a, b = np.array([[True], [False]]), np.array([True, False])
    np.testing.assert_array_equal(compute(op, {}, [a, b])[0], reference(op, {}, [a, b])[0])
    np.testing.assert_array_equal(compute("Not", {}, [a])[0], ~a)


@pytest.mark.parametrize("op", ["Sum", "Mean", "Max", "Min"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_variadic_operators_agree_with_onnxruntime(reference, op, count):
    """Any number of broadcast tensors is combined."""
    rng = np.random.default_rng(count)
    inputs = [rng.standard_normal((3, 1 + place)).astype(np.float32) for place in (0, 3, 0)]
    (got,) = compute(op, {}, inputs[:count])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, reference(op, {}, inputs[:count])[0], rtol=1e-5)


def test_sum_of_one_tensor_does_not_change_it():
    """Combining tensors writes into none of them."""
    a, b = np.ones(3, np.float32), np.ones(3, np.float32)
    compute("Mean", {}, [a, b])
    compute("Max", {}, [a, 2 * b])
    assert np.all(a == 1)


@pytest.mark.parametrize("dtypes", ["ff", "fi", "if", "ii"])
def test_pow_has_the_dtype_of_its_base(reference, dtypes):
    """Base and exponent may differ in dtype; the base decides."""
    kinds = {"f": np.float32, "i": np.int64}
    base = np.array([1, 2, 3, 4], kinds[dtypes[0]])
    exponent = np.array([3, 2, 0, 1], kinds[dtypes[1]])
    (got,) = compute("Pow", {}, [base, exponent])
    assert got.dtype == base.dtype
    np.testing.assert_allclose(got, reference("Pow", {}, [base, exponent])[0], rtol=1e-6)


@pytest.mark.parametrize("fmod", [0, 1])
def test_mod_agrees_with_onnxruntime(reference, fmod):
    """The sign is the divisor's, or with fmod the dividend's."""
    a, b = np.array([7, -7, 7, -7]), np.array([3, 3, -3, -3])
    (expected,) = reference("Mod", {"fmod": fmod}, [a, b])
    np.testing.assert_array_equal(compute("Mod", {"fmod": fmod}, [a, b])[0], expected)


@pytest.mark.parametrize("low", [None, -0.5])
@pytest.mark.parametrize("high", [None, 0.5, -1.0])
def test_clip_agrees_with_onnxruntime(reference, low, high):
    """Bounds are optional inputs; an upper bound below the lower one wins."""
    x = np.linspace(-2, 2, 9, dtype=np.float32)
    inputs = [x, *(None if bound is None else np.float32(bound) for bound in (low, high))]
    inputs = [None if value is None else np.asarray(value) for value in inputs]
    (got,) = compute("Clip", {}, inputs)
    np.testing.assert_array_equal(got, reference("Clip", {}, inputs)[0])


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumsum_agrees_with_onnxruntime(reference, exclusive, reverse, axis):
    """Running sums in both directions, with and without the element itself."""
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    attributes = {"exclusive": exclusive, "reverse": reverse}
    inputs = [x, np.array(axis)]
    np.testing.assert_array_equal(
        compute("CumSum", attributes, inputs)[0], reference("CumSum", attributes, inputs)[0]
    )


def test_scalars_keep_their_dtype():
    """Tensors without axes stay float32 arrays."""
    x = np.array(2.0, np.float32)
    for op in ("Sigmoid", "LeakyRelu", "HardSwish", "Elu", "Selu", "Gelu", "Softplus", "Erf"):
        (got,) = compute(op, {}, [x])
        assert isinstance(got, np.ndarray)
        assert (got.dtype, got.shape) == (np.float32, ()), op


def test_gelu_refuses_an_unknown_approximation():
    """Only the two forms of the standard exist."""
    with pytest.raises(InputError, match="sigmoid"):
        compute("Gelu", {"approximate": "sigmoid"}, [np.zeros(2, np.float32)])


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "words"),
    [
        ("Div", {}, [np.array([4]), np.array([0])], "division of an integer by 0"),
        ("Mod", {}, [np.array([4]), np.array([0])], "remainder of an integer by 0"),
        ("Pow", {}, [np.array([10], np.int8), np.array([3])], "power of int8 leaves its range"),
        ("Pow", {}, [np.array([0]), np.array([-1])], "power of int64 leaves its range"),
        ("BitShift", {"direction": "UP"}, [np.array([4]), np.array([1])], "direction 'UP'"),
        ("Cast", {"to": 3}, [np.float32([128.0])], r"leaves int8, whose range is \[-128, 127\]"),
        ("Cast", {"to": 7}, [np.float32([np.nan])], "leaves int64"),
        ("BitCast", {"to": 10}, [np.float32([1.0])], "not as wide"),
        ("BitCast", {"to": 9}, [np.uint8([2])], "other than 0 and 1"),
        ("SwiGLU", {}, [np.ones((2, 3)), np.ones(3)], "which must agree"),
    ],
)
def test_what_processors_do_differently_is_refused(op, attributes, inputs, words):
    """Results that ONNX does not define raise InputError instead of a number."""
    with pytest.raises(InputError, match=words):
        compute(op, attributes, inputs)


def test_powers_of_integers_are_exact():
    """Powers beyond the 53 bits of a float64 keep every bit; fractions are truncated."""
    (got,) = compute("Pow", {}, [np.array([3, -3, 2, 2]), np.array([39, 39, 62, -1])])
    assert got.tolist() == [3**39, -(3**39), 2**62, 0]


@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts_by_all_bits_leave_the_sign(direction):
    """Negative amounts and amounts beyond the width are what ONNX says, not what a CPU does."""
    x = np.array([-5, 5, -5, 5, -5], np.int8)
    (got,) = compute("BitShift", {"direction": direction}, [x, np.array([8, 9, -1, 1, 1], np.int8)])
    expected = {"LEFT": [0, 0, 0, 10, -10], "RIGHT": [-1, 0, -1, 2, -3]}[direction]
    assert got.tolist() == expected
