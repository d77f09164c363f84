"""Composes the ways of all modules into the front: label setting over the cuts.

A label at a cut is a state and the criteria so far. Labels are extended by every way through the
next module and dropped if another one dominates them, or if with the least that is left to pay they
stay above the staircase of known plans (`stairs`). Each label, completed by the best ways on, is
itself a known plan: the staircase falls from cut to cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heterolith.scheduler.chain import ChainBounds, Labels, chain_bounds
from heterolith.scheduler.model import LARGEST, Floats, Ints, Model
from heterolith.scheduler.pareto import undominated
from heterolith.scheduler.stairs import lowest, make_stairs
from heterolith.scheduler.ways import ModuleTable, table_crossing

BLOCK = 2_000_000
"""Scores of pairs of label and way that are held against the ceilings at once."""


class Frontier:
    """The front of a model whose modules have these tables."""

    def __init__(self, model: Model, tables: Sequence[ModuleTable]) -> None:
        self.model, self.tables = model, tables
        self.devices, self.modes = len(model.problem.devices), len(model.modes)

    def supported(self, weights: Floats) -> Floats:
        """Return latency and energy of a best plan under each weighting, shape (2, scores).

        Infinite where that plan breaks a limit.
        """
        totals = self.completions(weights)[0][:, :, self.model.home_states]
        there = np.isfinite(totals[0])
        paid = (weights.T[:, :, None] * np.where(there, totals, 0.0)).sum(axis=0)
        first = np.where(there, paid, np.inf).argmin(axis=1)
        best = totals[:, np.arange(len(weights)), first]
        kept = (best <= np.array(self.model.limits)[:, None]).all(axis=0)
        return np.where(kept, best[:2], np.inf)

    def completions(self, weights: Floats) -> list[Floats]:
        """Return the criteria of a best way on from each cut, the start included.

        Per cut shape (criteria, scores, states); infinite where there is none.
        """
        cost = np.full((len(weights), self.model.states), np.inf)
        cost[:, self.model.home_states] = 0.0
        sums = np.tile(cost, (len(self.model.limits), 1, 1))
        left = [sums]
        rows = np.arange(len(weights))[:, None]
        for position in range(len(self.tables) - 1, -1, -1):
            table = self.tables[position]
            starts = np.flatnonzero(np.diff(table.entry, prepend=-1))
            through = cost[:, table.exit] + weights @ table.criteria
            least = np.minimum.reduceat(through, starts, axis=1)
            sizes = np.diff(starts, append=len(table.entry))
            hits = through == np.repeat(least, sizes, axis=1)
            places = np.where(hits, np.arange(len(table.entry)), LARGEST)
            firsts = np.minimum.reduceat(places, starts, axis=1)
            paid = sums[:, rows, table.exit[firsts]] + table.criteria[:, firsts]
            entries = table.entry[starts]
            cost, sums = np.full(cost.shape, np.inf), np.full(sums.shape, np.inf)
            cost[:, entries], sums[:, :, entries] = least, paid
            if self.model.changes is not None and position:
                cost, sums = self._changed_paths(weights, cost, sums)
            left.append(sums)
        return left[::-1]

    def _changed_paths(self, weights: Floats, cost: Floats, sums: Floats) -> tuple[Floats, Floats]:
        """Let ways on begin with a change of mode."""
        changes = self.model.changes
        assert changes is not None
        # Axes: score, old mode, new mode, device.
        trials = cost.reshape(-1, 1, self.modes, self.devices) + self._prices(weights)[..., None]
        target = trials.argmin(axis=2)
        least = np.take_along_axis(trials, target[:, :, None], 2)[:, :, 0]
        moves = changes[:, np.arange(self.modes)[:, None], target]
        figures = np.tensordot(self.model.forms, np.where(moves < LARGEST, moves, 0), 1)
        source = (target * self.devices + np.arange(self.devices)).reshape(len(cost), -1)
        paid = np.take_along_axis(sums, source[None], 2) + figures.reshape(sums.shape)
        return least.reshape(cost.shape), paid

    def _prices(self, weights: Floats) -> Floats:
        """Return the scores of changing between modes, shape (scores, modes, modes)."""
        changes = self.model.changes
        assert changes is not None
        prices = np.tensordot(weights @ self.model.forms, changes, 1)
        prices[:, changes[0] >= LARGEST] = np.inf
        return prices

    def bounds(self, weights: Floats) -> ChainBounds:
        """Return the least scores before and after each cut."""
        rows = [table_crossing(t, weights, self.modes, self.devices) for t in self.tables]
        prices = None if self.model.changes is None else self._prices(weights)
        return chain_bounds(rows, self.model.problem.home, prices)

    def compose(self, vertices: Floats, points: Floats) -> tuple[Ints, Ints]:
        """Return criteria (criteria, n) and choices (tasks, n) of all points that keep the limits.

        Parameters
        ----------
        vertices, points
            As for `make_stairs`; without vertices nothing but dominance prunes.
        """
        home = self.model.home_states
        start = np.zeros(len(home), np.int64)
        criteria = np.zeros((len(self.model.limits), len(home)), np.int64)
        labels, history = Labels(home, criteria, start, start), []
        guide = _Guide(self, vertices, points) if vertices.size else None
        for position in range(len(self.tables)):
            labels = self._extend(labels, position, guide)
            history.append(labels)
        limits = np.array(self.model.limits)[:, None]
        good = np.flatnonzero((labels.criteria <= limits).all(axis=0))
        free = [row for row, limit in enumerate(self.model.limits) if limit == LARGEST]
        good = good[_front_of(labels.criteria[free][:, good])]
        columns = good
        picks: list[Ints] = []
        for table, rows in zip(reversed(self.tables), reversed(history), strict=True):
            picks.insert(0, table.picks[:, rows.ways[columns]])
            columns = rows.parents[columns]
        return labels.criteria[:, good], np.concatenate(picks)

    def _extend(self, labels: Labels, position: int, guide: _Guide | None) -> Labels:
        table = self.tables[position]
        labels, origin = self._changed(labels, position)
        if guide is None:
            parents, taken = _all_pairs(labels.states, table.entry)
        else:
            parents, taken = guide.pairs(labels, position, table)
        criteria = labels.criteria[:, parents] + table.criteria[:, taken]
        exits = table.exit[taken]
        keep = undominated(criteria, exits, criteria.sum(axis=0, dtype=float))
        return Labels(exits[keep], criteria[:, keep], origin[parents[keep]], taken[keep])

    def _changed(self, labels: Labels, position: int) -> tuple[Labels, Ints]:
        """Return the labels in every mode they can change to, and where each came from."""
        changes, count = self.model.changes, len(labels.states)
        if changes is None or not position:
            return labels, np.arange(count)
        origin, targets = (
            np.repeat(np.arange(count), self.modes),
            np.tile(np.arange(self.modes), count),
        )
        moves = changes[:, labels.states[origin] // self.devices, targets]
        keep = np.flatnonzero(moves[0] < LARGEST)
        origin, targets, moves = origin[keep], targets[keep], moves[:, keep]
        states = targets * self.devices + labels.states[origin] % self.devices
        criteria = labels.criteria[:, origin] + self.model.forms @ moves
        keep = undominated(criteria, states, criteria.sum(axis=0, dtype=float))
        origin = origin[keep]
        moved = Labels(states[keep], criteria[:, keep], labels.parents[origin], labels.ways[origin])
        return moved, origin


class _Guide:
    """What prunes labels: bounds, and the staircase of the plans known so far."""

    def __init__(self, frontier: Frontier, vertices: Floats, points: Floats) -> None:
        self.limits, self.vertices, self.points = frontier.model.limits, vertices, points
        self.stairs = make_stairs(vertices, points, len(self.limits))
        self.bounds = frontier.bounds(self.stairs.weights)
        self.completions = frontier.completions(self.stairs.weights)

    def learn(self, labels: Labels, position: int, rows: Ints, some: Ints) -> None:
        """Lower the staircase by some labels, each with the best way on under a score."""
        left = self.completions[position][:, rows, labels.states[some]]
        found = labels.criteria[:, some] + left
        good = (found <= np.array(self.limits)[:, None]).all(axis=0)
        self.points = lowest(np.concatenate([self.points, found[:2, good]], axis=1))
        self.stairs = make_stairs(self.vertices, self.points, len(self.limits))

    def pairs(self, labels: Labels, position: int, table: ModuleTable) -> tuple[Ints, Ints]:
        """Return label and way of the pairs of which some score is below its ceiling."""
        weights, after = self.stairs.weights, self.bounds.after[position]
        ahead = weights @ table.criteria + after[:, table.exit]
        ways = self.stairs.below(self.bounds.before[position][:, table.entry] + ahead)
        entries, ahead = table.entry[ways], ahead[:, ways]
        least = np.full(after.shape, np.inf)
        starts = np.flatnonzero(np.diff(entries, prepend=-1))
        least[:, entries[starts]] = np.minimum.reduceat(ahead, starts, axis=1)
        paid = weights @ labels.criteria
        totals = paid + least[:, labels.states]
        rows, some = np.nonzero(self.stairs.reached(totals))
        self.learn(labels, position, rows, some)
        room = self.stairs.tops[:, None] - paid
        good = totals[rows, some] <= self.stairs.tops[rows]
        parents, taken = _pairs_within(labels.states, entries, ahead, room, rows[good], some[good])
        return parents, ways[taken]


def _doors(states: Ints, entries: Ints) -> tuple[Ints, Ints]:
    """Return the first way (in order of entry) from each label's state, and their number."""
    edges = np.searchsorted(entries, np.arange(states.max(initial=0) + 2))
    return edges[states], edges[states + 1] - edges[states]


