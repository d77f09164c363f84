"""Products in float32 give the very integers that an integer loop gives."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.fast.integer import EXACT, IntegerConv, channel_runs


def loop(x, w, zeros, strides, pads):
    """Return the convolution in int64, one tap after the other."""
    x, w = x.astype(np.int64) - zeros[0], w.astype(np.int64) - zeros[1]
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    high = (x.shape[2] - w.shape[2]) // strides[0] + 1
    wide = (x.shape[3] - w.shape[3]) // strides[1] + 1
    total = np.zeros((x.shape[0], w.shape[0], high, wide), np.int64)
    for r in range(w.shape[2]):
        for c in range(w.shape[3]):
            rows = slice(r, r + (high - 1) * strides[0] + 1, strides[0])
            columns = slice(c, c + (wide - 1) * strides[1] + 1, strides[1])
            total += np.einsum("nchw,mc->nmhw", x[:, :, rows, columns], w[:, :, r, c])
    return total


@st.composite
def cases(draw):
    """Draw codes, kernels and geometry; some draws are the worst codes there are."""
    kinds = draw(st.tuples(*[st.sampled_from(["int8", "uint8"])] * 2))
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    size = [k + draw(st.integers(0, 6)) for k in kernel]
    channels, kernels = draw(st.integers(1, 90)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 99)))

    def codes(kind, shape):
        limits = np.iinfo(kind)
        if draw(st.booleans()):
            return np.full(shape, draw(st.sampled_from([limits.min, limits.max])), kind)
        return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)

    zeros = tuple(
        draw(st.integers(int(np.iinfo(kind).min), int(np.iinfo(kind).max))) for kind in kinds
    )
    x = codes(kinds[0], (draw(st.integers(1, 2)), channels, *size))
    strides = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pads = draw(st.tuples(*[st.integers(0, 2)] * 4))
    return x, codes(kinds[1], (kernels, channels, *kernel)), zeros, strides, pads


@settings(max_examples=120, deadline=None, derandomize=True)
@given(cases())
def test_sums_are_those_of_an_integer_loop(case):
    """To the last bit, whatever codes, zero points and geometry."""
    x, w, zeros, strides, pads = case
    conv = IntegerConv(w, x.shape, zeros, x.dtype.name, strides=strides, pads=pads)
    for _ in range(2):
        assert np.array_equal(conv.run(x), loop(x, w, zeros, strides, pads))


def test_channels_are_split_where_float32_would_round():
    """The worst codes at 1025 products: one more than one run holds."""
    for channels, runs in ((1024, 1), (1025, 2), (2049, 3)):
        w = np.full((1, channels, 1, 1), -128, np.int8)
        x = np.full((1, channels, 1, 1), -128, np.int8)
        conv = IntegerConv(w, x.shape)
        assert conv.runs == runs
        assert conv.run(x).item() == channels * 128 * 128


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(1, 300), st.integers(1, 255), st.integers(0, 99))
def test_no_run_may_pass_the_bound(channels, largest, seed):
    """Runs cover all channels in order, each within 2**24."""
    w = np.random.default_rng(seed).integers(-255, 256, (3, channels, 3, 3))
    edges = channel_runs(w, largest)
    assert edges[0] == 0
    assert edges[-1] == channels
    assert edges == sorted(set(edges))
    for first, last in pairwise(edges):
        assert np.abs(w[:, first:last]).sum(axis=(1, 2, 3)).max() * largest <= EXACT


def test_what_cannot_be_exact_is_refused():
    """Sums beyond int32, kernels beyond float32, other dtypes and shapes."""
    with pytest.raises(InputError, match="above int32"):
        IntegerConv(np.full((1, 140_000, 1, 1), 127, np.int8), (1, 140_000, 1, 1))
    with pytest.raises(InputError, match=r"above 2\*\*24; use a smaller kernel"):
        IntegerConv(np.full((1, 1, 40, 40), -128, np.int8), (1, 1, 40, 40))
    with pytest.raises(InputError, match="give int8 or uint8"):
        IntegerConv(np.ones((1, 1, 1, 1), np.int16), (1, 1, 1, 1))
    with pytest.raises(InputError, match="do not fit"):
        IntegerConv(np.ones((1, 2, 1, 1), np.int8), (1, 1, 1, 1))
    conv = IntegerConv(np.ones((1, 1, 1, 1), np.int8), (1, 1, 2, 2))
    with pytest.raises(InputError, match=r"needs int8 of \(1, 1, 2, 2\)"):
        conv.run(np.ones((1, 1, 2, 2), np.uint8))
