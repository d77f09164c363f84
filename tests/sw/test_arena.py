"""An arena hands out memory that nobody holds, the one used last first."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.sw.workers.arena import Arena

KIB = 1 << 10
MIB = 1 << 20


def place(array):
    """Return where an array begins."""
    return array.__array_interface__["data"][0]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 80), st.booleans()), max_size=40))
def test_live_arrays_never_share_memory(steps):
    """Whatever is still held keeps its elements, views of it included."""
    arena = Arena()
    held = []
    for number, (size, drop) in enumerate(steps):
        array = arena.empty((size, 1024), np.float32)
        array.fill(number)
        held.append((number, array[:, 1:].T))
        del array
        if drop:
            held.pop(number % len(held))
        for value, view in held:
            assert np.all(view == value)


def test_released_memory_is_used_again():
    """A buffer comes back once its last view is gone, not earlier."""
    arena = Arena()
    first = arena.empty((256, 256), np.float32)
    where = place(first)
    view = first[1:].reshape(-1)
    del first
    assert place(arena.empty((256, 256), np.float32)) != where
    del view
    assert place(arena.empty((200, 250), np.float32)) != where, "the one handed out last is first"
    held = arena.empty((200, 250), np.float32)
    assert place(arena.empty((200, 250), np.float32)) == where
    del held


def test_a_large_buffer_serves_any_large_array():
    """However much smaller; a larger array gets memory of its own."""
    arena = Arena()
    first = arena.empty((8 * MIB,), np.uint8)
    where = place(first)
    del first
    small = arena.empty((100 * KIB,), np.uint8)
    assert place(small) == where
    del small
    assert place(arena.empty((8 * MIB + 1,), np.uint8)) != where


def test_small_arrays_share_buffers_of_one_size_and_leave_large_ones_alone():
    """A large array never finds its buffer taken by a small one."""
    arena = Arena()
    large = arena.empty((MIB,), np.uint8)
    where = place(large)
    del large
    least = arena.empty((4 * KIB,), np.uint8)
    assert place(least) != where
    small_place = place(least)
    del least
    most = arena.empty((64 * KIB,), np.uint8)
    assert place(most) == small_place
    assert place(arena.empty((64 * KIB + 1,), np.uint8)) == where


def test_tiny_arrays_have_memory_of_their_own():
    """The process has that anyway."""
    arena = Arena()
    assert arena.empty((4 * KIB - 1,), np.uint8).flags.owndata
    assert arena.empty((0, 3), np.float32).shape == (0, 3)
    assert not arena.empty((4 * KIB,), np.uint8).flags.owndata


def test_buffers_begin_on_a_page_whatever_was_cut_off_before():
    """One that is larger than a piece of memory gets a piece of its size."""
    arena = Arena()
    sizes = (64 * KIB + 1, 5 * KIB, 3 * MIB + 7, 20 * MIB, 100 * KIB)
    arrays = [arena.empty((size,), np.uint8) for size in sizes]
    for number, array in enumerate(arrays):
        assert place(array) % 4096 == 0
        array.fill(number)
    for number, array in enumerate(arrays):
        assert (array[0], array[-1]) == (number, number)


def test_arrays_outlive_the_arena_s_memory():
    """Clearing forgets buffers; what is held stays, and new memory is other memory."""
    arena = Arena()
    held = arena.empty((256, 256), np.float32)
    held.fill(1)
    arena.clear()
    arena.empty((256, 256), np.float32).fill(2)
    assert np.all(held == 1)
