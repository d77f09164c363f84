"""numpy is set for a while, in one thread, and put back."""

import threading
from contextlib import suppress

import numpy as np
import pytest

from heterolith.sw import numerics
from heterolith.sw.numerics import clip, prepared_numpy, within


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


@pytest.fixture(params=["own", "1.26.4"])
def within_of(request, monkeypatch):
    """Give `within` as this numpy has it and as one does that keeps no context."""
    if request.param != "own":
        monkeypatch.setattr(np, "__version__", request.param)
        monkeypatch.setattr(numerics, "Context", None)
    within.cache_clear()
    yield within
    within.cache_clear()


def test_a_call_computes_as_set_and_puts_numpy_back(within_of):
    """The function gets its arguments, the caller its result and its own settings."""
    before = settings()
    assert before[0] != 256
    found = within_of(256)(lambda *given: (given, settings()), 1, "two")
    assert found == ((1, "two"), (256, dict.fromkeys(before[1], "ignore")))
    assert settings() == before


def test_a_call_that_fails_puts_numpy_back(within_of):
    """Its error reaches the caller as it is."""
    before, error = settings(), KeyError("inside")

    def fail():
        raise error

    with pytest.raises(KeyError) as caught:
        within_of(256)(fail)
    assert caught.value is error
    assert settings() == before


@pytest.mark.parametrize("inner", [256, 2048])
def test_calls_nest(within_of, inner):
    """In others and in those of the same buffer."""

    def outer():
        first = np.getbufsize()
        return first, within_of(inner)(np.getbufsize), np.getbufsize()

    assert within_of(2048)(outer) == (2048, inner, 2048)


def test_two_threads_call_at_once(within_of):
    """Each is inside while the other is, and has its own settings back."""
    call, barrier, found = within_of(256), threading.Barrier(2, timeout=10), []

    def inside():
        barrier.wait()
        seen = settings()
        barrier.wait()
        return seen

    def work():
        before = settings()
        found.append((call(inside), settings() == before))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [((256, dict.fromkeys(np.geterr(), "ignore")), True)] * 2


def test_what_a_call_sets_is_forgotten(within_of):
    """Neither the caller nor the next call finds it."""
    before, call = settings(), within_of(256)

    def change():
        np.setbufsize(4096)
        np.seterr(all="raise")

    call(change)
    assert settings() == before
    assert call(settings) == (256, dict.fromkeys(before[1], "ignore"))


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
