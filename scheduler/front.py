"""The whole exact front latency x energy (x accuracy), and planning anew from it.

Every module's Pareto-optimal ways are enumerated, then composed over the cuts. Between the corners
of the convex hull of the front, which a few shortest paths find (Aneja and Nair, Management Science
25, 1979), every partial composition is bounded from below; those beyond all corners are dropped.
Nothing else is, so that the front is complete. Energies are dynamic ones, above idle.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from time import perf_counter

import numpy as np

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.chain import ChainBounds, chain_bounds
from heterolith.scheduler.model import LARGEST, Floats, Ints, Model, build_model
from heterolith.scheduler.optimize import Incumbent, Optimizer
from heterolith.scheduler.pareto import undominated
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.ways import ModuleTable, table_crossing

CORNERS = 48
"""Corners of the convex hull that are looked for at most."""
SLACK = 1e-9
"""Relative tolerance of floating-point bounds."""
BLOCK = 400_000
"""Pairs of label and way that are held against the corners at once."""
SETTLING = ("period_ns", "average_power_mw", "energy_pj", "deadline_ns", "accuracy_loss_ppm")
"""Limits that are left out when a front is made, and held against its points afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """All Pareto-optimal plans of a problem, by latency ascending.

    Attributes
    ----------
    problem
        The problem without the limits that `heterolith.scheduler.replan` sets.
    latency_ns, energy_pj, accuracy_loss_ppm
        int64 arrays of shape (points,); energies are dynamic.
    picks
        Choice index per task, shape (tasks, points).
    complete
        Whether no point is missing.
    """

    problem: Problem
    latency_ns: Ints
    energy_pj: Ints
    accuracy_loss_ppm: Ints
    picks: Ints
    complete: bool
    runtime_s: float

    def __len__(self) -> int:
        return len(self.latency_ns)

    def selection(self, point: int) -> tuple[int, ...]:
        """Return the choice index per task of a point."""
        return tuple(self.picks[:, point].tolist())


def front(problem: Problem, *, accuracy: bool = False) -> Front:
    """Return the whole front under the memory limits of a problem.

    Deadline, period, energy, average power and accuracy limits are left out. A peak-power limit is
    held against single tasks and transfers.

    Parameters
    ----------
    accuracy
        Take accuracy loss as a third criterion.

    Raises
    ------
    InputError
        If the problem has several networks.
    InfeasibleError
        If there is no plan at all.
    """
    if problem.members:
        raise InputError("a front is of one network; solve several networks together with solve")
    start_s = perf_counter()
    kept = dict.fromkeys(SETTLING)
    base = replace(problem, objective="energy", limits=replace(problem.limits, **kept))
    model = _front_model(base, accuracy)
    if not all(model.options):
        raise InfeasibleError(f"no plan of {problem.name!r} fits the memories; use larger ones")
    criteria, picks, complete = _Builder(model).run()
    if not criteria.shape[1]:
        raise InfeasibleError(f"no plan of {problem.name!r} fits the memories or links")
    order = np.lexsort(criteria[::-1])
    picks = picks[:, order]
    losses = np.zeros(len(order), np.int64)
    for task, row in zip(problem.tasks, picks, strict=True):
        losses += np.array([choice.accuracy_loss_ppm for choice in task.choices])[row]
    return Front(
        problem=base,
        latency_ns=criteria[0, order],
        energy_pj=criteria[1, order],
        accuracy_loss_ppm=losses,
        picks=picks,
        complete=complete,
        runtime_s=perf_counter() - start_s,
    )


def _front_model(problem: Problem, accuracy: bool) -> Model:
    """Return a model whose first criteria are time, energy (and loss), then memory limits."""
    never = Limits(
        deadline_ns=0,
        energy_pj=None,
        accuracy_loss_ppm=0 if accuracy else None,
        memory_bytes=problem.limits.memory_bytes,
        peak_power_mw=problem.limits.peak_power_mw,
    )
    model = build_model(replace(problem, limits=never), concurrent=False)
    rows = [_row(model, "time"), _row(model, "energy")]
    if accuracy and "loss" in model.names:
        rows.append(_row(model, "loss"))
    others = [row for row in range(len(model.forms)) if row not in rows]
    order = rows + others
    limits = [LARGEST] * len(rows) + [model.limits[row] for row in others]
    return replace(
        model,
        problem=problem,
        forms=model.forms[order],
        limits=tuple(limits),
        scales=(0, 1, *(0 for _ in order[2:])),
    )


