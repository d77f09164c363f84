"""The columns of a label table, and taking, joining and tracing them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.model import Floats, Ints

UNDECIDED, MIXED = -1, -2


@dataclass(frozen=True, slots=True)
class Columns:
    """Ways to carry out the first tasks of a module.

    Attributes
    ----------
    rows
        State by `labels.Layout`, int64 array of shape (rows, n).
    busy
        Busy intervals of watched modules (`power`), shape (items, 3, n).
    parents, picks
        Column of the step before and choice index of the last task, shape (n,).
    loyal
        Device on which every task runs that can; `UNDECIDED` before the first, else `MIXED`.
    ranks
        `bounds.Scores.ranks`, shape (2, n).
    """

    rows: Ints
    busy: Ints
    parents: Ints
    picks: Ints
    loyal: Ints
    ranks: Floats

    def __len__(self) -> int:
        return int(self.rows.shape[1])

    def take(self, columns: Ints) -> Columns:
        """Return some of the columns, each row of them contiguous."""
        return Columns(
            self.rows.take(columns, axis=1),
            self.busy.take(columns, axis=2),
            self.parents[columns],
            self.picks[columns],
            self.loyal[columns],
            self.ranks.take(columns, axis=1),
        )


def join_columns(parts: Sequence[Columns]) -> Columns:
    """Join columns of one step, padding busy intervals with empty ones."""
    items = max(len(part.busy) for part in parts)
    busy = [_padded(part.busy, items) for part in parts]
    return Columns(
        np.concatenate([part.rows for part in parts], axis=1),
        np.concatenate(busy, axis=2),
        np.concatenate([part.parents for part in parts]),
        np.concatenate([part.picks for part in parts]),
        np.concatenate([part.loyal for part in parts]),
        np.concatenate([part.ranks for part in parts], axis=1),
    )


def _padded(busy: Ints, items: int) -> Ints:
    if len(busy) == items:
        return busy
    return np.concatenate([busy, np.zeros((items - len(busy), *busy.shape[1:]), np.int64)])


def trace(history: Sequence[tuple[Ints, Ints]], columns: Ints) -> Ints:
    """Return the choices that led to columns, shape (steps, n), from (parents, picks) per step."""
    picks = np.zeros((len(history), len(columns)), np.int64)
    for position in range(len(history) - 1, -1, -1):
        parents, chosen = history[position]
        picks[position] = chosen[columns]
        columns = parents[columns]
    return picks


def loyalty(loyal: Ints, able: Sequence[int], device: int) -> Ints:
    """Return `Columns.loyal` after a task, which ``able`` devices can run, has run on a device."""
    moved = loyal
    for other in able:
        if other != device:
            moved = np.where(moved == other, MIXED, moved)
    return np.where(moved == UNDECIDED, device, moved)
