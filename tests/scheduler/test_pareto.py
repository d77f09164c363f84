"""Dominance, against its definition."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.scheduler import pareto
from heterolith.scheduler.pareto import undominated


def tables(rows: int, columns: int) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Return strategies for criteria and groups."""
    column = st.tuples(st.integers(0, 2), *(st.integers(0, 4) for _ in range(rows)))

    def split(items: list[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
        data = np.array(items, np.int64).T
        return data[1:], data[0]

    return st.lists(column, min_size=1, max_size=columns).map(split)


def front(rows: np.ndarray, groups: np.ndarray) -> set[tuple[int, ...]]:
    """Return the minimal points with their group, by definition."""
    points = {(int(g), *map(int, p)) for g, p in zip(groups, rows.T, strict=True)}
    return {
        p
        for p in points
        if not any(
            q != p and q[0] == p[0] and all(a <= b for a, b in zip(q, p, strict=True))
            for q in points
        )
    }


def kept(rows: np.ndarray, groups: np.ndarray) -> list[tuple[int, ...]]:
    """Return the points that remain."""
    keep = undominated(rows, groups, rows.sum(axis=0, dtype=float))
    return [(int(groups[k]), *map(int, rows[:, k])) for k in keep]


@given(st.one_of(tables(1, 30), tables(2, 30), tables(3, 30), tables(4, 60)))
@settings(max_examples=200, deadline=None)
def test_small_tables_keep_the_front_once(table: tuple[np.ndarray, np.ndarray]) -> None:
    """Each minimal point remains exactly once and nothing else does."""
    points = kept(*table)
    assert len(points) == len(set(points))
    assert set(points) == front(*table)


@given(tables(4, 60))
@settings(max_examples=100, deadline=None)
def test_large_tables_lose_no_minimal_point(table: tuple[np.ndarray, np.ndarray]) -> None:
    """Comparing with group leaders only removes dominated points, and all copies but one."""
    small, pareto.SMALL = pareto.SMALL, 0
    try:
        points = kept(*table)
    finally:
        pareto.SMALL = small
    assert front(*table) <= set(points)
    assert set(points) <= {
        (int(g), *map(int, p)) for g, p in zip(table[1], table[0].T, strict=True)
    }


def test_the_marker_of_absence_does_not_disturb_the_order() -> None:
    """Huge values stand for "not there" and are worse than any time."""
    rows = np.array([[1, 1, 1], [2, 2**62, 2], [3, 3, 2**62]], np.int64)
    assert undominated(rows, np.zeros(3, np.int64), np.zeros(3)).tolist() == [0]