def _row(model: Model, name: str) -> int:
    """Return the criterion that is a quantity by itself; time and energy are always there."""
    column = ("time", *model.names).index(name)
    alone = np.zeros(model.forms.shape[1], np.int64)
    alone[column] = 1
    return int(np.flatnonzero((model.forms == alone).all(axis=1))[0])


@dataclass(slots=True)
class _Labels:
    states: Ints
    criteria: Ints
    parents: Ints
    ways: Ints


class _Builder:
    """Enumerates modules and composes them."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.devices, self.modes = len(model.problem.devices), len(model.modes)
        optimizer = Optimizer(model, Incumbent(), lambda: False)
        self.tables: list[ModuleTable] = [
            optimizer.enumerate(program) for program in optimizer.programs
        ]
        # A score for each corner, and one for each limit.
        self.corners = np.zeros((0, 2))
        self.weights: Floats = np.zeros((0, len(model.limits)))
        if sum(limit == LARGEST for limit in model.limits) == 2:
            self._find_corners()
        self.bounds = self._chain(self.weights) if len(self.weights) else None

    def run(self) -> tuple[Ints, Ints, bool]:
        """Return criteria (criteria, n), choices (tasks, n), and whether nothing is missing."""
        home = self.model.home_states
        start = np.zeros(len(home), np.int64)
        criteria = np.zeros((len(self.model.limits), len(home)), np.int64)
        labels, history = _Labels(home, criteria, start, start), []
        for position, table in enumerate(self.tables):
            labels = self._extend(labels, position, self._useful_ways(position, table))
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
        complete = all(table.complete for table in self.tables)
        return labels.criteria[:, good], np.concatenate(picks), complete

    def _chain(self, weights: Floats) -> ChainBounds:
        rows = [table_crossing(t, weights, self.modes, self.devices) for t in self.tables]
        changes = self.model.changes
        prices = None
        if changes is not None:
            prices = np.tensordot(weights @ self.model.forms, changes, 1)
            prices[:, changes[0] >= LARGEST] = np.inf
        return chain_bounds(rows, self.model.problem.home, prices)

    def _supported(self, weights: Floats) -> Floats:
        """Return time and energy of a best plan under each weighting, shape (scores, 2).

        Infinite where that plan breaks a limit.
        """
        home, states = self.model.home_states, self.model.states
        count, limits = len(self.model.limits), np.array(self.model.limits)
        found = np.full((len(weights), 2), np.inf)
        for row, weight in enumerate(weights):
            cost, sums = np.full(states, np.inf), np.zeros((count, states))
            cost[home] = 0.0
            for position, table in enumerate(self.tables):
                if self.model.changes is not None and position:
                    cost, sums = self._changed_paths(weight, cost, sums)
                through = cost[table.entry] + weight @ table.criteria
                order = np.lexsort((through, table.exit))
                firsts = order[np.flatnonzero(np.diff(table.exit[order], prepend=-1))]
                exits = table.exit[firsts]
                paid = sums[:, table.entry[firsts]] + table.criteria[:, firsts]
                cost, sums = np.full(states, np.inf), np.zeros((count, states))
                cost[exits], sums[:, exits] = through[firsts], paid
            best = home[np.argmin(cost[home])]
            if np.isfinite(cost[best]) and (sums[:, best] <= limits).all():
                found[row] = sums[:2, best]
        return found

    def _changed_paths(self, weight: Floats, cost: Floats, sums: Floats) -> tuple[Floats, Floats]:
        changes = self.model.changes
        assert changes is not None
        prices = np.tensordot(weight @ self.model.forms, changes, 1)
        prices[changes[0] >= LARGEST] = np.inf
        # Axes: old mode, new mode, device.
        trials = cost.reshape(self.modes, 1, self.devices) + prices[:, :, None]
        origin = trials.argmin(axis=0)
        least = np.take_along_axis(trials, origin[None], 0)[0]
        figures = self.model.forms @ changes[:, origin, np.arange(self.modes)[:, None]].reshape(
            changes.shape[0], -1
        )
        device = np.tile(np.arange(self.devices), self.modes)
        return least.reshape(-1), sums[:, origin.reshape(-1) * self.devices + device] + figures

    def _find_corners(self) -> None:
        """Set the corners between neighbouring vertices of the hull, and their weights."""
        others = np.zeros(len(self.model.limits) - 2)
        most = sum(table.criteria[:2].max(axis=1, initial=0).astype(float) for table in self.tables)
        # Ties are broken by the other criterion, which weighs less than one unit in all.
        tie = 1 / (1 + np.asarray(most))
        ends = self._supported(np.array([[1.0, tie[1], *others], [tie[0], 1.0, *others]]))
        if not np.isfinite(ends).all():
            return
        vertices = [tuple(ends[0]), tuple(ends[1])]
        done: set[tuple[tuple[float, ...], tuple[float, ...]]] = set()
        while len(vertices) < CORNERS:
            pairs = [p for p in pairwise(vertices) if p not in done]
            if not pairs:
                break
            done.update(pairs)
            weights = np.array([[a[1] - b[1], b[0] - a[0], *others] for a, b in pairs])
            found = self._supported(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9))
            vertices = sorted({*vertices, *map(tuple, found[np.isfinite(found[:, 0])])})
            vertices = [
                v for k, v in enumerate(vertices) if not k or v[1] < min(u[1] for u in vertices[:k])
            ]
        pairs = list(pairwise(vertices)) or [(vertices[0], vertices[0])]
        slopes = np.array([[a[1] - b[1] + 1, b[0] - a[0] + 1, *others] for a, b in pairs])
        self.weights = slopes / slopes.sum(axis=1, keepdims=True)
        self.corners = np.array([[b[0], a[1]] for a, b in pairs])

    def _inside(self, totals: Floats) -> Ints:
        """Return the columns below some corner, from bounds of shape (scores, n)."""
        tops = (self.weights[:, :2] * self.corners).sum(axis=1)
        return np.flatnonzero((totals <= (tops + np.abs(tops) * SLACK)[:, None]).any(axis=0))

    def _useful_ways(self, position: int, table: ModuleTable) -> Ints:
        if self.bounds is None:
            return np.arange(len(table.entry))
        before = self.bounds.before[position][:, table.entry]
        after = self.bounds.after[position][:, table.exit]
        return self._inside(before + self.weights @ table.criteria + after)

    def _extend(self, labels: _Labels, position: int, ways: Ints) -> _Labels:
        table = self.tables[position]
        labels, origin = self._changed(labels, position)
        parts = []
        entries = table.entry[ways]
        for state in np.unique(labels.states):
            here = np.flatnonzero(labels.states == state)
            through = ways[entries == state]
            step = max(1, BLOCK // max(1, len(through)))
            for first in range(0, len(here) if len(through) else 0, step):
                some = here[first : first + step]
                parts.append(self._pairs(labels, position, some, through))
        parents = np.concatenate([part[0] for part in parts] or [np.zeros(0, np.int64)])
        taken = np.concatenate([part[1] for part in parts] or [np.zeros(0, np.int64)])
        criteria = labels.criteria[:, parents] + table.criteria[:, taken]
        exits = table.exit[taken]
        keep = undominated(criteria, exits, criteria.sum(axis=0, dtype=float))
        return _Labels(exits[keep], criteria[:, keep], origin[parents[keep]], taken[keep])

    def _pairs(
        self, labels: _Labels, position: int, some: Ints, through: Ints
    ) -> tuple[Ints, Ints]:
        """Return label and way of the pairs worth keeping."""
        table = self.tables[position]
        if self.bounds is None:
            return np.repeat(some, len(through)), np.tile(through, len(some))
        paid = self.weights @ labels.criteria[:, some]
        after = self.bounds.after[position][:, table.exit[through]]
        ahead = self.weights @ table.criteria[:, through] + after
        tops = (self.weights[:, :2] * self.corners).sum(axis=1)
        tops += np.abs(tops) * SLACK
        keep = np.zeros((len(some), len(through)), bool)
        for row, top in enumerate(tops):
            rows = np.flatnonzero(paid[row] + ahead[row].min() <= top)
            if len(rows):
                keep[rows] |= paid[row, rows, None] + ahead[row] <= top
        label, way = np.nonzero(keep)
        return some[label], through[way]

    def _changed(self, labels: _Labels, position: int) -> tuple[_Labels, Ints]:
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
        moved = _Labels(
            states[keep], criteria[:, keep], labels.parents[origin], labels.ways[origin]
        )
        return moved, origin


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
