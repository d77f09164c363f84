"""Dominance: which columns of a table no other column of the same group beats everywhere.

What is removed is always dominated. With one or two rows everything that is dominated is removed; with
more rows each group's first `LEADERS` survivors are held against all others, which removes most.
"""

from __future__ import annotations

import numpy as np

from heterolith.scheduler.model import Floats, Ints

LEADERS = 10
"""Comparisons per column at most."""
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
        return _front(rows[0], rows[-1], groups)
    tie = np.minimum(rows, CLIP).sum(axis=0)
    order = np.lexsort((tie, rank, groups))
    keys, table = groups[order], rows[:, order]
    for leader in range(LEADERS):
        starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1))
        sizes = np.diff(starts, append=len(keys)) - leader - 1
        large = sizes > 0
        if not large.any():
            break
        starts, sizes = starts[large] + leader, sizes[large]
        leaders = np.repeat(starts, sizes)
        firsts = np.repeat(starts + 1 - np.cumsum(sizes) + sizes, sizes)
        behind = firsts + np.arange(len(firsts))
        for row in table:
            beaten = np.flatnonzero(row[leaders] <= row[behind])
            leaders, behind = leaders[beaten], behind[beaten]
            if not len(behind):
                break
        if len(behind):
            keep = np.ones(len(keys), bool)
            keep[behind] = False
            order, keys, table = order[keep], keys[keep], table[:, keep]
    return np.sort(order)


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
