"""The simulated DRAM: buffers never meet, freed memory joins up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw.driver.memory import PAGE, CachedBuffer, Dram

BASE = 0x1000_0000


@given(st.lists(st.one_of(st.integers(0, 5 * PAGE), st.integers(-4, -1)), max_size=40))
def test_buffers_never_overlap_and_everything_comes_back(steps):
    """Sizes allocate, negative numbers free one of the buffers held."""
    dram, held = Dram(BASE, 64 * PAGE), {}
    for step in steps:
        if step >= 0:
            try:
                address = dram.allocate(step)
            except InputError:
                assert sum(held.values()) + step > 0
                continue
            assert address % PAGE == 0
            assert all(
                address >= other + size or address + max(step, 1) <= other
                for other, size in held.items()
            )
            held[address] = max(step, 1)
        elif held:
            address = sorted(held)[step % len(held)]
            dram.free(address)
            del held[address]
    for address in held:
        dram.free(address)
    assert dram.buffers == 0
    assert dram.allocate(64 * PAGE) == BASE


def test_a_buffer_that_does_not_fit_is_refused_with_the_largest_gap():
    """Value, bound and remedy."""
    dram = Dram(BASE, 4 * PAGE)
    dram.allocate(PAGE)
    with pytest.raises(InputError, match=f"largest gap of {4 * PAGE} bytes is {3 * PAGE}"):
        dram.allocate(4 * PAGE)


@pytest.mark.parametrize(("address", "size"), [(BASE - 1, 1), (BASE, PAGE + 1), (BASE + PAGE, 1)])
def test_addresses_outside_are_refused(address, size):
    """On either side."""
    with pytest.raises(InputError, match="outside the DRAM"):
        Dram(BASE, PAGE).view(address, size)


@pytest.mark.parametrize(("base", "size"), [(1, PAGE), (0, 1), (0, 0)])
def test_a_dram_is_whole_pages(base, size):
    """Nothing else can be mapped."""
    with pytest.raises(InputError, match="no run of pages"):
        Dram(base, size)


def test_freeing_a_buffer_twice_leaves_its_successor_alone():
    """The address belongs to another by then."""
    dram = Dram(BASE, 4 * PAGE)
    first = CachedBuffer(dram, 10)
    first.free()
    second = CachedBuffer(dram, 10)
    first.free()
    assert second.address == BASE
    assert dram.allocate(1) == BASE + PAGE


def test_a_span_moves_alone():
    """Flush and invalidate copy the bytes that are named."""
    buffer = CachedBuffer(Dram(BASE, PAGE), 8)
    buffer.array[:] = 1
    buffer.flush(slice(2, 4))
    assert buffer.dram.view(BASE, 8).tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    buffer.array[:] = 9
    buffer.invalidate(slice(3, 5))
    assert np.array_equal(buffer.array, [9, 9, 9, 1, 0, 9, 9, 9])
