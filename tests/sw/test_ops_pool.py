"""Pooling agrees with ONNX Runtime, rounding up and padding included."""

import numpy as np
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.ops import compute
from heterolith.sw.ops.pool import flattens, pool_flat, pool_padded
from heterolith.sw.ops.window import Window

OLD_RUNTIME = tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 24)
"""These count elements beyond the padded input when rounding up; operator set 18 does not."""


def axes(draw, rank, low, high):
    """Draw one integer per axis."""
    return draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))


@st.composite
def pools(draw, dilated):
    """Draw window attributes with pads below the kernel, and an input size that holds it."""
    rank = draw(st.integers(1, 3))
    kernel = axes(draw, rank, 1, 4)
    attributes = {
        "kernel_shape": kernel,
        "strides": axes(draw, rank, 1, 3),
        "pads": [draw(st.integers(0, k - 1)) for k in kernel * 2],
        "ceil_mode": draw(st.integers(0, 1)),
    }
    dilations = axes(draw, rank, 1, 2) if dilated else [1] * rank
    if dilated:
        attributes["dilations"] = dilations
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    size = [e + draw(st.integers(0, 6)) for e in extents]
    return attributes, size


@settings(max_examples=100, deadline=None, derandomize=True)
@given(pool=pools(dilated=True), dtype=st.sampled_from([np.float32, np.int8]))
def test_max_pool_agrees_with_onnxruntime(reference, pool, dtype):
    """Maxima equal ONNX Runtime's in float32 and int8."""
    attributes, size = pool
    x = np.random.default_rng(sum(size)).integers(-99, 99, (2, 3, *size)).astype(dtype)
    (got,) = compute("MaxPool", attributes, [x])
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, reference("MaxPool", attributes, [x])[0])


@settings(max_examples=50, deadline=None, derandomize=True)
@given(pool=pools(dilated=True))
def test_max_pool_indices_agree_with_onnxruntime(reference, pool):
    """Indices are row-major places of the first maximum."""
    attributes, size = pool
    x = np.random.default_rng(sum(size)).standard_normal((2, 3, *size)).astype(np.float32)
    values, indices = compute("MaxPool", attributes, [x], 2)
    expected = reference("MaxPool", attributes, [x], 2)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(indices, expected[1])
    assert np.array_equal(x.ravel()[indices], values)


def test_max_pool_indices_of_infinite_input_point_inside():
    """An element of -inf wins over the padding in front of it."""
    x = np.full((1, 1, 2, 2), -np.inf, np.float32)
    attributes = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    values, indices = compute("MaxPool", attributes, [x], 2)
    assert np.all(values == -np.inf)
    np.testing.assert_array_equal(indices.ravel(), [0, 1, 2, 3])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(pool=pools(dilated=False), include=st.integers(0, 1))
def test_average_pool_agrees_with_onnxruntime(reference, pool, include):
    """Means equal ONNX Runtime's, with and without padding counted."""
    attributes, size = pool
    assume(not (OLD_RUNTIME and include and attributes.get("ceil_mode")))
    attributes = {**attributes, "count_include_pad": include}
    x = np.random.default_rng(sum(size)).standard_normal((2, 3, *size)).astype(np.float32)
    (got,) = compute("AveragePool", attributes, [x])
    (expected,) = reference("AveragePool", attributes, [x])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_average_pool_dilates_as_set_19_does(reference):
    """Dilation, new in operator set 19, is known."""
    x = np.random.default_rng(0).standard_normal((1, 2, 9, 9)).astype(np.float32)
    attributes = {"kernel_shape": [3, 3], "dilations": [2, 2], "pads": [1, 1, 1, 1]}
    (expected,) = reference("AveragePool", attributes, [x], opset=19)
    (got,) = compute("AveragePool", attributes, [x])
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("size", [(5,), (5, 7), (3, 4, 5)])
def test_global_pools_agree_with_onnxruntime(reference, op, size):
    """Global pooling keeps spatial axes of length 1."""
    x = np.random.default_rng(0).standard_normal((2, 3, *size)).astype(np.float32)
    (got,) = compute(op, {}, [x])
    np.testing.assert_allclose(got, reference(op, {}, [x])[0], rtol=1e-4, atol=1e-6)


def test_pooling_does_not_write_into_its_input():
    """A window of one element returns values of its own."""
    x = np.ones((1, 1, 4, 4), np.float32)
    compute("AveragePool", {"kernel_shape": [1, 1]}, [x])
    compute("AveragePool", {"kernel_shape": [2, 2]}, [x])
    assert np.all(x == 1)


