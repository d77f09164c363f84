"""Integer operators are exact: equal to loops over integers, and to ONNX Runtime."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.ops import compute
from heterolith.sw.ops.integer import exact_dtype

DTYPES = st.sampled_from([np.int8, np.uint8])


def codes(rng, dtype, *shape):
    """Return random codes over the whole range, its ends included."""
    limits = np.iinfo(dtype)
    x = rng.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
    if x.size:
        x.flat[0], x.flat[-1] = limits.min, limits.max
    return x


def scalar(rng, dtype):
    """Return a random zero point."""
    limits = np.iinfo(dtype)
    return np.asarray(rng.integers(limits.min, limits.max, endpoint=True), dtype)


def loop_convolution(x, w, geometry, group):
    """Return the convolution of int64 arrays, element by element."""
    (top, left, bottom, right), (sy, sx), (dy, dx) = geometry
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    kernels, depth, height, width = w.shape
    rows = (x.shape[2] - (height - 1) * dy - 1) // sy + 1
    columns = (x.shape[3] - (width - 1) * dx - 1) // sx + 1
    out = np.zeros((len(x), kernels, rows, columns), np.int64)
    for n, m, i, j in product(*map(range, out.shape)):
        first = m // (kernels // group) * depth
        for c, ky, kx in product(range(depth), range(height), range(width)):
            value = int(x[n, first + c, i * sy + ky * dy, j * sx + kx * dx])
            out[n, m, i, j] += value * int(w[m, c, ky, kx])
    return out


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), DTYPES, DTYPES, st.sampled_from([1, 2]))
def test_conv_integer_equals_the_loop(seed, x_dtype, w_dtype, group):
    """Any shape, stride, padding, dilation, group and zero points give the exact int32."""
    rng = np.random.default_rng(seed)
    x = codes(rng, x_dtype, rng.integers(1, 3), 2 * group, *rng.integers(5, 8, 2))
    w = codes(rng, w_dtype, 3 * group, 2, *rng.integers(1, 4, 2))
    x_zero, w_zero = scalar(rng, x_dtype), codes(rng, w_dtype, len(w))
    pads, strides = rng.integers(0, 3, 4).tolist(), rng.integers(1, 3, 2).tolist()
    dilations = rng.integers(1, 3, 2).tolist()
    attributes = {"pads": pads, "strides": strides, "dilations": dilations, "group": group}
    (got,) = compute("ConvInteger", attributes, [x, w, x_zero, w_zero])
    centred = w.astype(np.int64) - w_zero.reshape(-1, 1, 1, 1)
    expected = loop_convolution(
        x.astype(np.int64) - int(x_zero), centred, (pads, strides, dilations), group
    )
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), DTYPES, DTYPES, st.booleans())
def test_matmul_integer_equals_the_loop(seed, a_dtype, b_dtype, per_axis):
    """Products of any depth are exact, far beyond what float32 sums hold."""
    rng = np.random.default_rng(seed)
    rows, depth, columns = rng.integers(1, 6), rng.integers(1, 3000), rng.integers(1, 6)
    a, b = codes(rng, a_dtype, rows, depth), codes(rng, b_dtype, depth, columns)
    a_zero = codes(rng, a_dtype, rows) if per_axis else scalar(rng, a_dtype)
    b_zero = codes(rng, b_dtype, columns) if per_axis else scalar(rng, b_dtype)
    (got,) = compute("MatMulInteger", {}, [a, b, a_zero, b_zero])
    left = a.astype(object) - a_zero.reshape(-1, 1).astype(object)
    right = b.astype(object) - b_zero.reshape(1, -1).astype(object)
    np.testing.assert_array_equal(got, left.dot(right).astype(np.int64))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), dtype=DTYPES, per_kernel=st.booleans())
def test_qlinear_conv_equals_onnxruntime(reference, seed, dtype, per_kernel):
    """Codes are ONNX Runtime's, bit for bit: float32 scales, halves to even, saturation."""
    rng = np.random.default_rng(seed)
    x, w = codes(rng, dtype, 1, 4, 6, 7), codes(rng, np.int8, 5, 4, 3, 3)
    count = 5 if per_kernel else 1
    w_scale = rng.uniform(0.001, 0.1, count).astype(np.float32)
    w_zero = np.zeros(count, np.int8)
    inputs = [
        x,
        np.array(rng.uniform(0.01, 0.1), np.float32),
        scalar(rng, dtype),
        w,
        w_scale if per_kernel else w_scale.reshape(()),
        w_zero if per_kernel else w_zero.reshape(()),
        np.array(rng.uniform(0.5, 5), np.float32),
        scalar(rng, dtype),
        rng.integers(-9999, 9999, 5).astype(np.int32),
    ]
    attributes = {"pads": [1, 0, 1, 2], "strides": [2, 1]}
    (got,) = compute("QLinearConv", attributes, inputs)
    (expected,) = reference("QLinearConv", attributes, inputs)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, expected)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), dtype=DTYPES)
