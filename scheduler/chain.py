"""From modules to a plan: bounds along the chain of cuts, and label setting over it.

A label at a cut is a device and the criteria so far. Labels are extended by every way through the
next module and pruned by the exact remaining scores, by dominance, and last by width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.bounds import Scores, make_scores
from heterolith.scheduler.model import LARGEST, Floats, Ints, Model
from heterolith.scheduler.pareto import undominated
from heterolith.scheduler.search import ModuleTable


@dataclass(frozen=True, slots=True)
class ChainBounds:
    """Least scores before and after each cut, arrays of shape (scores, devices).

    ``before[k]`` is for the entry of module k, ``after[k]`` for its exit.
    """

    before: list[Floats]
    after: list[Floats]

    @property
    def totals(self) -> Floats:
        """Least scores of a whole plan, shape (scores,)."""
        return np.asarray(self.before[-1].min(axis=1))


def chain_bounds(crossings: Sequence[Floats], home: int) -> ChainBounds:
    """Sum least scores of modules, arrays of shape (scores, devices in, devices out), both ways."""
    scores, devices, _ = crossings[0].shape
    start = np.full((scores, devices), np.inf)
    start[:, home] = 0.0
    before, after = [start], [start]
    for crossing in crossings:
        before.append((before[-1][:, :, None] + crossing).min(axis=1))
    for crossing in reversed(crossings[1:]):
        after.append((crossing + after[-1][:, None, :]).min(axis=2))
    after.reverse()
    return ChainBounds(before, after)


def table_crossing(table: ModuleTable, weights: Floats, devices: int) -> Floats:
    """Return the least scores of a module from its table.

    Parameters
    ----------
    weights
        Scores by criteria, shape (scores, criteria).
    """
    crossing = np.full((len(weights), devices * devices), np.inf)
    if len(table.entry):
        scores = weights @ table.criteria
        doors = table.entry * devices + table.exit
        order = np.argsort(doors, kind="stable")
        starts = np.flatnonzero(np.diff(doors[order], prepend=-1))
        crossing[:, doors[order][starts]] = np.minimum.reduceat(scores[:, order], starts, axis=1)
    return crossing.reshape(len(weights), devices, devices)


@dataclass(frozen=True, slots=True)
class Composition:
    """The best plan through the modules' tables.

    ``picks`` is the choice index per task; ``value`` is `LARGEST` if there is no plan.
    """

    value: int
    picks: tuple[int, ...]
    dropped: float


@dataclass(slots=True)
class _Labels:
    devices: Ints
    criteria: Ints
    parents: Ints
    ways: Ints
    values: Floats


class Composer:
    """Label setting over the cuts of a model."""

    def __init__(
        self,
        model: Model,
        tables: Sequence[ModuleTable],
        scores: Scores,
        bounds: ChainBounds,
        best: int,
    ) -> None:
        self.model, self.tables, self.scores, self.bounds = model, tables, scores, bounds
        self.ceilings = scores.ceilings(best - 1)
        self.dropped = np.inf

    def run(self, width: int) -> Composition:
        """Return the best composition of value below ``best``."""
        count = len(self.model.limits)
        nothing = np.zeros(1, np.int64)
        labels = _Labels(
            np.array([self.model.problem.home]),
            np.zeros((count, 1), np.int64),
            nothing,
            nothing,
            np.zeros(1),
        )
        history = []
        for position in range(len(self.tables)):
            labels = self._extend(labels, position, width)
            history.append(labels)
        return self._best(history)

    def _extend(self, labels: _Labels, position: int, width: int) -> _Labels:
        table, after = self.tables[position], self.bounds.after[position]
        starts = np.searchsorted(table.entry, np.arange(len(after[0]) + 1))
        paid = self.scores.weights @ labels.criteria
        ahead = self.scores.weights @ table.criteria + after[:, table.exit]
        parts: list[tuple[Ints, Ints, Floats]] = []
        for device in range(len(after[0])):
            here = np.flatnonzero(labels.devices == device)
            ways = np.arange(starts[device], starts[device + 1])
            if len(here) and len(ways):
                parts += self._pairs(paid, ahead, here, ways)
        if not parts:
            parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
        parents, taken, values = (np.concatenate(rows) for rows in zip(*parts, strict=True))
        if len(values) > CANDIDATES * width:
            order = np.argsort(values, kind="stable")
            self.dropped = min(self.dropped, float(values[order[CANDIDATES * width]]))
            order = order[: CANDIDATES * width]
            parents, taken, values = parents[order], taken[order], values[order]
        criteria = labels.criteria[:, parents] + table.criteria[:, taken]
        exits = table.exit[taken]
        keep = undominated(criteria, exits, values)
        if len(keep) > width:
            order = keep[np.argsort(values[keep], kind="stable")]
            self.dropped = min(self.dropped, float(values[order[width]]))
            keep = np.sort(order[:width])
        return _Labels(exits[keep], criteria[:, keep], parents[keep], taken[keep], values[keep])

    def _pairs(
        self, paid: Floats, ahead: Floats, here: Ints, ways: Ints
    ) -> list[tuple[Ints, Ints, Floats]]:
        """Return the pairs of label and way that no score rules out."""
        found = []
        block = max(1, PAIRS // len(ways))
        for first in range(0, len(here), block):
            some = here[first : first + block]
            bounds = paid[:, some, None] + ahead[:, None, ways]
            row, column = np.nonzero((bounds <= self.ceilings[:, None, None]).all(axis=0))
            values = self.scores.values(bounds[:, row, column])
            found.append((some[row], ways[column], values))
        return found

    def _best(self, history: list[_Labels]) -> Composition:
        labels = history[-1]
        scaled = [
            -(-labels.criteria[row] // scale)
            for row, scale in enumerate(self.model.scales)
            if scale
        ]
        values = np.max(scaled, axis=0)
        limits = np.array(self.model.limits)[:, None]
        values[(labels.criteria > limits).any(axis=0)] = LARGEST
        if not len(values) or values.min() >= LARGEST:
            return Composition(LARGEST, (), self.dropped)
        column = int(values.argmin())
        value = int(values[column])
        picks: list[int] = []
        for table, labels in zip(reversed(self.tables), reversed(history), strict=True):
            way = int(labels.ways[column])
            picks = table.picks[:, way].tolist() + picks
            column = int(labels.parents[column])
        return Composition(value, tuple(picks), self.dropped)


CANDIDATES = 4
"""Candidates per allowed label that are held against each other."""
PAIRS = 500_000
"""Pairs of label and way that are held against the ceilings at once."""
