"""From modules to a plan: bounds along the chain of cuts, and label setting over it.

A label at a cut is a device and the criteria so far. Labels are extended by every way through the
next module and pruned by the exact remaining scores, by dominance, and last by width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.bounds import Scores, by_promise
from heterolith.scheduler.model import LARGEST, Floats, Ints, Model
from heterolith.scheduler.pareto import undominated
from heterolith.scheduler.search import TimeUpError
from heterolith.scheduler.ways import ModuleTable

FEWEST = 300
"""Candidates at a cut that are always allowed."""
PAIRS = 16
"""Pairs of label and way that cost as much as the comparison of one candidate."""
BLOCK = 500_000
"""Pairs that are held against the ceilings at once."""


@dataclass(frozen=True, slots=True)
class ChainBounds:
    """Least scores before and after each cut, arrays of shape (scores, states).

    ``before[k]`` is for the entry of module k, ``after[k]`` for its exit, ``entering[k]`` what is
    left at its entry once modes have changed.
    """

    before: list[Floats]
    after: list[Floats]
    entering: list[Floats]

    @property
    def totals(self) -> Floats:
        """Least scores of a whole plan, shape (scores,)."""
        return np.asarray(self.before[-1].min(axis=1))


def chain_bounds(
    crossings: Sequence[Floats], home: int, changes: Floats | None = None
) -> ChainBounds:
    """Sum least scores of modules both ways.

    Parameters
    ----------
    crossings
        Per module, shape (scores, modes, devices in, devices out).
    changes
        Least scores of changing between modes at a cut, shape (scores, modes, modes); None if that
        cannot be done.
    """
    scores, modes, devices, _ = crossings[0].shape
    start = np.full((scores, modes, devices), np.inf)
    start[:, :, home] = 0.0
    before, after = [start], [np.zeros_like(start)]
    after[0][:] = np.where(np.arange(devices) == home, 0.0, np.inf)
    for position, crossing in enumerate(crossings):
        entered = before[-1]
        if changes is not None and position:
            entered = (entered[:, :, None] + changes[..., None]).min(axis=1)
            before[-1] = entered
        before.append(_least([entered[:, :, d, None] + crossing[:, :, d] for d in range(devices)]))
    entering = []
    for crossing in reversed(crossings):
        end = after[-1]
        left = _least([crossing[..., d] + end[:, :, d, None] for d in range(devices)])
        entering.append(left)
        if changes is not None:
            left = (left[:, None] + changes[..., None]).min(axis=2)
        after.append(left)
    flat = [
        [rows.reshape(scores, -1) for rows in part]
        for part in (before, after[-2::-1], entering[::-1])
    ]
    return ChainBounds(*flat)


def _least(rows: Sequence[Floats]) -> Floats:
    """Return the least of few arrays; numpy is slow in reducing a short axis."""
    least = rows[0]
    for row in rows[1:]:
        least = np.minimum(least, row)
    return least


@dataclass(frozen=True, slots=True)
class Composition:
    """The best plan through the modules' tables.

    ``picks`` is the choice index per task; ``value`` is `LARGEST` if there is no plan.
    """

    value: int
    picks: tuple[int, ...]
    dropped: float


@dataclass(slots=True)
class Labels:
    """Partial plans that end at one cut: state, criteria, the label before and the way from it."""

    states: Ints
    criteria: Ints
    parents: Ints
    ways: Ints


@dataclass(slots=True)
class _Labels(Labels):
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
        late: Callable[[], bool] = lambda: False,
    ) -> None:
        self.late = late
        self.model, self.tables, self.scores, self.bounds = model, tables, scores, bounds
        self.ceilings = scores.ceilings(best - 1)
        self.dropped = np.inf

    def run(self, effort: int) -> Composition:
        """Return the best composition of value below ``best``.

        Labels are narrowed so that about ``effort`` candidates are compared in all.
        """
        count = len(self.model.limits)
        home = self.model.home_states
        nothing = np.zeros(len(home), np.int64)
        labels = _Labels(
            home, np.zeros((count, len(home)), np.int64), nothing, nothing, np.zeros((2, len(home)))
        )
        history = []
        for position in range(len(self.tables)):
            allowed = effort // (len(self.tables) - position)
            labels, compared = self._extend(labels, position, max(allowed, FEWEST))
            effort -= compared
            history.append(labels)
        return self._best(history)

    def _extend(self, labels: _Labels, position: int, allowed: int) -> tuple[_Labels, int]:
        labels, origin = self._changed(labels, position)
        table, after = self.tables[position], self.bounds.after[position]
        starts = np.searchsorted(table.entry, np.arange(len(after[0]) + 1))
        ways = np.diff(starts)
        rows = self._affordable(labels, ways[labels.states], allowed)
        paid = self.scores.weights @ labels.criteria
        ahead = self.scores.weights @ table.criteria + after[:, table.exit]
        parts: list[tuple[Ints, Ints, Floats]] = []
        for state in np.unique(labels.states[rows]):
            if self.late():
                raise TimeUpError
            if ways[state]:
                here = rows[labels.states[rows] == state]
                through = np.arange(starts[state], starts[state + 1])
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
        kept = _Labels(
            exits[keep], criteria[:, keep], origin[parents[keep]], taken[keep], ranks[:, keep]
        )
        return kept, compared + int(ways[labels.states[rows]].sum()) // PAIRS

    def _changed(self, labels: _Labels, position: int) -> tuple[_Labels, Ints]:
        """Return the labels in every mode they can change to, and where each came from."""
        changes, count = self.model.changes, len(labels.states)
        if changes is None or not position or not count:
            return labels, np.arange(count)
        devices, modes = len(self.model.problem.devices), len(self.model.modes)
        origin, targets = np.repeat(np.arange(count), modes), np.tile(np.arange(modes), count)
        moves = changes[:, labels.states[origin] // devices, targets]
        keep = moves[0] < LARGEST
        origin, targets, moves = origin[keep], targets[keep], moves[:, keep]
        states = targets * devices + labels.states[origin] % devices
        criteria = labels.criteria[:, origin] + self.model.forms @ moves
        ahead = self.scores.weights @ criteria + self.bounds.entering[position][:, states]
        keep = np.flatnonzero((ahead <= self.ceilings[:, None]).all(axis=0))
        keep = keep[undominated(criteria[:, keep], states[keep], labels.ranks[0, origin[keep]])]
        origin = origin[keep]
        moved = _Labels(
            states[keep],
            criteria[:, keep],
            labels.parents[origin],
            labels.ways[origin],
            labels.ranks[:, origin],
        )
        return moved, origin

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
