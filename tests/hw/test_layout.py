"""DRAM layouts: the documented formulas, element by element."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw.compiler import layout

SHAPES = st.tuples(*[st.integers(1, n) for n in (2, 20, 4, 5)])


@given(SHAPES, st.sampled_from([8, 16]))
def test_blocks_follow_the_formula_and_come_back(shape, lanes):
    """Channel c of pixel (y, x) stands where the document says; unpacking inverts packing."""
    _, c, h, w = shape
    x = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    flat = layout.pack_blocks(x, lanes).reshape(-1)
    for i, j, y, k in np.ndindex(*shape):
        at = ((i * -(-c // lanes) + j // lanes) * h * w + y * w + k) * lanes + j % lanes
        assert flat[at] == x[i, j, y, k]
    assert np.array_equal(layout.unpack_blocks(flat.view(np.uint8), shape, lanes), x)


@given(st.tuples(st.just(2), st.integers(1, 4), st.integers(1, 4), st.integers(1, 9)))
def test_image_follows_the_formula(shape):
    """Four bytes per pixel, rows padded to whole beats."""
    n, _, h, w = shape
    x = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
    pitch = layout.image_pitch(w, 16)
    flat = layout.pack_image(x, 16).reshape(-1)
    assert flat.size == n * h * pitch * 16
    for i, j, y, k in np.ndindex(*shape):
        assert flat[i * h * pitch * 16 + y * pitch * 16 + 4 * k + j] == x[i, j, y, k]


def test_images_have_at_most_four_channels():
    """A fifth channel has no place."""
    with pytest.raises(InputError, match="at most 4"):
        layout.pack_image(np.zeros((1, 5, 2, 2), np.int8), 16)


def test_dense_weights_follow_the_formula():
    """Element e and lane l of a word are output channel and input channel of one tap."""
    w = np.random.default_rng(1).integers(-127, 128, (20, 9, 2, 3)).astype(np.int8)
    words = layout.pack_dense(w, 16, 8)
    assert words.shape == (2, 2, 2, 3, 16, 8)
    for o, i, y, x in np.ndindex(*w.shape):
        assert words[o // 16, i // 8, y, x, o % 16, i % 8] == w[o, i, y, x]
    assert np.count_nonzero(words) == np.count_nonzero(w)


def test_image_weights_put_neighbouring_pixels_on_lanes():
    """Lane 4 t + c of a step is channel c of its pixel t."""
    w = np.random.default_rng(2).integers(-127, 128, (5, 3, 2, 7)).astype(np.int8)
    words = layout.pack_image_weights(w, 16, 16)
    assert words.shape == (1, 2, 2, 16, 16)
    for o, i, y, x in np.ndindex(*w.shape):
        assert words[0, y, x // 4, o, 4 * (x % 4) + i] == w[o, i, y, x]
    assert np.count_nonzero(words) == np.count_nonzero(w)


@pytest.mark.parametrize("window", [1, 3])
def test_depthwise_weights_put_taps_on_lanes(window):
    """Lane t of element e is tap t of channel e; elements beyond the lanes are 0."""
    w = np.random.default_rng(3).integers(-127, 128, (20, 2, 3)).astype(np.int8)
    words = layout.pack_depthwise(w, window, 32, 16)
    assert words.shape == (2, 2, 3 // window, 32, 16)
    for c, y, x in np.ndindex(*w.shape):
        assert words[c // 16, y, x // window, c % 16, x % window] == w[c, y, x]
    assert np.count_nonzero(words) == np.count_nonzero(w)


def test_parameters_by_hand():
    """Eight bytes per channel; lanes without a channel give the zero point."""
    words = layout.pack_parameters(
        np.array([-2], np.int32), np.array([40000], np.uint16), np.array([9], np.uint8), 8
    )
    assert words.shape == (1, 64)
    assert words[0, :16].tolist() == [
        0xFE,
        0xFF,
        0xFF,
        0xFF,
        0x40,
        0x9C,
        9,
        0,
        *[0] * 5,
        128,
        47,
        0,
    ]
