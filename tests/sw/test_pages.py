"""Memory on large pages is zero and aligned, with the system's help and without."""

import mmap

import numpy as np
import pytest

from heterolith.sw import pages


@pytest.fixture(params=["as it is", "none", "refused"])
def large_pages(request, monkeypatch):
    """Offer large pages as this system does, not at all, or refuse them when asked."""
    if request.param == "none":
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    elif request.param == "refused":
        if not hasattr(mmap.mmap, "madvise"):
            pytest.skip("this system has no madvise")
        monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 1 << 20, raising=False)


@pytest.mark.parametrize("size", [1, 100_000])
def test_memory_is_zero_and_begins_on_a_cache_line(large_pages, size):
    """So many bytes that can be written."""
    memory = pages.zeros(size)
    assert (memory.size, memory.dtype) == (size, np.uint8)
    assert not memory.any()
    assert memory.ctypes.data % 64 == 0
    memory.fill(1)


def test_a_mapping_has_so_many_zero_bytes(large_pages):
    """All of them can be written."""
    memory = pages.mapped(5000)
    assert len(memory) == 5000
    assert not any(memory[:])
    memory[4999] = 1


def test_a_mapping_needs_no_flags(monkeypatch):
    """Windows has none."""
    monkeypatch.setattr(pages, "_OWN", {})
    memory = np.frombuffer(pages.mapped(100), np.uint8)
    assert memory.size == 100
    assert not memory.any()


def test_memory_outlives_whoever_asked_for_it():
    """A view of it is enough."""
    view = pages.zeros(3000)[1000:].view(np.float32)
    view.fill(3)
    other = pages.zeros(3000)
    other.fill(1)
    np.testing.assert_array_equal(view, 3)
