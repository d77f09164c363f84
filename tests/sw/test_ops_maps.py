"""Prepared poolings equal the plain ones, concatenations and transpositions numpy's."""

from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.sw.execute import apply, prepare
from heterolith.sw.network import Activation, Layer
from heterolith.sw.ops import compute, maps
from heterolith.sw.workers.team import Team

from .drawn import DRAWN, whole


def single(op, inputs, attributes=None, **more):
    """Return a layer of one output."""
    return Layer(
        name="one", op=op, inputs=inputs, outputs=("y",), attributes=attributes or {}, **more
    )


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


def channels_last(x):
    """Return the same values with channels next to each other in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


LAYOUTS = [np.ascontiguousarray, np.asfortranarray, channels_last]


@st.composite
def even_pools(draw):
    """Draw attributes of a pooling of strides 1, and an input size that holds its window."""
    rank = draw(st.integers(1, 3))
    kernel = draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    attributes = {
        "kernel_shape": kernel,
        "dilations": draw(st.lists(st.integers(1, 2), min_size=rank, max_size=rank)),
        "pads": [draw(st.integers(0, k - 1)) for k in kernel * 2],
    }
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, attributes["dilations"], strict=True)]
    return attributes, [span + draw(st.integers(0, 6)) for span in spans]


@settings(DRAWN, max_examples=80)
@given(
    op=st.sampled_from(
        [("MaxPool", {}), *(("AveragePool", {"count_include_pad": n}) for n in (0, 1))]
    ),
    pool=even_pools(),
    layout=st.sampled_from(LAYOUTS),
    threads=st.integers(1, 2),
)
def test_prepared_poolings_of_stride_1_are_the_plain_ones(many_parts, op, pool, layout, threads):
    """Of inputs in any order in memory, cut into parts of few channels."""
    (name, more), (attributes, size) = op, pool
    attributes = {**attributes, **more}
    x = layout(whole(sum(size), 2, 5, *size))
    with closing(Team(threads)) as team:
        (y,) = apply(single(name, ("x",), attributes), {"x": x}, team)
    (expected,) = compute(name, attributes, [np.ascontiguousarray(x)])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("side", "flat"), [(8, True), (6, False)])
def test_poolings_pass_over_one_stretch_where_most_of_it_counts(monkeypatch, side, flat):
    """A window of 3 x 3 leaves 36 of 64 places, but 16 of 36 only."""
    taken = []

    def spied(*given):
        taken.append(given)
        return pool_flat(*given)

    pool_flat = maps.pool_flat
    monkeypatch.setattr(maps, "pool_flat", spied)
    apply(single("MaxPool", ("x",), {"kernel_shape": (3, 3)}), {"x": whole(0, 1, 2, side, side)})
    assert bool(taken) is flat


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_a_prepared_pooling_takes_an_input_of_another_order(layout):
    """What was prepared on rows of memory may meet a view of what another layer made."""
    layer = single("MaxPool", ("x",), {"kernel_shape": (3, 3)})
    rows = whole(0, 1, 4, 9, 9)
    run = prepare(layer, {"x": rows}, Team(1))
    expected = run({"x": rows})[0].copy()
    x = layout(rows)
    assert not x.flags.c_contiguous
    np.testing.assert_array_equal(run({"x": x})[0], expected)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(("images", "channels"), [(0, 2), (1, 0)])
def test_a_pooling_of_no_elements_has_none(op, images, channels):
    """Whether there is no image or no channel."""
    layer = single(op, ("x",), {"kernel_shape": (2, 2)})
    (y,) = apply(layer, {"x": whole(0, images, channels, 4, 5)})
    assert y.shape == (images, channels, 3, 4)
