"""From a model to its best plan: tables of all modules, then the chain.

Easy modules are enumerated at once. The others get narrow tables first, whose composition yields a
plan to prune by, then wide ones. Invariant: a plan that no table holds has a value of at least the
lower bound; if nothing was dropped the outcome is a proved optimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heterolith.scheduler.bounds import TOLERANCE, Relaxation, Scores, join, single_scores
from heterolith.scheduler.chain import ChainBounds, Composer, chain_bounds
from heterolith.scheduler.labels import Program, compile_module
from heterolith.scheduler.model import LARGEST, Floats, Model
from heterolith.scheduler.modules import last_uses, split
from heterolith.scheduler.multipliers import tune
from heterolith.scheduler.power import can_exceed
from heterolith.scheduler.search import Guide, ModuleSearch
from heterolith.scheduler.ways import ModuleTable, merge, table_crossing

EASY = 2048
"""A module with at most this many selections is enumerated without bounds; fewer if power is
watched, since its columns are not compared."""
EFFORT = 36_000_000
"""Table cells that may be made in all modules that are not easy."""
EVERYTHING = 10**10
"""Cells that allow any table that fits memory."""
MODES = 32
"""Number of modes that doubles the effort."""
LABELS = 400_000
"""Candidates that may be compared in a composition."""
RESERVE = 0.4
"""Part of the effort that is kept for the second of two attempts at a module."""
EARLY = 6_000_000
"""Cells of a module's table for which the bounds of paths may be tight enough."""
LARGEST_SHARE = 0.3
"""Part of the effort left that one module may take: modules need very different widths."""


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The best plan known: its value and choice index per task; `LARGEST` and nothing if none."""

    value: int = LARGEST
    picks: tuple[int, ...] = ()


class Optimizer:
    """Search for the best plan of a model; ``best`` is the best one so far at any time."""

    def __init__(
        self, model: Model, best: Incumbent, late: Callable[[], bool], effort: float = 1.0
    ) -> None:
        self.model, self.best, self.late = model, best, late
        self.home = model.problem.home
        self.devices = len(model.problem.devices)
        uses = last_uses(model.problem)
        self.programs = [compile_module(model, module, uses) for module in split(model.problem)]
        self.relaxation = Relaxation(model)
        self.tables: dict[int, ModuleTable] = {}
        hard = [i for i, program in enumerate(self.programs) if not _is_easy(model, program)]
        self.hard = sorted(hard, key=lambda index: len(self.programs[index].steps))
        self.scores = single_scores(model)
        self.tops: Floats | None = None
        self.point: Floats | None = None
        self.priced_row = len(self.scores.slopes)
        self.lower_bound = 0.0
        effort *= 1 + len(model.modes) / MODES
        self.effort = int(EFFORT * effort)
        self.labels = int(LABELS * effort)
        self._crossings: dict[int, Floats] = {}

    def run(self) -> float:
        """Search; return a lower bound of the value, infinite if there is provably no plan."""
        for index in range(len(self.programs)):
            if index not in self.hard:
                self.tables[index] = self._easy(self.programs[index])
        self._tune()
        for index in self.hard:
            self.tables[index] = self._search(index, self._guide(index), 0)
        if self._open():
            self._compose(self.labels // 8)
            if len(self.programs) > 1:
                self._widen(EARLY)
                self._sharpen()
            self._widen()
            self._tune()
        spare = max(0.0, self.effort / EFFORT)
        dropped = min(
            self._compose(0 if self.late() else int(self.labels * (1 + 3 * spare))),
            *(t.dropped for t in self.tables.values()),
        )
        proved = max(self.lower_bound, dropped)
        return proved if self.best.value == LARGEST else min(proved, self.best.value)

    def mode_bounds(self) -> Floats:
        """Return a lower bound of the value per mode, from path bounds alone, shape (modes,)."""
        self._tune()
        totals = (
            self._bounds().before[-1].reshape(len(self.scores.slopes), len(self.model.modes), -1)
        )
        ranks = self.scores.ranks(totals.min(axis=2))
        ceilings = self.scores.ceilings(LARGEST)[:, None]
        hopeless = (totals.min(axis=2) > ceilings).any(axis=0)
        return np.where(hopeless, np.inf, ranks[0])

    def _open(self) -> list[int]:
        """Return the modules without a complete table, smaller ones first."""
        return [index for index in self.hard if not self.tables[index].complete]

    def _easy(self, program: Program, effort: int = EFFORT) -> ModuleTable:
        """Enumerate a module by itself."""
        weights = self.scores.weights @ self.model.forms
        nothing = np.zeros((len(weights), self.model.states))
        before = nothing.copy()
        if not program.module.first:
            before[:] = np.inf
            before[:, self.model.home_states] = 0.0
        tails = self.relaxation.tails(program.module, weights, nothing)
        ceilings = np.tile(self.scores.ceilings(self.best.value - 1)[:, None], self.model.states)
        guide = Guide(self.scores, weights, before, tails, ceilings)
        return ModuleSearch(self.model, program, guide).run(effort)

    def enumerate(self, program: Program) -> ModuleTable:
        """Return all Pareto-optimal ways through a module that keep the limits."""
        return self._easy(program, EVERYTHING)

    def totals(self, weights: Floats) -> Floats:
        """Return least scores of a whole plan under weights by criteria, shape (scores,)."""
        trial = Scores(weights, np.ones(len(weights)), np.zeros(len(weights)))
        crossings = [self._crossing(index, trial) for index in range(len(self.programs))]
        return self._chain(crossings, weights).totals

    def aim(self, scores: Scores, tops: Floats) -> None:
        """Prune by other scores and ceilings from now on."""
        self.scores, self.tops = scores, tops
        self._crossings.clear()

    def explore(self, index: int, effort: int) -> None:
        """Make the table of a module, complete if it takes no more cells than ``effort``."""
        table = self._search(index, self._guide(index), effort)
        self.tables[index] = table
        if table.complete:
            self._crossings.pop(index)

    def _search(self, index: int, guide: Guide, effort: int, *, watch: bool = True) -> ModuleTable:
        if self.late():
            effort = 0
        # A narrow table is made in any case: without tables there is no plan.
        late = self.late if effort else (lambda: False)
        search = ModuleSearch(self.model, self.programs[index], guide, watch=watch, late=late)
        table = search.run(effort)
        self.effort -= search.cells
        return table

    def _guide(self, index: int) -> Guide:
        """Return what prunes a module's ways that are in no plan better than the best."""
        bounds = self._bounds()
        weights = self.scores.weights @ self.model.forms
        tails = self.relaxation.tails(self.programs[index].module, weights, bounds.after[index])
        tops = self.scores.ceilings(self.best.value - 1) if self.tops is None else self.tops
        ceilings = np.tile(tops[:, None], self.model.states)
        return Guide(self.scores, weights, bounds.before[index], tails, ceilings)

    def _exit_guide(self, index: int, row: int) -> Guide:
        """Return what prunes a module's ways that do not lower one score between two devices."""
        bounds = self._bounds()
        scores, module = self.scores.take([row]), self.programs[index].module
        before, after = bounds.before[index][row], bounds.after[index][row]
        known = self._table_crossing(index, scores.weights)[0]
        exits = np.array([self.home]) if module.final else np.arange(self.devices)
        weights = np.repeat(scores.weights @ self.model.forms, len(exits), axis=0)
        leaves = np.arange(self.model.states) % self.devices == exits[:, None]
        tails = self.relaxation.tails(module, weights, np.where(leaves, after, np.inf))
        # Axes: exit device, mode, entry device.
        through = before.reshape(-1, self.devices) + known.transpose(2, 0, 1)[exits]
        through = through + after.reshape(-1, self.devices).T[exits][:, :, None]
        ceilings = np.minimum(through.reshape(len(exits), -1), scores.ceilings(self.best.value - 1))
        ceilings += np.abs(ceilings) * TOLERANCE
        before = np.tile(before, (len(exits), 1))
        return Guide(scores, weights, before, tails, ceilings, exit_rows=True)

    def _sharpen(self) -> None:
        """Find the least scores of the open modules under the best multipliers, and a plan."""
        if not self._open():
            return
        row = self.priced_row if self.point is not None else 0
        single = len(self.model.limits) == 1
        reserve = self.effort * (0.0 if single else RESERVE)
        for index in self._open():
            watched = can_exceed(self.model, self.programs[index])
            effort = int(max(self.effort - reserve, 0.0) * LARGEST_SHARE)
            guide = self._exit_guide(index, row)
            table = self._search(index, guide, effort, watch=False)
            if table.complete:
                weights = self.scores.weights[row : row + 1]
                counts = (len(self.model.modes), self.devices)
                self._crossings[index][row] = table_crossing(table, weights, *counts)[0]
            if watched:
                continue
            known = self.tables[index]
            if not single:
                # Only the least score is complete, not the Pareto set.
                table = replace(table, dropped=min(table.dropped, known.dropped))
            self.tables[index] = merge(known, table)
        self._raise_bound()
        self._compose(self.labels // 8)

    def _widen(self, most: int | None = None) -> None:
        """Make the tables of the open modules anew, as wide as effort allows.

        With ``most`` cells per module it goes on only while they are enough.
        """
        rows = self._open()
        for count, index in zip(range(len(rows), 0, -1), rows, strict=True):
            effort = int(self.effort * max(LARGEST_SHARE, 1 / count))
            effort = effort if most is None else min(most, effort)
            table = self._search(index, self._guide(index), effort)
            if table.complete:
                self.tables[index] = table
                self._crossings.pop(index)
                continue
            self.tables[index] = merge(self.tables[index], table)
            if most is not None:
                break

    def _crossing(self, index: int, scores: Scores) -> Floats:
        """Return least scores of a module: exact from a complete table, else relaxed."""
        table = self.tables.get(index)
        if table is not None and table.complete:
            return self._table_crossing(index, scores.weights)
        weights = scores.weights @ self.model.forms
        return self.relaxation.crossing(self.programs[index].module, weights)

    def _table_crossing(self, index: int, weights: Floats) -> Floats:
        return table_crossing(self.tables[index], weights, len(self.model.modes), self.devices)

    def _chain(self, crossings: Sequence[Floats], weights: Floats) -> ChainBounds:
        """Sum crossings under weights by criteria."""
        changes = self.model.changes
        if changes is None:
            return chain_bounds(crossings, self.home)
        prices = np.tensordot(weights @ self.model.forms, changes, 1)
        prices[:, changes[0] >= LARGEST] = np.inf
        return chain_bounds(crossings, self.home, prices)

    def _bounds(self) -> ChainBounds:
        for index in range(len(self.programs)):
            if index not in self._crossings:
                self._crossings[index] = self._crossing(index, self.scores)
        crossings = [self._crossings[index] for index in range(len(self.programs))]
        return self._chain(crossings, self.scores.weights)

    def _tune(self) -> None:
        """Price the limits anew and raise the lower bound."""
        self.scores = single_scores(self.model)
        self._crossings.clear()
        if len(self.model.limits) > 1:
            priced, self.point = tune(self.model, self.totals, self.point)
            self.priced_row = len(self.scores.slopes)
            self.scores = join(self.scores, priced)
        self._raise_bound()

    def _raise_bound(self) -> None:
        totals = self._bounds().totals
        self.lower_bound = max(self.lower_bound, float(self.scores.ranks(totals[:, None])[0, 0]))

    def _compose(self, effort: int = 0) -> float:
        """Compose the tables, keep the plan if it is better, return the least dropped value."""
        order = range(len(self.programs))
        tables = [self.tables[index] for index in order]
        # Bounds of what these tables hold, also where they are narrow: only they are composed.
        weights = self.scores.weights
        bounds = self._chain([self._table_crossing(index, weights) for index in order], weights)
        dropped = math.inf
        # A first, narrow pass finds a plan by which the second one prunes.
        for allowed in (0, effort) if effort else (0,):
            late = self.late if allowed else (lambda: False)
            composer = Composer(self.model, tables, self.scores, bounds, self.best.value, late)
            found = composer.run(allowed)
            if found.value < self.best.value:
                self.best = Incumbent(found.value, found.picks)
            dropped = found.dropped
            if dropped == math.inf:
                break
        return dropped


def _is_easy(model: Model, program: Program) -> bool:
    """Whether a module can be enumerated without bounds."""
    selections = math.prod(len(model.options[step.task]) for step in program.steps)
    selections *= len(model.modes)
    return selections <= (EASY // 32 if can_exceed(model, program) else EASY)
