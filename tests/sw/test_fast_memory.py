"""Memory for constants and scratch is zero, aligned and stays."""

import mmap

import numpy as np
import pytest

from heterolith.sw.fast.memory import Shelf, zeros


@pytest.mark.parametrize("large_pages", [True, False])
@pytest.mark.parametrize("size", [1, 100_000])
def test_memory_is_zero_and_begins_on_a_cache_line(monkeypatch, size, large_pages):
    """With the system's large pages and without."""
    if not large_pages:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    memory = zeros(size)
    assert memory.size == size
    assert not memory.any()
    assert memory.ctypes.data % 64 == 0
    memory[:] = 1


def test_arrays_of_a_shelf_do_not_overlap_and_outlive_it():
    """Small ones share a chunk, large ones have their own."""
    shelf = Shelf()
    shapes = [(3, 5), (1,), (1 << 22,), (7, 0), (2, 9)]
    arrays = [shelf.take(shape) for shape in shapes]
    del shelf
    for number, array in enumerate(arrays):
        array[...] = number
    for number, (array, shape) in enumerate(zip(arrays, shapes, strict=True)):
        assert array.shape == shape
        assert array.ctypes.data % 64 == 0
        assert np.all(array == number)
