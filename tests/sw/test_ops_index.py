"""Gathering, scattering and choosing agree with ONNX Runtime; bad indices are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.ops import compute


def floats(*shape, seed=0):
    """Return float32 values, some of them equal."""
    return np.round(np.random.default_rng(seed).standard_normal(shape), 1).astype(np.float32)


def agree(reference, op, attributes, inputs, n_outputs=1, opset=18):
    """Check all outputs against ONNX Runtime, bit for bit."""
    results = compute(op, attributes, inputs, n_outputs)
    for got, expected in zip(
        results, reference(op, attributes, inputs, n_outputs, opset), strict=True
    ):
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(got, expected)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    axis=st.integers(-3, 2),
    largest=st.integers(0, 1),
    dtype=st.sampled_from(["f4", "f8", "i4", "i8"]),
)
def test_top_k(reference, seed, axis, largest, dtype):
    """Equal elements keep their order, along any axis and of any dtype."""
    x = (3 * floats(4, 5, 6, seed=seed)).astype(dtype)
    agree(reference, "TopK", {"axis": axis, "largest": largest}, [x, np.array([3])], 2)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter(reference, axis, reduction):
    """Updates land where the gathering operators would read, however they combine."""
    rng = np.random.default_rng(0)
    x, updates = floats(4, 5), floats(3, 4, seed=1)
    rows = np.stack([rng.permutation(4)[:3] for _ in range(4)], axis=1)
    indices = rows if axis == 0 else np.stack([rng.permutation(5)[:4] - 5 for _ in range(3)])
    attributes = {"axis": axis, "reduction": reduction}
    agree(reference, "ScatterElements", attributes, [x, indices, updates])
    agree(reference, "GatherElements", {"axis": axis}, [x, indices])
    places = rng.permutation(4)[:3, None] - 4
    agree(
        reference,
        "ScatterND",
        {"reduction": reduction},
        [x, places, floats(3, 5, seed=2)],
    )


def test_gather_nd(reference):
    """Tuples of any depth, behind batch axes or not."""
    rng = np.random.default_rng(0)
    x = floats(3, 4, 5)
    agree(reference, "GatherND", {"batch_dims": 1}, [x, rng.integers(-4, 4, (3, 2, 1))])
    agree(reference, "GatherND", {}, [x, rng.integers(-3, 3, (6, 2))])
    agree(reference, "GatherND", {}, [x, rng.integers(-3, 3, (2, 2, 3))])


@pytest.mark.parametrize("axis", [None, 0, 1])
@pytest.mark.parametrize("ordered", [0, 1])
def test_unique(reference, axis, ordered):
    """Values, first places, inverse and counts, sorted or as they come."""
    x = np.random.default_rng(3).integers(0, 2, (6, 3)).astype(np.float32)
    attributes = {"sorted": ordered} if axis is None else {"sorted": ordered, "axis": axis}
    agree(reference, "Unique", attributes, [x], 4)


def test_selections(reference):
    """Places and elements that a condition chooses, and one-hot forms."""
    x = floats(3, 4)
    agree(reference, "NonZero", {}, [np.round(x)])
    for attributes in ({}, {"axis": 1}):
        agree(reference, "Compress", attributes, [x, np.array([True, False, True])])
    inputs = [np.array([[0, -6], [4, 7]]), np.array(5), np.array([2, 7], np.float32)]
    for axis in (-1, 0, 1):
        agree(reference, "OneHot", {"axis": axis}, inputs)


def test_sequences_and_triangles(reference):
    """Reversed beginnings, triangles and diagonals."""
    x = floats(4, 4, 3)
    lengths = np.array([1, 4, 2, 3])
    for axes in ((0, 1), (1, 0)):
        attributes = {"batch_axis": axes[0], "time_axis": axes[1]}
        agree(reference, "ReverseSequence", attributes, [x, lengths])
    for k in (-5, -1, 0, 2):
        for upper in (0, 1):
            agree(reference, "Trilu", {"upper": upper}, [x, np.array(k)])
        agree(reference, "EyeLike", {"k": k}, [x[0]])


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "words"),
    [
        ("GatherElements", {}, [np.ones((2, 2)), np.array([[2, 0]])], "index 2 is outside"),
        ("GatherElements", {}, [np.ones((2, 2)), np.zeros((2, 3), int)], "indices of 3 on axis 1"),
        ("GatherND", {}, [np.ones((2, 2)), np.array([[0, -3]])], "index -3 is outside"),
        ("GatherND", {}, [np.ones((2, 2)), np.zeros((1, 3), int)], "index tuples of shape"),
        ("ScatterElements", {}, [np.ones(3), np.array([3]), np.ones(1)], "index 3 is outside"),
        ("ScatterElements", {}, [np.ones(3), np.array([1]), np.ones(2)], r"shape \(2,\)"),
        (
            "ScatterND",
            {"reduction": "mean"},
            [np.ones(3), np.array([[1]]), np.ones(1)],
            "scatter reduction 'mean'",
        ),
        ("TopK", {}, [np.ones(3), np.array([4])], "on an axis of 3"),
        ("OneHot", {}, [np.ones(3), np.array([4, 4]), np.ones(2)], "OneHot does not fit"),
        ("Compress", {}, [np.ones(1), np.array([True, True])], "condition of 2"),
        ("ReverseSequence", {}, [np.ones((2, 2)), np.array([3, 1])], "sequence lengths"),
        ("TensorScatter", {}, [np.ones((1, 2, 1)), np.ones((1, 2, 1)), np.array([1])], "leave an"),
    ],
)
def test_refusals_name_the_reason(op, attributes, inputs, words):
    """Indices outside of their axis, and shapes that would broadcast, raise InputError."""
    with pytest.raises(InputError, match=words):
        compute(op, attributes, inputs)
