"""Operators that move elements agree with ONNX Runtime."""

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


X = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)


def int64(*values):
    """Return a one-dimensional int64 tensor."""
    return np.array(values, np.int64)


CASES = [
    ("Shape", {}, [X], 1),
    ("Shape", {"start": 1, "end": -1}, [X], 1),
    ("Shape", {"start": -9, "end": 9}, [X], 1),
    ("Size", {}, [X], 1),
    ("Gather", {}, [X, np.array(1)], 1),
    ("Gather", {"axis": 2}, [X, int64(-1, 0, 2).reshape(3, 1)], 1),
    ("Concat", {"axis": -3}, [X, X[:, :1], X], 1),
    ("Split", {"axis": 3, "num_outputs": 2}, [X], 2),
    ("Split", {"axis": 1, "num_outputs": 3}, [X], 3),
    ("Split", {"axis": -1}, [X, int64(1, 0, 4)], 3),
    ("Unsqueeze", {}, [X, int64(0, -1, 3)], 1),
    ("Squeeze", {}, [X[:1, :, :1], int64(-2)], 1),
    ("Squeeze", {}, [X[:1, :, :1]], 1),
    ("Reshape", {}, [X, int64(0, -1, 2)], 1),
    ("Reshape", {"allowzero": 1}, [X[:0], int64(0, 7)], 1),
    ("Flatten", {}, [X], 1),
    ("Flatten", {"axis": 0}, [X], 1),
    ("Flatten", {"axis": -1}, [X], 1),
    ("Flatten", {"axis": 4}, [X], 1),
    ("Transpose", {}, [X], 1),
    ("Transpose", {"perm": [0, 2, 3, 1]}, [X], 1),
    ("Expand", {}, [X[:, :1], int64(3, 1, 1)], 1),
    ("Expand", {}, [X[:1], int64(7, 1, 3, 4, 5)], 1),
    ("Tile", {}, [X, int64(1, 2, 1, 3)], 1),
    ("Range", {}, [np.array(5), np.array(-4), np.array(-3)], 1),
    ("Range", {}, [np.array(0.5), np.array(2.1), np.array(0.25)], 1),
    ("Range", {}, [np.array(3), np.array(1), np.array(1)], 1),
    ("DepthToSpace", {"blocksize": 2}, [X.reshape(1, 8, 3, 5)], 1),
    ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [X.reshape(1, 8, 3, 5)], 1),
    ("SpaceToDepth", {"blocksize": 2}, [X.reshape(2, 3, 2, 10)], 1),
    ("Where", {}, [X[0] > 30, X, np.float32([-1.0])], 1),
    ("Cast", {"to": 7}, [X - 60.5], 1),
    ("Cast", {"to": 9}, [X], 1),
    ("Cast", {"to": 10}, [X], 1),
]


@pytest.mark.parametrize(("op", "attributes", "inputs", "n_outputs"), CASES)
def test_shape_operators_agree_with_onnxruntime(reference, op, attributes, inputs, n_outputs):
    """Values, shapes and dtypes are equal."""
    got = compute(op, attributes, inputs, n_outputs)
    expected = reference(op, attributes, inputs, n_outputs)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == theirs.dtype
        assert_same(mine, theirs)


@st.composite
def cuts_of_one_axis(draw):
    """Draw start, end and step; an end without bound lies in the direction of the step."""
    step = draw(st.sampled_from([-3, -2, -1, 1, 2, 3]))
    unbounded = 2**63 - 1 if step > 0 else -(2**63)
    return draw(st.integers(-8, 8)), draw(st.integers(-8, 8) | st.just(unbounded)), step


@settings(max_examples=150, deadline=None, derandomize=True)
@given(cuts=st.lists(cuts_of_one_axis(), min_size=1, max_size=3))
def test_slice_agrees_with_onnxruntime(reference, cuts):
    """Bounds outside the tensor are clamped, in both directions."""
    starts, ends, steps = (int64(*column) for column in zip(*cuts, strict=True))
    inputs = [X, starts, ends, int64(*range(-1, -1 - len(cuts), -1)), steps]
    (got,) = compute("Slice", {}, inputs)
    assert_same(got, reference("Slice", {}, inputs)[0])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    mode=st.sampled_from(["constant", "reflect", "edge", "wrap"]),
    pads=st.lists(st.integers(-1, 2), min_size=4, max_size=4),
)
def test_pad_agrees_with_onnxruntime(reference, mode, pads):
    """Padding and cropping on chosen axes, in every mode."""
    if mode != "constant":
        pads = [abs(amount) for amount in pads]
    inputs = [X, int64(*pads), np.array(7.0, np.float32), int64(-1, 1)]
    (got,) = compute("Pad", {"mode": mode}, inputs)
    (expected,) = reference("Pad", {"mode": mode}, inputs, opset=19)
    assert_same(got, expected)


def test_constant_of_shape_takes_no_memory():
    """The result is one element seen many times; its dtype is the value's."""
    (got,) = compute("ConstantOfShape", {"value": int64(0)}, [int64(1000, 1000, 1000)])
    assert (got.dtype, got.shape, got.strides) == (np.int64, (1000, 1000, 1000), (0, 0, 0))
    (got,) = compute("ConstantOfShape", {}, [int64(2, 3)])
    assert_same(got, np.zeros((2, 3), np.float32))
    (got,) = compute("ConstantOfShape", {"value": 0.5}, [int64()])
    assert_same(got, np.array(0.5, np.float32))


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "words"),
    [
        ("Gather", {}, [X, np.array(2)], "index 2 is outside of an axis of 2"),
        ("Split", {}, [X], "num_outputs"),
        ("Split", {"axis": 3}, [X, int64(1, 1)], "must sum to 5"),
        ("Squeeze", {}, [X, int64(0)], "Squeeze does not fit"),
        ("Reshape", {}, [X, int64(7, -1)], "Reshape does not fit"),
        ("Cast", {"to": 16}, [X], "data type 16"),
        ("Pad", {}, [X, int64(1, 1)], "2 amounts for 4 axes"),
        ("Pad", {"mode": "mirror"}, [X, int64(*[0] * 8)], "mirror"),
        ("DepthToSpace", {"blocksize": 2, "mode": "XYZ"}, [X], "XYZ"),
        ("Range", {}, [np.array(0), np.array(1), np.array(0)], "zero"),
    ],
)
def test_refusals_name_the_reason(op, attributes, inputs, words):
    """Inputs that do not fit raise InputError."""
    with pytest.raises(InputError, match=words):
        compute(op, attributes, inputs)
