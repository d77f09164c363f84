"""Convolutions agree with ONNX Runtime over ranks, groups, strides, dilations and pads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.ops import compute
from heterolith.sw.ops.conv import im2col
from heterolith.sw.ops.window import Window


def axes(draw, rank, low, high):
    """Draw one integer per axis."""
    return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))


@st.composite
def geometries(draw):
    """Draw kernel, strides, dilations, asymmetric pads and an input size that holds the window."""
    rank = draw(st.integers(1, 3))
    kernel, dilations = axes(draw, rank, 1, 4), axes(draw, rank, 1, 2)
    strides, pads = axes(draw, rank, 1, 3), axes(draw, 2 * rank, 0, 5)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    extra = axes(draw, rank, 0, 6)
    size = [max(1, e - pads[i] - pads[i + rank]) + extra[i] for i, e in enumerate(extents)]
    return {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": pads}, size


@st.composite
def groupings(draw):
    """Draw groups with their input channels and kernels, depthwise among them."""
    group = draw(st.integers(1, 4))
    return group, draw(st.integers(1, 3)), draw(st.integers(1, 3))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(geometry=geometries(), grouping=groupings(), bias=st.booleans(), n=st.integers(1, 2))
def test_conv_agrees_with_onnxruntime(reference, geometry, grouping, bias, n):
    """Every convolution is ONNX Runtime's to 1e-4, in float32."""
    attributes, size = geometry
    group, per_group, kernels = grouping
    rng = np.random.default_rng(sum(size))
    x = rng.standard_normal((n, group * per_group, *size)).astype(np.float32)
    w = rng.standard_normal((group * kernels, per_group, *attributes["kernel_shape"]))
    b = rng.standard_normal(group * kernels).astype(np.float32) if bias else None
    inputs = [x, w.astype(np.float32), b]
    attributes = {**attributes, "group": group}
    (got,) = compute("Conv", attributes, inputs)
    (expected,) = reference("Conv", attributes, inputs if bias else inputs[:2])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_depthwise_works_in_blocks_of_channels(reference):
    """A depthwise layer larger than one block is whole."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 40, 40, 41)).astype(np.float32)
    w = rng.standard_normal((80, 1, 3, 3)).astype(np.float32)
    attributes = {"group": 40, "pads": [1, 1, 1, 1]}
    (expected,) = reference("Conv", attributes, [x, w])
    np.testing.assert_allclose(
        compute("Conv", attributes, [x, w])[0], expected, rtol=1e-4, atol=1e-5
    )


def test_convolution_of_integers_in_float_is_exact():
    """Small integers give the integer result: no algorithm transforms the kernel."""
    rng = np.random.default_rng(1)
    x = rng.integers(-8, 8, (1, 3, 9, 9)).astype(np.float32)
    w = rng.integers(-8, 8, (4, 3, 3, 3)).astype(np.float32)
    (got,) = compute("Conv", {}, [x, w])
    patches = np.lib.stride_tricks.sliding_window_view(x.astype(int), (3, 3), (2, 3))
    expected = np.einsum("nchwkl,mckl->nmhw", patches, w.astype(int))
    np.testing.assert_array_equal(got, expected)


def test_pointwise_columns_are_a_view():
    """A kernel of one element needs no copy of its input."""
    x = np.zeros((1, 4, 5, 6), np.float32)
    window = Window.of((1, 1), {})
    assert np.shares_memory(im2col(x, window, (5, 6)), x)


@pytest.mark.parametrize(
    ("shape", "kernels", "attributes", "words"),
    [
        ((1, 4, 8, 8), (6, 3, 3, 3), {}, "4 channels in 1 groups"),
        ((1, 4, 8, 8), (3, 2, 3, 3), {"group": 2}, "multiple of 2"),
        ((1, 3, 2, 8), (6, 3, 3, 3), {}, "window of 3 does not fit into 2"),
        ((1, 3, 8, 8), (6, 3, 3, 3), {"pads": [1, 1]}, "4 pads; got 2, 2 and 2"),
        ((1, 3, 8, 8), (6, 3, 3, 3), {"kernel_shape": [5, 5]}, "kernel_shape"),
        ((1, 3, 8, 8), (6, 3, 3, 3), {"auto_pad": "SAME_UPPER"}, "explicit pads"),
        ((1, 3, 8), (6, 3, 3, 3), {}, "cannot slide over 1 axes"),
    ],
)
def test_conv_refuses_what_does_not_fit(shape, kernels, attributes, words):
    """The refusal names the shape or attribute that does not fit."""
    inputs = [np.zeros(shape, np.float32), np.zeros(kernels, np.float32)]
    with pytest.raises(InputError, match=words):
        compute("Conv", attributes, inputs)


@st.composite
def transposed(draw):
    """Draw a transposed convolution whose pads leave an output."""
    rank = draw(st.integers(1, 3))
    kernel, dilations = axes(draw, rank, 1, 3), axes(draw, rank, 1, 2)
    strides, size = axes(draw, rank, 1, 3), axes(draw, rank, 2, 5)
    attributes = {"kernel_shape": kernel, "strides": strides, "dilations": dilations}
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if draw(st.booleans()):
        attributes["pads"] = [min(1, e // 2) for e in extents] * 2
        attributes["output_padding"] = [s - 1 for s in strides]
    elif draw(st.booleans()):
        full = [(n - 1) * s + e for n, s, e in zip(size, strides, extents, strict=True)]
        attributes["output_shape"] = [length + draw(st.integers(-1, 1)) or 1 for length in full]
    return attributes, size


@settings(max_examples=100, deadline=None, derandomize=True)
@given(geometry=transposed(), grouping=groupings(), bias=st.booleans())
def test_conv_transpose_agrees_with_onnxruntime(reference, geometry, grouping, bias):
    """Every transposed convolution is ONNX Runtime's to 1e-4."""
    attributes, size = geometry
    group, per_group, maps = grouping
    rng = np.random.default_rng(sum(size))
    x = rng.standard_normal((2, group * per_group, *size)).astype(np.float32)
    w = rng.standard_normal((group * per_group, maps, *attributes["kernel_shape"]))
    inputs = [x, w.astype(np.float32)]
    if bias:
        inputs.append(rng.standard_normal(group * maps).astype(np.float32))
    attributes = {**attributes, "group": group}
    (got,) = compute("ConvTranspose", attributes, inputs)
    (expected,) = reference("ConvTranspose", attributes, inputs)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
