"""Passes compute what one call of numpy computes, whatever form they take."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.sw.fast.passes import swept


@settings(max_examples=60, deadline=None)
@given(
    pixels=st.integers(0, 700),
    channels=st.sampled_from([1, 3, 16, 17, 64, 4096, 5000]),
    gap=st.sampled_from([0, 1, 16]),
    function=st.sampled_from([np.add, np.maximum, np.minimum]),
    scalar=st.booleans(),
    apart=st.booleans(),
)
def test_a_pass_is_one_call_of_numpy(pixels, channels, gap, function, scalar, apart):
    """On contiguous and other memory, in place and not."""
    rng = np.random.default_rng(0)
    pixels = pixels if channels < 1000 else pixels % 5
    values = rng.standard_normal((pixels, channels + gap), np.float32)[:, :channels]
    bound = np.array(0.5, np.float32) if scalar else rng.standard_normal(channels, np.float32)
    expected = function(values, bound)
    out = np.empty((pixels, channels), np.float32) if apart else None
    for step in swept(function, values, bound, out):
        step()
    assert np.array_equal(out if apart else values, expected)


def test_blocks_of_a_layer_share_the_repeated_bias():
    """It would be read from memory for each of them."""
    bias = np.arange(64, dtype=np.float32)
    first, second = (swept(np.add, np.zeros((640, 64), np.float32), bias)[0] for _ in range(2))
    assert first.args[1] is not bias
    assert np.shares_memory(first.args[1], second.args[1])
