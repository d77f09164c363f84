"""Work is handed out whole and evenly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.sw.fast.shares import assigned
from heterolith.sw.fast.work import Work


def works(pairs):
    """Return works of given units and costs."""
    return [Work(units=units, cost_us=cost, build=lambda *_: []) for units, cost in pairs]


def loads(shares):
    """Return the estimated time of each worker."""
    return [sum(task.cost_us for task in tasks) for tasks in shares]


@given(
    pairs=st.lists(st.tuples(st.integers(1, 60), st.floats(0, 900)), min_size=1, max_size=6),
    threads=st.integers(1, 4),
)
def test_every_unit_is_computed_once(pairs, threads):
    """Ranges of a work follow each other without gaps, and workers take them in order."""
    given_works = works(pairs)
    shares = assigned(given_works, threads)
    assert len(shares) == threads
    for work in given_works:
        ranges = [(t.first, t.last) for tasks in shares for t in tasks if t.work is work]
        assert [first for first, _ in ranges] == [0, *(last for _, last in ranges[:-1])]
        assert ranges[-1][1] == work.units


def test_the_dearest_work_levels_the_loads():
    """A small work that stays whole is made up for."""
    shares = assigned(works([(100, 600.0), (1, 200.0), (50, 100.0)]), 2)
    assert loads(shares) == pytest.approx([450, 450], abs=6)
    assert sum(len(tasks) for tasks in shares) == 4


def test_a_worker_with_more_than_its_share_gets_nothing_of_the_rest():
    """What cannot be cut may be dearer than all the rest."""
    shares = assigned(works([(1, 900.0), (60, 300.0)]), 3)
    assert loads(shares) == pytest.approx([900, 150, 150])


def test_small_works_come_first():
    """What all of a phase read is still in a cache for them."""
    (tasks,) = assigned(works([(9, 50.0), (9, 500.0), (1, 5.0)]), 1)
    assert [task.cost_us for task in tasks] == [5.0, 50.0, 500.0]
