"""Dominance: which columns of a table no other column of the same group beats everywhere.

What is removed is always dominated. With one or two rows, or few columns, everything dominated is
removed; else each group's first `LEADERS` survivors are held against all others, which removes
most.
"""

from __future__ import annotations

import numpy as np

from heterolith.scheduler.model import Floats, Ints

LEADERS = 10
"""Comparisons per column of a large table at most."""
SMALL = 200
"""Tables of at most this many columns are compared pair by pair."""
MANY = 4000
"""Columns beyond which a coarse comparison comes first."""
INTERVALS = 1024
"""Intervals of the first row in that comparison."""
CLIP = 2**44
"""Rows are clipped here in the sum that breaks ties of rank."""


def undominated(rows: Ints, groups: Ints, rank: Floats) -> Ints:
    """Return indices of the columns to keep.

    Parameters
    ----------
    rows
        int64 array of shape (criteria, n), small is good.
    groups
        int64 array of shape (n,); columns are compared within a group only.
    rank
        float64 array of shape (n,), monotone in every row: good columns come first in their group.
    """
    if rows.shape[1] <= 1:
        return np.arange(rows.shape[1])
    if len(rows) <= 2:
        some = _coarse(rows[0], rows[-1], groups)
        return some[_front(rows[0, some], rows[-1, some], groups[some])]
    tie = np.minimum(rows, CLIP).sum(axis=0)
    order = np.lexsort((tie, rank, groups))
    keys = groups[order]
    if len(order) <= SMALL:
        before, behind = np.triu(keys[:, None] == keys, 1).nonzero()
        return np.sort(np.delete(order, _beaten(rows, order, before, behind)))
    for leader in range(LEADERS):
        starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
        sizes = np.diff(starts, append=len(keys)) - leader - 1
        large = sizes > 0
        if not large.any():
            break
        starts, sizes = starts[large] + leader, sizes[large]
        firsts = np.repeat(starts + 1 - np.cumsum(sizes) + sizes, sizes)
        behind = _beaten(rows, order, np.repeat(starts, sizes), firsts + np.arange(len(firsts)))
        if len(behind):
            keep = np.ones(len(keys), bool)
            keep[behind] = False
            order, keys = order[keep], keys[keep]
    return np.sort(order)


def _beaten(rows: Ints, order: Ints, before: Ints, behind: Ints) -> Ints:
    """Return the places of ``behind`` that their partner in ``before`` is nowhere above."""
    first, second = order[before], order[behind]
    for row in rows:
        below = (row[first] <= row[second]).nonzero()[0]
        first, second, behind = first[below], second[below], behind[below]
        if not len(behind):
            break
    return behind


def _coarse(first: Ints, second: Ints, groups: Ints) -> Ints:
    """Return the columns that nothing from an earlier interval of the first row beats.

    Linear in the number of columns, where sorting all of them is what takes the time.
    """
    if len(first) <= MANY:
        return np.arange(len(first))
    low = first.min()
    span = max(int(first.max() - low), 1)
    steps = (first - low) * ((INTERVALS - 1) / span)
    cells = (groups - groups.min()) * INTERVALS + steps.astype(np.int64)
    least = np.full(int(cells.max()) // INTERVALS * INTERVALS + INTERVALS, np.iinfo(np.int64).max)
    np.minimum.at(least, cells, second)
    table = np.minimum.accumulate(least.reshape(-1, INTERVALS), axis=1)
    earlier = np.roll(table, 1, axis=1)
    earlier[:, 0] = np.iinfo(np.int64).max
    return np.flatnonzero(second < earlier.ravel()[cells])


def _front(first: Ints, second: Ints, groups: Ints) -> Ints:
    """Return the minimal pairs of each group (one column per pair)."""
    order = np.lexsort((second, first, groups))
    keys = groups[order]
    _, ranks = np.unique(second[order], return_inverse=True)
    fresh = np.concatenate(([True], keys[1:] != keys[:-1]))
    # Later groups rank below all of earlier ones, so that the running minimum starts anew.
    lowered = ranks.reshape(-1) - np.cumsum(fresh) * (len(order) + 1)
    best = np.minimum.accumulate(lowered)
    keep = np.concatenate(([True], lowered[1:] < best[:-1]))
    return np.sort(order[keep])