def test_pool_refusals_name_the_bound():
    """A window beyond the input and a missing kernel are refused."""
    x = np.zeros((1, 1, 2, 2), np.float32)
    with pytest.raises(InputError, match="window of 3 does not fit into 2"):
        compute("MaxPool", {"kernel_shape": [3, 3]}, [x])
    with pytest.raises(InputError, match="kernel_shape"):
        compute("MaxPool", {}, [x])


@pytest.mark.parametrize("function", [np.maximum, np.add])
@pytest.mark.parametrize("kernel", [(1, 1, 1), (1, 3, 1), (2, 1, 3), (3, 2, 2)])
@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2)])
def test_windows_are_combined_into_the_given_memory(function, kernel, strides):
    """Whether none, one, two or all axes have anything to combine, and in memory of any strides."""
    window = Window.of(kernel, {"strides": strides})
    padded = np.random.default_rng(0).integers(-9, 9, (2, 3, 6, 7, 8)).astype(np.float32)
    places = window.output(padded.shape[2:])
    memory = np.full((*places, 2, 3), np.nan, np.float32)
    pool_padded(function, padded, window, memory.transpose(3, 4, 0, 1, 2))
    taps = [view for _, view in window.taps(padded, places)]
    np.testing.assert_array_equal(memory.transpose(3, 4, 0, 1, 2), function.reduce(taps))


def test_pooling_takes_memory_for_what_lies_between_axes_alone():
    """The last axis that has anything to combine goes to the result itself."""
    window, taken = Window.of((2, 1, 2), {}), []

    def empty(slot, shape, dtype):
        taken.append((slot, tuple(shape)))
        return np.empty(shape, dtype)

    out = np.empty((1, 1, 3, 4, 4), np.float32)
    pool_padded(np.add, np.ones((1, 1, 4, 4, 5), np.float32), window, out, empty)
    assert taken == [(0, (1, 1, 3, 4, 5))]
    np.testing.assert_array_equal(out, 4)


@st.composite
def flat_pools(draw):
    """Draw a window of strides 1, and an extent that holds it on each axis."""
    rank = draw(st.integers(1, 3))
    dilations = axes(draw, rank, 1, 3)
    window = Window.of(axes(draw, rank, 1, 4), {"dilations": dilations})
    return window, tuple(extent + draw(st.integers(0, 5)) for extent in window.extents)


def both_ways(function, padded, window):
    """Return what `pool_flat` and `pool_padded` give; memory that they get is not zero."""
    shape = (*padded.shape[:2], *window.output(padded.shape[2:]))
    untouched, expected = np.full(shape, 7, padded.dtype), np.empty(shape, padded.dtype)
    with np.errstate(all="ignore"):
        found = pool_flat(
            function, padded, window, untouched, lambda _, shape, dtype: np.full(shape, 99, dtype)
        )
        pool_padded(function, padded, window, expected)
    assert np.all(untouched == 7)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    return found, expected


ODD = [np.nan, -np.inf, np.inf, -0.0, 0.0]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(pool=flat_pools(), dtype=st.sampled_from([np.float32, np.float16, np.int8]))
def test_maxima_over_one_stretch_of_memory_are_those_over_rows(pool, dtype):
    """What is no number and what is infinite included, in any number of dimensions."""
    window, extents = pool
    rng = np.random.default_rng(sum(extents))
    padded = rng.integers(-99, 99, (2, 3, *extents)).astype(dtype)
    if dtype != np.int8:
        odd = rng.random(padded.shape) < 0.2
        padded[odd] = rng.choice(np.array(ODD, dtype), int(odd.sum()))
    np.testing.assert_array_equal(*both_ways(np.maximum, padded, window))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(pool=flat_pools(), odd=st.sampled_from([0, 0.05]))
def test_sums_over_one_stretch_of_memory_are_those_over_rows(pool, odd):
    """Up to rounding; what is infinite in one row stays out of the next."""
    window, extents = pool
    rng = np.random.default_rng(sum(extents))
    padded = rng.standard_normal((2, 3, *extents)).astype(np.float32)
    padded[rng.random(padded.shape) < odd] = np.inf
    np.testing.assert_allclose(*both_ways(np.add, padded, window), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kernel", "strides", "covered", "places", "chosen"),
    [
        ((3, 3), (1, 1), (14, 14), (12, 12), True),
        ((6,), (1,), (10,), (5,), True),
        ((7,), (1,), (11,), (5,), False),
        ((3, 3), (1, 1), (4, 8), (2, 6), False),
        ((1, 1), (1, 1), (9, 9), (9, 9), False),
        ((2, 2), (1, 2), (9, 9), (8, 4), False),
    ],
)
def test_one_stretch_of_memory_is_taken_where_half_of_it_counts(
    kernel, strides, covered, places, chosen
):
    """And where strides are 1 and there is anything to combine."""
    assert flattens(kernel, strides, covered, places) is chosen