def _all_pairs(states: Ints, entries: Ints) -> tuple[Ints, Ints]:
    """Return label and way of all pairs."""
    firsts, counts = _doors(states, entries)
    parents = np.repeat(np.arange(len(counts)), counts)
    return parents, np.arange(len(parents)) + (firsts - np.cumsum(counts) + counts)[parents]


def _pairs_within(
    states: Ints, entries: Ints, ahead: Floats, room: Floats, rows: Ints, some: Ints
) -> tuple[Ints, Ints]:
    """Return label and way of the pairs of which a score ahead is within the label's room.

    Only the given scores (``rows``) of some labels are looked at. ``ahead`` has shape (scores,
    ways), ``room`` (scores, labels).
    """
    firsts, counts = _doors(states, entries)
    ends = np.cumsum(counts)
    keep = np.zeros(counts.sum(), bool)
    sizes = counts[some]
    blocks = np.searchsorted(np.cumsum(sizes), np.arange(0, sizes.sum(), BLOCK), side="right")
    for first, last in zip(blocks, [*blocks[1:], len(some)], strict=True):
        row, label, size = rows[first:last], some[first:last], sizes[first:last]
        step = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        scores = ahead.ravel()[step + np.repeat(row * len(entries) + firsts[label], size)]
        good = scores <= np.repeat(room[row, label], size)
        keep[(step + np.repeat(ends[label] - counts[label], size))[good]] = True
    pairs = np.flatnonzero(keep)
    parents = np.searchsorted(ends, pairs, side="right")
    return parents, pairs - (ends - counts - firsts)[parents]


def _front_of(criteria: Ints) -> Ints:
    """Return the nondominated columns, all dominated ones removed."""
    columns = undominated(criteria, np.zeros(criteria.shape[1], np.int64), criteria[0] * 1.0)
    if len(criteria) <= 2:
        return columns
    table = criteria[:, columns]
    keep = [
        not ((table <= table[:, [k]]).all(axis=0) & (table < table[:, [k]]).any(axis=0)).any()
        for k in range(len(columns))
    ]
    return np.asarray(columns[np.array(keep, bool)])
