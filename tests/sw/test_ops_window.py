"""Window geometry and the cutting of layers into parts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.sw.ops import products, tiling
from heterolith.sw.ops.window import Window


@st.composite
def windows(draw):
    """Draw a window of two axes with an input size that holds it."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    geometry = {
        "strides": draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
        "dilations": draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
        "pads": draw(st.tuples(*[st.integers(0, 5)] * 4)),
        "ceil_mode": draw(st.integers(0, 1)),
    }
    window = Window.of(kernel, geometry)
    return window, [extent + draw(st.integers(0, 6)) for extent in window.extents]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(windows())
def test_places_are_those_of_a_walk_over_the_padded_input(case):
    """A window is placed while it fits; rounding up adds a place that starts on data or before."""
    window, size = case
    for axis, count in enumerate(window.output(size)):
        before, after = window.pads[axis], window.pads[axis + 2]
        stride, extent = window.strides[axis], window.extents[axis]
        padded = before + size[axis] + after
        starts = [start for start in range(0, padded, stride) if start + extent <= padded]
        more = starts[-1] + stride
        if window.ceil_mode and starts[-1] + extent < padded and more < before + size[axis]:
            starts.append(more)
        assert count == len(starts)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(windows(), st.data())
def test_rows_are_slices_of_the_padded_input(case, data):
    """What some output rows cover is cut from what all cover, padding included."""
    window, size = case
    x = np.arange(2 * size[0] * size[1], dtype=np.float32).reshape(1, 2, *size)
    count = window.output(size)[0]
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first + 1, count))
    whole, rows = window.pad(x, -1), window.cut(x.shape[2:], slice(first, last)).of(x, -1)
    start = first * window.strides[0]
    stop = (last - 1) * window.strides[0] + window.extents[0]
    np.testing.assert_array_equal(rows, whole[:, :, start:stop])
    assert np.count_nonzero(whole >= 0) <= x.size


def test_an_input_without_padding_is_not_copied():
    """Padding of zero, or rows that meet none, give a view."""
    x = np.zeros((1, 1, 8, 8), np.float32)
    assert np.shares_memory(Window.of((3, 3), {}).pad(x), x)
    padded_above = Window.of((3, 3), {"pads": (1, 0, 0, 0)})
    assert np.shares_memory(padded_above.cut((8, 8), slice(1, 4)).of(x), x)
    assert not np.shares_memory(padded_above.cut((8, 8), slice(0, 4)).of(x), x)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(1, 200), st.integers(0, 60), st.integers(1, 5))
def test_even_parts_cover_a_length_once(length, most, threads):
    """Parts follow each other, hold at most what they may and differ by at most one."""
    parts = tiling.even_parts(length, most, threads)
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]
    assert (parts[0].start, parts[-1].stop) == (0, length)
    sizes = {part.stop - part.start for part in parts}
    assert min(sizes) > 0
    assert max(sizes) <= max(1, most)
    assert max(sizes) - min(sizes) <= 1
    assert len(parts) % threads == 0 or len(parts) == length


@pytest.mark.parametrize("group", [1, 4, 8])
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(1, 8, 5, 5), (2, 8, 40, 40), (1, 16, 7, 300)])
def test_parts_of_a_convolution_cover_its_output_once(many_parts, group, threads, shape):
    """Every element belongs to one part, whatever the layer is cut by."""
    kernel = (shape[1], 8 // group, 3, 3)
    seen = np.zeros(shape, int)
    for part in products.conv_parts(shape, kernel, group, 4, threads):
        seen[part] += 1
    assert np.all(seen == 1)
