"""The whole exact front latency x energy (x accuracy), and planning anew from it.

Every module's Pareto-optimal ways are enumerated, then composed over the cuts. Between the corners
of the convex hull of the front, which a few shortest paths find (Aneja and Nair, Management Science
25, 1979), every partial composition is bounded from below; those beyond all corners are dropped.
Nothing else is, so that the front is complete. Energies are dynamic ones, above idle.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.bounds import Scores, join, single_scores
from heterolith.scheduler.frontier import Frontier
from heterolith.scheduler.labels import Program
from heterolith.scheduler.model import LARGEST, Floats, Ints, Model, build_model
from heterolith.scheduler.optimize import EVERYTHING, Incumbent, Optimizer
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.stairs import hull, lowest, make_stairs

LONG = 16_384
"""A module with more selections is enumerated below a staircase of plans known before."""
NARROW = 300_000
"""Cells of the narrow table that such a module gets first."""
SLOPES, STEEPEST = 8, 64.0
"""Scores that guide narrow tables, and how much more one criterion weighs in them than the other,
both in parts of their least sum."""
TINY = 1e-9
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


class _Builder:
    """Enumerates modules and composes them."""

    def __init__(self, model: Model) -> None:
        self.model, self.count = model, len(model.limits)
        self.optimizer = Optimizer(model, Incumbent(), lambda: False)
        self.tables = self.optimizer.tables
        # Ceilings are made for two criteria.
        self.plane = sum(limit == LARGEST for limit in model.limits) == 2

    def run(self) -> tuple[Ints, Ints, bool]:
        """Return criteria (criteria, n), choices (tasks, n), and whether nothing is missing."""
        programs = self.optimizer.programs
        sizes = {index: self._selections(program) for index, program in enumerate(programs)}
        long = [index for index in sizes if self.plane and sizes[index] > LONG]
        for index in sizes.keys() - long:
            self.tables[index] = self.optimizer.enumerate(programs[index])
        known = self._explore(sorted(long, key=sizes.__getitem__)) if long else np.zeros((2, 0))
        frontier = self._frontier()
        vertices = self._vertices(frontier)
        points = lowest(np.concatenate([vertices, known], axis=1))
        complete = all(table.complete for table in self.tables.values())
        return *frontier.compose(vertices, points), complete

    def _selections(self, program: Program) -> int:
        choices = (len(self.model.options[step.task]) for step in program.steps)
        return math.prod(choices) * len(self.model.modes)

    def _frontier(self) -> Frontier:
        return Frontier(self.model, [self.tables[index] for index in range(len(self.tables))])

    def _vertices(self, frontier: Frontier) -> Floats:
        """Return the vertices of the front's convex hull; none where ceilings cannot be made."""
        if not self.plane:
            return np.zeros((2, 0))
        most = np.sum([t.criteria[:2].max(axis=1, initial=0) for t in frontier.tables], axis=0)
        return hull(frontier.supported, most.astype(float), self.count)

    def _explore(self, long: list[int]) -> Floats:
        """Make the tables of long modules: ways that can reach the front; return known plans.

        Narrow tables come first: plans made of them are a staircase to prune by.
        """
        ends = np.maximum(self.optimizer.totals(np.eye(2, self.count)), 1.0)
        slopes = np.geomspace(1 / STEEPEST, STEEPEST, SLOPES)
        weights = np.zeros((SLOPES, self.count))
        weights[:, 0], weights[:, 1] = slopes / ends[0], 1 / ends[1]
        self._aim(weights, np.full(SLOPES, np.finfo(float).max), self.optimizer.totals(weights))
        for index in long:
            self.optimizer.explore(index, NARROW)
        frontier = self._frontier()
        vertices = self._vertices(frontier)
        known = vertices
        if vertices.size:
            known = lowest(frontier.compose(vertices, vertices)[0][:2].astype(float))
            stairs = make_stairs(vertices, known, self.count)
            self._aim(stairs.weights, stairs.tops, stairs.tops)
        for index in long:
            self.optimizer.explore(index, EVERYTHING)
        return known

    def _aim(self, weights: Floats, tops: Floats, scales: Floats) -> None:
        """Prune ways that break a limit or are above all these ceilings."""
        single = single_scores(self.model)
        limits = single.take(np.flatnonzero(single.slopes == 0).tolist())
        sides = Scores(weights, np.maximum(scales, TINY), np.zeros(len(weights)))
        scores = replace(join(limits, sides), either=True)
        self.optimizer.aim(scores, np.concatenate([limits.ceilings(0), tops]))
