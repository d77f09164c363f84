"""Prepared concatenations and transpositions equal numpy's; pools are in test_cpu_worker."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.sw.execute import apply
from heterolith.sw.network import Activation, Layer


def single(op, inputs, attributes=None, **more):
    """Return a layer of one output."""
    return Layer(
        name="one", op=op, inputs=inputs, outputs=("y",), attributes=attributes or {}, **more
    )


def whole(seed, *shape):
    """Return small whole numbers in float32."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -4])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_tensors_are_joined_along_any_axis(axis, dtype):
    """Of any number, and of different extents there."""
    shapes = np.full((3, 4), (2, 3, 4, 5))
    shapes[:, axis] = (1, 2, 3)
    tensors = [whole(seed, *shape).astype(dtype) for seed, shape in enumerate(shapes)]
    layer = single("Concat", ("a", "b", "c"), {"axis": axis})
    (y,) = apply(layer, dict(zip("abc", tensors, strict=True)))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.concatenate(tensors, axis))


@pytest.mark.parametrize(("op", "attributes"), [("Concat", {"axis": 1}), ("Transpose", {})])
def test_what_is_fused_behind_a_move_is_done(op, attributes):
    """A residual, then a clamp; the input keeps its values."""
    x = whole(0, 3, 3)
    kept, residual = x.copy(), whole(1, 3, 3)
    layer = single(op, ("x",), attributes, residual="r", activation=Activation(0.0, 5.0))
    (y,) = apply(layer, {"x": x, "r": residual})
    np.testing.assert_array_equal(y, np.clip((x if op == "Concat" else x.T) + residual, 0, 5))
    np.testing.assert_array_equal(x, kept)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data(), shape=st.lists(st.integers(0, 4), max_size=5))
def test_any_transposition_is_numpys_and_contiguous(data, shape):
    """Whoever reads it finds rows of memory of its own."""
    perm = data.draw(st.none() | st.permutations(range(len(shape))))
    x = whole(0, *shape)
    attributes = {} if perm is None else {"perm": tuple(perm)}
    (y,) = apply(single("Transpose", ("x",), attributes), {"x": x})
    np.testing.assert_array_equal(y, x.transpose(perm))
    assert y.flags.c_contiguous
    assert not np.may_share_memory(x, y)
