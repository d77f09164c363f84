"""numpy is set for a while, in one thread, and put back."""

import threading
from contextlib import suppress

import numpy as np
import pytest

from heterolith.sw.numerics import clip, prepared_numpy


def settings():
    """Return how numpy is set in this thread."""
    return np.getbufsize(), np.geterr()


def test_numpys_settings_are_put_back():
    """After an error as well."""
    before = settings()
    with suppress(KeyError), prepared_numpy():
        assert np.getbufsize() < before[0]
        assert set(np.geterr().values()) == {"ignore"}
        raise KeyError
    assert settings() == before


def test_settings_nest():
    """The inner buffer counts inside, the outer one behind it."""
    before = settings()
    with prepared_numpy(2048):
        outer = settings()
        with prepared_numpy(256):
            assert np.getbufsize() == 256
        assert settings() == outer
        assert outer[0] == 2048
    assert settings() == before


def test_other_threads_keep_their_settings():
    """What one thread sets is its own."""
    found = []
    before = settings()
    with prepared_numpy(256):
        thread = threading.Thread(target=lambda: found.append(settings()))
        thread.start()
        thread.join()
    assert found == [before]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64])
def test_clip_is_numpys(dtype):
    """In place, with bounds of the array's dtype."""
    values = np.arange(-5, 6).astype(dtype)
    expected = np.clip(values, -2, 3)
    found = clip(values, dtype(-2), dtype(3), out=values)
    assert found is values
    np.testing.assert_array_equal(values, expected)


def test_clip_keeps_what_is_no_number():
    """As maxima and minima do, infinite bounds included."""
    values = np.array([np.nan, -np.inf, np.inf], np.float32)
    clip(values, np.float32(0), np.float32(np.inf), out=values)
    np.testing.assert_array_equal(values, [np.nan, 0, np.inf])