def test_qlinear_matmul_equals_onnxruntime(reference, seed, dtype):
    """Codes are ONNX Runtime's, bit for bit, batch axes included."""
    rng = np.random.default_rng(seed)
    inputs = [
        codes(rng, dtype, 2, 5, 64),
        np.array(rng.uniform(0.01, 0.1), np.float32),
        scalar(rng, dtype),
        codes(rng, dtype, 2, 64, 7),
        np.array(rng.uniform(0.01, 0.1), np.float32),
        scalar(rng, dtype),
        np.array(rng.uniform(0.5, 5), np.float32),
        scalar(rng, dtype),
    ]
    (got,) = compute("QLinearMatMul", {}, inputs)
    (expected,) = reference("QLinearMatMul", {}, inputs)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("op", ["QLinearAdd", "QLinearMul"])
def test_quantized_sums_and_products_are_within_half_a_step(op, dtype):
    """Every pair of codes gives the code next to the real result, saturated."""
    rng = np.random.default_rng(0)
    every = np.arange(np.iinfo(dtype).min, np.iinfo(dtype).max + 1).astype(dtype)
    a, b = every.reshape(-1, 1), every.reshape(1, -1)
    zeros = [scalar(rng, dtype) for _ in range(3)]
    scales = [np.array(value, np.float32) for value in (0.02, 0.03, 0.05)]
    inputs = [a, scales[0], zeros[0], b, scales[1], zeros[1], scales[2], zeros[2]]
    (got,) = compute(op, {}, inputs)
    left, right = (
        (x.astype(np.float64) - float(zero)) * float(scale)
        for x, scale, zero in ((a, scales[0], zeros[0]), (b, scales[1], zeros[1]))
    )
    real = left + right if op == "QLinearAdd" else left * right
    steps = real / float(scales[2]) + float(zeros[2])
    inside = np.clip(steps, every[0], every[-1])
    assert np.abs(got.astype(np.float64) - inside).max() <= 0.5 + 1e-5


def test_dynamic_quantization_equals_onnxruntime(reference):
    """Codes, scale and zero point agree, for zeros and one-sided data too."""
    rng = np.random.default_rng(1)
    for x in (rng.standard_normal((3, 40)) * 5, rng.uniform(1, 9, 20), -rng.uniform(0, 2, 7)):
        x = x.astype(np.float32)
        for got, expected in zip(
            compute("DynamicQuantizeLinear", {}, [x], 3),
            reference("DynamicQuantizeLinear", {}, [x], 3),
            strict=True,
        ):
            np.testing.assert_array_equal(got, expected)
    zeros, scale, zero = compute("DynamicQuantizeLinear", {}, [np.zeros(4, np.float32)], 3)
    assert (zeros.tolist(), scale, zero) == ([0] * 4, 1.0, 0)


def test_float_width_follows_the_largest_sum():
    """float32 up to 2**24, float64 up to 2**53, refused above."""
    ones = np.array([128], np.int32)
    assert exact_dtype(1024, ones, ones) == np.float32
    assert exact_dtype(1025, ones, ones) == np.float64
    assert exact_dtype(1 << 39, ones, ones) == np.float64
    with pytest.raises(InputError, match=r"above 2\*\*53"):
        exact_dtype((1 << 39) + 1, ones, ones)


@pytest.mark.parametrize(
    ("op", "inputs", "words"),
    [
        ("MatMulInteger", [np.full((1, 2), 255), np.full((2, 1), 255), np.int8(0)], "zero point"),
        ("MatMulInteger", [np.full((1, 140000), 255), np.full((140000, 1), 128)], "leaves int32"),
    ],
)
def test_integer_refusals_name_the_reason(op, inputs, words):
    """A sum beyond int32 and a zero point of another dtype are refused, never wrapped."""
    arrays = [np.asarray(value, np.uint8) for value in inputs[:2]]
    with pytest.raises(InputError, match=words):
        compute(op, {}, [*arrays, *(np.asarray(value) for value in inputs[2:])])
