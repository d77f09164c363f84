"""From a model to its best plan: tables of all modules, then the chain.

Easy modules are enumerated at once. The others get narrow tables first, whose composition yields a
plan to prune by, then wide ones. Invariant: if no table was narrowed, the outcome is a proved optimum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.bounds import Relaxation, Scores, join, single_scores
from heterolith.scheduler.chain import ChainBounds, Composer, chain_bounds, table_crossing
from heterolith.scheduler.labels import Program, compile_module
from heterolith.scheduler.model import LARGEST, Floats, Model
from heterolith.scheduler.modules import last_uses, split
from heterolith.scheduler.multipliers import tune
from heterolith.scheduler.search import Guide, ModuleSearch, ModuleTable

EASY = 1024
"""A module with at most this many selections is enumerated without bounds."""
NARROW = 48
"""Width of the first table of a module that is not easy."""
EFFORT = 1_200_000
"""Columns that may be made in all modules that are not easy."""
BRANCHES = 4
"""Columns that come of one, as assumed when effort is shared out."""
LARGEST_SHARE = 5.0
"""Part of the effort, in equal shares, that one module may take."""
ROUNDS = 3
"""Attempts at the modules that are not easy; the first is narrow."""
WIDEST = 40_000
"""Labels at a cut at most."""


@dataclass(frozen=True, slots=True)
class Incumbent:
    """The best plan known: its value and choice index per task; `LARGEST` and nothing if none."""

    value: int = LARGEST
    picks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Best plan found and a bound: no plan has a value below ``lower_bound``.

    ``lower_bound`` equals the value if the plan is proved best; without a plan it is infinite if
    there is provably none.
    """

    incumbent: Incumbent
    lower_bound: float


class Optimizer:
    """Search for the best plan of a model; ``best`` is the best one so far at any time."""

    def __init__(self, model: Model, best: Incumbent, late: Callable[[], bool]) -> None:
        self.model, self.best, self.late = model, best, late
        self.home = model.problem.home
        self.devices = len(model.problem.devices)
        uses = last_uses(model.problem)
        self.programs = [compile_module(model, module, uses) for module in split(model.problem)]
        self.hard = [i for i, p in enumerate(self.programs) if _selections(model, p) > EASY]
        self.tables: dict[int, ModuleTable] = {}
        self.relaxation = Relaxation(model)
        self.scores = single_scores(model)
        self.lower_bound = -math.inf
        self.point: Floats | None = None
        self._crossings: dict[int, Floats] = {}
        self._widths: dict[int, int] = {}
        self.effort = EFFORT

    def run(self) -> Outcome:
        """Search, then return the outcome."""
        for index in range(len(self.programs)):
            if index not in self.hard:
                self.tables[index] = self._easy(self.programs[index])
        self._tune()
        for _ in range(ROUNDS):
            if not self._open():
                break
            self._fill()
            self._compose()
            self._tune()
        dropped = min(self._compose(), *(t.dropped for t in self.tables.values()))
        proved = max(self.lower_bound, dropped)
        return Outcome(self.best, min(proved, self.best.value if self.best.picks else math.inf))

    def _easy(self, program: Program) -> ModuleTable:
        weights = self.scores.weights @ self.model.forms
        nothing = np.zeros((len(weights), self.devices))
        ceilings = self.scores.ceilings(self.best.value - 1)
        tails = self.relaxation.tails(program.module, weights, nothing)
        guide = Guide(self.scores, ceilings, weights, self._doors(program, nothing), tails)
        return ModuleSearch(self.model, program, guide).run(WIDEST)

    def _doors(self, program: Program, before: Floats) -> Floats:
        """Close every entry of the first module but home."""
        if program.module.first:
            return before
        doors = np.full_like(before, np.inf)
        doors[:, self.home] = before[:, self.home]
        return doors

    def _crossing(self, index: int, scores: Scores) -> Floats:
        """Return least scores of a module: exact from a complete table, else relaxed."""
        table = self.tables.get(index)
        if table is not None and table.dropped == math.inf:
            return table_crossing(table, scores.weights, self.devices)
        weights = scores.weights @ self.model.forms
        return self.relaxation.crossing(self.programs[index].module, weights)

    def _bounds(self) -> ChainBounds:
        for index in range(len(self.programs)):
            if index not in self._crossings:
                self._crossings[index] = self._crossing(index, self.scores)
        crossings = [self._crossings[index] for index in range(len(self.programs))]
        return chain_bounds(crossings, self.home)

    def _tune(self) -> None:
        """Price the limits anew and raise the lower bound."""
        singles = single_scores(self.model)
        self.scores = singles
        self._crossings.clear()
        if len(self.model.limits) > 1:
            def totals(weights: Floats) -> Floats:
                trial = Scores(weights, np.ones(len(weights)), np.zeros(len(weights)))
                crossings = [self._crossing(i, trial) for i in range(len(self.programs))]
                return chain_bounds(crossings, self.home).totals

            priced, self.point = tune(self.model, totals, self.point)
            self.scores = join(singles, priced)
        totals_now = self._bounds().totals
        self.lower_bound = max(self.lower_bound, float(self.scores.values(totals_now[:, None])[0]))

    def _open(self) -> list[int]:
        """Return the modules without a complete table, smaller ones first."""
        done = {index for index, table in self.tables.items() if table.dropped == math.inf}
        rows = [index for index in self.hard if index not in done]
        return sorted(rows, key=lambda index: len(self.programs[index].steps))

    def _fill(self) -> None:
        """Make the tables of the open modules anew, as wide as effort allows."""
        rows = self._open()
        for count, index in zip(range(len(rows), 0, -1), rows, strict=True):
            program = self.programs[index]
            # Modules need very different widths: one may take several times its share.
            share = self.effort * max(0.3, 1.0 / count)
            width = min(int(share) // (len(program.steps) * BRANCHES), WIDEST)
            known = self._widths.get(index)
            if known is None or self.late():
                width = NARROW
            if known is not None and width < 2 * known:
                continue
            self._widths[index] = width
            bounds = self._bounds()
            weights = self.scores.weights @ self.model.forms
            tails = self.relaxation.tails(program.module, weights, bounds.after[index])
            ceilings = self.scores.ceilings(self.best.value - 1)
            guide = Guide(self.scores, ceilings, weights, bounds.before[index], tails)
            search = ModuleSearch(self.model, program, guide)
            self.tables[index] = search.run(width)
            self._crossings.pop(index, None)
            self.effort -= search.columns

    def _compose(self) -> float:
        """Compose the tables, keep the plan if it is better, return the least dropped value."""
        tables = [self.tables[index] for index in range(len(self.programs))]
        # Bounds of what these tables hold, also where they are narrow: only they are composed.
        weights = self.scores.weights
        crossings = [table_crossing(table, weights, self.devices) for table in tables]
        bounds = chain_bounds(crossings, self.home)
        composer = Composer(self.model, tables, self.scores, bounds, self.best.value)
        found = composer.run(NARROW if self.late() else WIDEST)
        if found.value < self.best.value:
            self.best = Incumbent(found.value, found.picks)
        return found.dropped


def _selections(model: Model, program: Program) -> int:
    """Return the number of selections of a module, or a larger number than `EASY`."""
    return math.prod(len(model.options[step.task]) for step in program.steps)
