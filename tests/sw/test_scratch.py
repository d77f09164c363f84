"""Scratch memory is each thread's own, grows, and stays valid while anyone holds it."""

import gc
import threading
import weakref

import numpy as np

from heterolith.sw.workers import scratch as module
from heterolith.sw.workers.scratch import Scratch


def place(array):
    """Return where an array begins."""
    return array.__array_interface__["data"][0]


def test_a_slot_is_the_same_memory_whatever_shape_is_taken():
    """It stays in the caches from layer to layer."""
    scratch = Scratch()
    first = scratch.take(0, (3, 5), np.float32)
    second = scratch.take(0, (7,), np.int8)
    assert (first.shape, first.dtype) == ((3, 5), np.float32)
    assert (second.shape, second.dtype) == ((7,), np.int8)
    assert place(first) == place(second)
    assert place(first) % 64 == 0


def test_slots_of_a_thread_do_not_overlap():
    """What one slot holds is not touched by another."""
    scratch = Scratch()
    arrays = [scratch.take(slot, (1000,), np.float32) for slot in range(3)]
    for number, array in enumerate(arrays):
        array.fill(number)
    assert [set(array) for array in arrays] == [{0.0}, {1.0}, {2.0}]


def test_a_slot_grows_and_what_was_taken_before_stays_valid():
    """More than a slot has is new memory; the old one lives as long as its arrays."""
    scratch = Scratch()
    small = scratch.take(0, (4,), np.float32)
    small.fill(1)
    large = scratch.take(0, (module._LEAST_BYTES + 1,), np.uint8)
    large.fill(2)
    assert large.size == module._LEAST_BYTES + 1
    assert place(scratch.take(0, (4,), np.float32)) == place(large)
    np.testing.assert_array_equal(small, 1)


def test_threads_have_memory_of_their_own():
    """The same slot of two threads is two places."""
    scratch = Scratch()
    mine = scratch.take(0, (1000,), np.float32)
    mine.fill(1)
    others = []

    def take():
        others.append(scratch.take(0, (1000,), np.float32))
        others[0].fill(2)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(mine, 1)
    np.testing.assert_array_equal(others[0], 2)


def test_the_memory_of_a_thread_that_ended_goes_to_the_next():
    """Every run of a plan has threads of its own; their memory should stay in the caches."""
    scratch, places = Scratch(), []
    for _ in range(3):
        thread = threading.Thread(
            target=lambda: places.append(place(scratch.take(0, (9,), np.float32)))
        )
        thread.start()
        thread.join()
    assert len(set(places)) == 1


def test_cleared_memory_is_given_back_and_new_memory_taken():
    """A later take has a place of its own, arrays taken before stay valid."""
    scratch = Scratch()
    kept = scratch.take(0, (9,), np.float32)
    kept.fill(1)
    forgotten = weakref.ref(scratch.take(1, (9,), np.float32).base)
    scratch.clear()
    gc.collect()
    assert forgotten() is None
    scratch.take(0, (9,), np.float32).fill(2)
    np.testing.assert_array_equal(kept, 1)


def test_clearing_reaches_the_memory_of_other_threads():
    """While they live, and it does not come back when they end."""
    scratch, found = Scratch(), []
    barrier = threading.Barrier(2, timeout=10)

    def work():
        found.append(weakref.ref(scratch.take(0, (9,), np.float32).base))
        barrier.wait()
        barrier.wait()

    thread = threading.Thread(target=work)
    thread.start()
    barrier.wait()
    scratch.clear()
    gc.collect()
    gone = found[0]() is None
    barrier.wait()
    thread.join()
    assert gone
    assert scratch._left == []
