"""Memory for constants is aligned and stays."""

import numpy as np

from heterolith.sw.fast.memory import Shelf


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
