"""Reductions, positions and matrix products agree with ONNX Runtime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.sw.ops import compute


def assert_same(got, expected):
    """Compare values, shape and dtype."""
    assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(got, expected)


REDUCTIONS = ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare"]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(REDUCTIONS),
    axes=st.one_of(st.none(), st.sets(st.integers(0, 2)).map(sorted)),
    keepdims=st.integers(0, 1),
    negative=st.booleans(),
    dtype=st.sampled_from([np.float32, np.int32]),
)
def test_reductions_agree_with_onnxruntime(reference, kind, axes, keepdims, negative, dtype):
    """Any set of axes, none meaning all, in float32 and int32."""
    x = np.random.default_rng(5).integers(-4, 5, (2, 3, 4)).astype(dtype)
    inputs = [x]
    if axes is not None:
        inputs.append(np.array([axis - 3 * negative for axis in axes], np.int64))
    attributes = {"keepdims": keepdims}
    (got,) = compute(f"Reduce{kind}", attributes, inputs)
    (expected,) = reference(f"Reduce{kind}", attributes, inputs)
    assert got.dtype == expected.dtype == dtype
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["Sum", "Mean", "Max", "Min", "Prod"])
def test_no_axes_may_mean_no_reduction(kind):
    """With noop_with_empty_axes the tensor comes back as it is."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for inputs in ([x], [x, np.array([], np.int64)]):
        (got,) = compute(f"Reduce{kind}", {"noop_with_empty_axes": 1}, inputs)
        np.testing.assert_array_equal(got, x)


@pytest.mark.parametrize("op", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("last", [0, 1])
def test_positions_agree_with_onnxruntime(reference, op, axis, keepdims, last):
    """Ties go to the first, or the last, position."""
    x = np.random.default_rng(2).integers(0, 3, (3, 6, 7)).astype(np.float32)
    attributes = {"axis": axis, "keepdims": keepdims, "select_last_index": last}
    (got,) = compute(op, attributes, [x])
    assert_same(got, reference(op, attributes, [x])[0])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    sizes=st.tuples(*[st.integers(1, 6)] * 3),
    transposes=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    scale=st.sampled_from([(1.0, 1.0), (0.5, 2.0)]),
    bias=st.sampled_from([None, "n", "1n", "m1", "mn", "11"]),
)
def test_gemm_agrees_with_onnxruntime(reference, sizes, transposes, scale, bias):
    """Transposes, scales and every broadcast of the bias."""
    m, k, n = sizes
    rng = np.random.default_rng(m * k * n)
    a = rng.standard_normal((k, m) if transposes[0] else (m, k)).astype(np.float32)
    b = rng.standard_normal((n, k) if transposes[1] else (k, n)).astype(np.float32)
    inputs = [a, b]
    if bias:
        shape = [{"m": m, "n": n, "1": 1}[letter] for letter in bias]
        inputs.append(rng.standard_normal(shape).astype(np.float32))
    kept = [x.copy() for x in inputs]
    attributes = {
        "transA": transposes[0],
        "transB": transposes[1],
        "alpha": scale[0],
        "beta": scale[1],
    }
    (got,) = compute("Gemm", attributes, inputs)
    (expected,) = reference("Gemm", attributes, inputs)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    for x, before in zip(inputs, kept, strict=True):
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    "shapes", [((3,), (3,)), ((2, 3), (3,)), ((4, 1, 2, 3), (5, 3, 2)), ((3,), (2, 3, 4))]
)
def test_matmul_agrees_with_onnxruntime(reference, shapes):
    """Vectors, matrices and broadcast stacks."""
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    (got,) = compute("MatMul", {}, inputs)
    (expected,) = reference("MatMul", {}, inputs)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)
