"""Resize and quantization operators agree with ONNX Runtime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.ops import compute


def assert_same(got, expected):
    """Compare values, shape and dtype."""
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(got, expected)


NONE = np.array([], np.float32)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    mode=st.sampled_from(["nearest", "linear"]),
    coordinates=st.sampled_from(
        ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    ),
    rounding=st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    lengths=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_resize_to_sizes_agrees_with_onnxruntime(reference, mode, coordinates, rounding, lengths):
    """Both modes, the common coordinate modes, growing and shrinking."""
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 6)).astype(np.float32)
    attributes = {
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": rounding,
    }
    inputs = [x, None, None, np.array([1, 2, *lengths], np.int64)]
    (got,) = compute("Resize", attributes, inputs)
    (expected,) = reference("Resize", attributes, inputs)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("scales", [(2.0, 2.0), (1.0, 3.0), (0.5, 1.5), (0.6, 0.4)])
@pytest.mark.parametrize("coordinates", ["half_pixel", "half_pixel_symmetric", "asymmetric"])
def test_resize_by_scales_agrees_with_onnxruntime(reference, mode, scales, coordinates):
    """Scales round the result's size down."""
    x = np.random.default_rng(1).standard_normal((1, 2, 5, 7)).astype(np.float32)
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    inputs = [x, None, np.array([1, 1, *scales], np.float32)]
    (got,) = compute("Resize", attributes, inputs)
    (expected,) = reference("Resize", attributes, inputs, opset=19)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_resize_of_chosen_axes_agrees_with_onnxruntime(reference):
    """Sizes may name spatial axes alone."""
    x = np.random.default_rng(1).standard_normal((1, 2, 5, 7)).astype(np.float32)
    attributes = {"mode": "linear", "axes": [2, 3]}
    inputs = [x, None, None, np.array([8, 4], np.int64)]
    (expected,) = reference("Resize", attributes, inputs)
    (got,) = compute("Resize", attributes, inputs)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"mode": "area"}, "Resize mode 'area'"),
        ({"coordinate_transformation_mode": "tf_half_pixel_for_nn"}, "coordinate mode"),
        ({"coordinate_transformation_mode": "tf_crop_and_resize"}, "roi of 8 elements"),
        ({"nearest_mode": "simple"}, "nearest mode"),
        ({"keep_aspect_ratio_policy": "largest"}, "policy 'largest'"),
        ({}, "scales or sizes"),
    ],
)
def test_resize_refuses_what_it_does_not_know(attributes, words):
    """Other interpolations and policies are refused by name."""
    with pytest.raises(InputError, match=words):
        compute("Resize", attributes, [np.zeros((1, 1, 4, 4), np.float32), None, NONE])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("per_axis", [False, True])
def test_quantization_agrees_with_onnxruntime(reference, dtype, per_axis):
    """Codes round half to even and saturate; decoding inverts the scale."""
    rng = np.random.default_rng(4)
    x = (rng.standard_normal((2, 3, 400)) * 30).astype(np.float32)
    x[0, 0, :6] = [0.25, 0.75, -0.25, 1e9, -1e9, 1.25]
    if per_axis:
        scale = np.array([0.5, 0.1, 0.3], np.float32)
        zero = np.array([0, 5, 100]).astype(dtype)
    else:
        scale, zero = np.array(0.5, np.float32), np.array(3, dtype)
    (codes,) = compute("QuantizeLinear", {"axis": 1}, [x, scale, zero])
    (expected,) = reference("QuantizeLinear", {"axis": 1}, [x, scale, zero])
    assert_same(codes, expected)
    inputs = [codes, scale, zero]
    (values,) = compute("DequantizeLinear", {"axis": 1}, inputs)
    (expected,) = reference("DequantizeLinear", {"axis": 1}, inputs)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_quantization_without_zero_point_is_unsigned(reference):
    """The default code type is uint8 with zero point 0; int32 codes decode too."""
    x, scale = np.float32([-3.0, 0.0, 7.0]), np.array(2.0, np.float32)
    (codes,) = compute("QuantizeLinear", {}, [x, scale])
    np.testing.assert_array_equal(codes, reference("QuantizeLinear", {}, [x, scale])[0])
    assert codes.dtype == np.uint8
    inputs = [np.array([-9, 2**30], np.int32), scale]
    np.testing.assert_array_equal(
        compute("DequantizeLinear", {}, inputs)[0], reference("DequantizeLinear", {}, inputs)[0]
    )
