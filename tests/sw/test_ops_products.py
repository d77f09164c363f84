"""Prepared convolutions and matrix products equal the plain operators, however they are cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.execute import prepare
from heterolith.sw.network import Layer
from heterolith.sw.ops.conv import conv
from heterolith.sw.ops.linear import gemm
from heterolith.sw.workers.team import Team

from .drawn import DRAWN, whole


@pytest.fixture(scope="module", params=[1, 2])
def team(request):
    """Teams of one and of two threads."""
    team = Team(request.param)
    yield team
    team.close()


def prepared(op, attributes, team, **arrays):
    """Return an operator prepared for arrays like these, to its only result."""
    layer = Layer(name="one", op=op, inputs=tuple(arrays), outputs=("y",), attributes=attributes)
    run = prepare(layer, arrays, team)
    return lambda **given: run(given)[0]


@DRAWN
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    group=st.sampled_from([1, 2, 4]),
    extent=st.tuples(st.integers(5, 30), st.integers(5, 30)),
)
def test_rows_of_an_input_without_padding_are_read_in_place(
    many_parts, team, kernel, strides, dilations, group, extent
):
    """A part of several channels is no run of memory, with strides and dilations neither."""
    geometry = {"strides": strides, "dilations": dilations, "group": group}
    x, w = whole(0, 2, 4, *extent), whole(1, 8, 4 // group, *kernel)
    run = prepared("Conv", geometry, team, x=x, w=w)
    np.testing.assert_array_equal(run(x=x, w=w), conv(x, w, **geometry))


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_an_input_of_any_layout_is_convolved(many_parts, team, channels, layout):
    """Inputs may be views of what other layers made."""
    x = layout(whole(0, 1, channels, 20, 20))
    w = whole(1, 4, channels, 1, 1)
    run = prepared("Conv", {}, team, x=x, w=w)
    np.testing.assert_array_equal(run(x=x, w=w), conv(x, w))


@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_weights_may_change_from_run_to_run(team, group, layout):
    """They are an activation then: another array, or the same one with other values."""
    x, w, b = whole(0, 1, 4, 9, 9), layout(whole(1, 8, 4 // group, 3, 3)), whole(2, 8)
    run = prepared("Conv", {"group": group}, team, x=x, w=w, b=b)
    for change in (0, 1, 2):
        given_w, given_b = w + np.float32(change), b - np.float32(change)
        expected = conv(x, given_w, given_b, group=group)
        np.testing.assert_array_equal(run(x=x, w=given_w, b=given_b), expected)
    run(x=x, w=w, b=b)
    w *= 2
    b += 1
    np.testing.assert_array_equal(run(x=x, w=w, b=b), conv(x, w, b, group=group))


@pytest.mark.parametrize("turned", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("bias", [None, (), (1,), (5,), (3, 1), (3, 5)])
def test_a_product_of_matrices_is_the_plain_one(many_parts, team, turned, bias):
    """In any orientation, scaled, plus anything that broadcasts."""
    a, b = (
        whole(0, *((4, 3) if turned[0] else (3, 4))),
        whole(1, *((5, 4) if turned[1] else (4, 5))),
    )
    attributes = {"transA": turned[0], "transB": turned[1], "alpha": 0.5, "beta": 2.0}
    arrays = {"a": a, "b": b} if bias is None else {"a": a, "b": b, "c": whole(2, *bias)}
    run = prepared("Gemm", attributes, team, **arrays)
    np.testing.assert_array_equal(run(**arrays), gemm(*arrays.values(), **attributes))


@pytest.mark.parametrize("columns", [1, 6])
@pytest.mark.parametrize(
    "bias", [None, (), (1,), ("n",), (1, 1), (1, "n"), ("m", 1), ("m", "n")], ids=str
)
def test_any_bias_that_broadcasts_is_added(many_parts, team, columns, bias):
    """Scaled by a half, whether it has columns to cut or none."""
    arrays = {"a": whole(0, 3, 4), "b": whole(1, 4, columns)}
    if bias is not None:
        extents = {"m": 3, "n": columns, 1: 1}
        arrays["c"] = np.asarray(whole(2, *(extents[extent] for extent in bias)), np.float32)
    run = prepared("Gemm", {"beta": 0.5}, team, **arrays)
    np.testing.assert_array_equal(run(**arrays), gemm(*arrays.values(), beta=0.5))


@pytest.mark.parametrize(
    "bias", [(3,), (1, 3), (3, 3), (2,), (2, 6), (6, 3), (0,), (1, 3, 6)], ids=str
)
def test_a_bias_that_does_not_broadcast_is_refused(many_parts, team, bias):
    """Even if it fits a part: each of two threads computes 3 of the 6 columns."""
    arrays = {"a": whole(0, 3, 4), "b": whole(1, 4, 6), "c": whole(2, *bias)}
    with pytest.raises(InputError, match=r"Gemm does not fit inputs|bias of shape"):
        prepared("Gemm", {}, team, **arrays)(**arrays)
