"""From modules to a plan: bounds along the chain of cuts, and label setting over it.

A label at a cut is a device and the criteria so far. Labels are extended by every way through the
next module and pruned by the exact remaining scores, by dominance, and last by width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.bounds import Scores, by_promise
from heterolith.scheduler.model import LARGEST, Floats, Ints, Model
from heterolith.scheduler.pareto import undominated
from heterolith.scheduler.ways import ModuleTable

FEWEST = 300
"""Candidates at a cut that are always allowed."""
PAIRS = 16
"""Pairs of label and way that cost as much as the comparison of one candidate."""
BLOCK = 500_000
"""Pairs that are held against the ceilings at once."""


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
    ranks: Floats


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

    def run(self, effort: int) -> Composition:
        """Return the best composition of value below ``best``.

        Labels are narrowed so that about ``effort`` candidates are compared in all.
        """
        count = len(self.model.limits)
        nothing = np.zeros(1, np.int64)
        labels = _Labels(
            np.array([self.model.problem.home]),
            np.zeros((count, 1), np.int64),
            nothing,
            nothing,
            np.zeros((2, 1)),
        )
        history = []
        for position in range(len(self.tables)):
            allowed = effort // (len(self.tables) - position)
            labels, compared = self._extend(labels, position, max(allowed, FEWEST))
            effort -= compared
            history.append(labels)
        return self._best(history)

    def _extend(self, labels: _Labels, position: int, allowed: int) -> tuple[_Labels, int]:
        table, after = self.tables[position], self.bounds.after[position]
        starts = np.searchsorted(table.entry, np.arange(len(after[0]) + 1))
        ways = np.diff(starts)
        rows = self._affordable(labels, ways[labels.devices], allowed)
        paid = self.scores.weights @ labels.criteria
        ahead = self.scores.weights @ table.criteria + after[:, table.exit]
        parts: list[tuple[Ints, Ints, Floats]] = []
        for device in range(len(ways)):
            here = rows[labels.devices[rows] == device]
            if len(here) and ways[device]:
                through = np.arange(starts[device], starts[device + 1])
                parts += self._pairs(paid, ahead, here, through)
        if not parts:
            parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((2, 0)))]
        parents, taken = (np.concatenate([part[row] for part in parts]) for row in (0, 1))
        ranks = np.concatenate([part[2] for part in parts], axis=1)
        compared = len(parents)
        if compared > allowed:
            order = by_promise(ranks)
            self.dropped = min(self.dropped, float(ranks[0, order[allowed:]].min()))
            order = order[:allowed]
            parents, taken, ranks = parents[order], taken[order], ranks[:, order]
        criteria = labels.criteria[:, parents] + table.criteria[:, taken]
        exits = table.exit[taken]
        keep = undominated(criteria, exits, ranks[0])
        kept = _Labels(exits[keep], criteria[:, keep], parents[keep], taken[keep], ranks[:, keep])
        return kept, compared + int(ways[labels.devices[rows]].sum()) // PAIRS

    def _affordable(self, labels: _Labels, ways: Ints, allowed: int) -> Ints:
        """Return the labels to extend, the most promising ones if there are too many ways."""
        if ways.sum() <= allowed * PAIRS:
            return np.arange(len(ways))
        order = by_promise(labels.ranks)
        count = max(1, int(np.searchsorted(np.cumsum(ways[order]), allowed * PAIRS)))
        self.dropped = min(self.dropped, float(labels.ranks[0, order[count:]].min(initial=np.inf)))
        return np.sort(order[:count])

    def _pairs(
        self, paid: Floats, ahead: Floats, here: Ints, ways: Ints
    ) -> list[tuple[Ints, Ints, Floats]]:
        """Return the pairs of label and way that no score rules out."""
        found = []
        block = max(1, BLOCK // len(ways))
        for first in range(0, len(here), block):
            some = here[first : first + block]
            bounds = paid[:, some, None] + ahead[:, None, ways]
            row, column = np.nonzero((bounds <= self.ceilings[:, None, None]).all(axis=0))
            found.append((some[row], ways[column], self.scores.ranks(bounds[:, row, column])))
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
