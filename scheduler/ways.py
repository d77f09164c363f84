"""Pareto-optimal ways through one module: what a module's search returns and the chain composes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.model import Floats, Ints
from heterolith.scheduler.pareto import undominated


@dataclass(frozen=True, slots=True)
class ModuleTable:
    """Pareto-optimal ways through a module.

    Attributes
    ----------
    entry, exit
        States (`Model.states`), int64 arrays of shape (n,), in order of entry.
    criteria
        int64 array of shape (criteria, n).
    picks
        Choice index per task of the module, shape (tasks, n).
    dropped
        Least value of any plan through a column that was dropped for lack of width; infinite if
        none was: the table then holds a best plan's way through.
    """

    entry: Ints
    exit: Ints
    criteria: Ints
    picks: Ints
    dropped: float

    @property
    def complete(self) -> bool:
        """Whether nothing was dropped for lack of width."""
        return self.dropped == np.inf


def merge(first: ModuleTable, second: ModuleTable) -> ModuleTable:
    """Return the Pareto-optimal ways among two tables of one module."""
    entry = np.concatenate([first.entry, second.entry])
    exits = np.concatenate([first.exit, second.exit])
    criteria = np.concatenate([first.criteria, second.criteria], axis=1)
    picks = np.concatenate([first.picks, second.picks], axis=1)
    doors = entry * (exits.max(initial=0) + 1) + exits
    front = undominated(criteria, doors, criteria.sum(axis=0, dtype=float))
    front = front[np.argsort(entry[front], kind="stable")]
    dropped = max(first.dropped, second.dropped)
    return ModuleTable(entry[front], exits[front], criteria[:, front], picks[:, front], dropped)


def table_crossing(table: ModuleTable, weights: Floats, modes: int, devices: int) -> Floats:
    """Return the least scores of a module from its table.

    Parameters
    ----------
    weights
        Scores by criteria, shape (scores, criteria).

    Returns
    -------
    crossing
        Shape (scores, modes, devices in, devices out).
    """
    crossing = np.full((len(weights), modes * devices * devices), np.inf)
    if len(table.entry):
        scores = weights @ table.criteria
        doors = table.entry * devices + table.exit % devices
        order = np.argsort(doors, kind="stable")
        starts = np.flatnonzero(np.diff(doors[order], prepend=-1))
        crossing[:, doors[order][starts]] = np.minimum.reduceat(scores[:, order], starts, axis=1)
    return crossing.reshape(len(weights), modes, devices, devices)
