"""Find the best placement and prove it: dynamic programming over modules of Pareto sets.

The task order is split where everything is idle (`modules`); each module is enumerated into its
Pareto-optimal ways (`labels`, `search`), and ways are composed over the cuts (`chain`). Nothing but
bounds and dominance prunes unless a table grows wider than its allowance; then the least value that
was dropped bounds the optimum from below. Invariant: the plan's objective, recomputed by
`timeline.evaluate`, equals the tables' to the last integer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from heterolith.errors import HeterolithError, InfeasibleError
from heterolith.scheduler.model import Model, Option, build_model
from heterolith.scheduler.objective import broken_limits, value
from heterolith.scheduler.optimize import Incumbent, Optimizer, Outcome
from heterolith.scheduler.problem import Problem
from heterolith.scheduler.timeline import Timeline, UnreachableError, evaluate

EXACT = "cut-vertex Pareto dynamic program"
BEAM = "beam over the cut-vertex Pareto dynamic program"


class SolverDefectError(HeterolithError):
    """The solver's figures differ from those of its own plan: a defect of this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The best placement found.

    Attributes
    ----------
    selection
        Index into ``tasks[k].choices`` per task.
    objective, lower_bound
        In ns (latency), pJ (energy), mW (power) or without unit (scalenet); no plan has an
        objective below ``lower_bound``.
    method
        How it was found; starts with ``beam`` or ``interrupted`` where it is not proved best.
    """

    selection: tuple[int, ...]
    objective: int | float
    lower_bound: int | float
    method: str
    runtime_s: float

    @property
    def gap(self) -> float:
        """(objective - lower bound) / objective; 0 for a proved optimum."""
        return (self.objective - self.lower_bound) / self.objective if self.objective else 0.0


def solve(problem: Problem, *, time_limit_s: float = 60.0) -> Solution | None:
    """Return the best placement within the limits, or None if there provably is none.

    Parameters
    ----------
    time_limit_s
        After this time tables stay narrow, so that a plan is returned soon, with its gap. An
        interrupt (Ctrl-C) returns the best plan so far if there is one.

    Raises
    ------
    InputError
        If a cost is below zero or the totals overflow 64-bit integers.
    InfeasibleError
        If no plan was found although none could be ruled out.
    """
    start_s = perf_counter()
    found = minimise(problem, late=lambda: perf_counter() - start_s > time_limit_s)
    if found is None:
        return None
    timeline = evaluate(problem, found.selection)
    objective = value(problem, timeline)
    proved = found.lower_bound >= found.value
    bound = objective if proved else min(objective, _in_units(found.model, found.lower_bound))
    kind = EXACT if proved else BEAM
    return Solution(
        selection=found.selection,
        objective=objective,
        lower_bound=bound,
        method=f"interrupted {kind}" if found.interrupted else kind,
        runtime_s=perf_counter() - start_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """The least value found for an aim: the plan, its value and a bound in the model's integers."""

    model: Model
    selection: tuple[int, ...]
    value: int
    lower_bound: float
    interrupted: bool


def minimise(
    problem: Problem, *, aim: str = "objective", late: Callable[[], bool] = lambda: False
) -> Minimum | None:
    """Return the plan of least value for an aim of `build_model`, or None if there is none.

    The peak-power limit is first held against single tasks and crossings only: most plans keep it
    anyway. Where the best one does not, the search is repeated with concurrent items watched.

    Raises
    ------
    InputError, InfeasibleError
        As `solve`.
    """
    bound = -math.inf
    for concurrent in (False, True):
        model = build_model(problem, aim=aim, concurrent=concurrent)
        if not all(model.options):
            return None
        seed = _seed(model)
        outcome, interrupted = _search(model, seed, late)
        best = outcome.incumbent
        bound = max(bound, outcome.lower_bound)
        if not best.picks and problem.tasks:
            return _nothing(problem, bound)
        timeline = evaluate(problem, best.picks)
        if interrupted and broken_limits(problem, timeline):
            best, timeline = seed, evaluate(problem, seed.picks)
        if not broken_limits(problem, timeline):
            _verify(model, timeline, best.value)
            return Minimum(
                model=model,
                selection=best.picks,
                value=best.value,
                lower_bound=min(bound, best.value),
                interrupted=interrupted,
            )
    broken = ", ".join(broken_limits(problem, timeline))
    raise SolverDefectError(f"the solver's plan breaks {broken}; please report it")


def _search(
    model: Model, seed: Incumbent, late: Callable[[], bool]
) -> tuple[Outcome, bool]:
    """Search; on an interrupt return the best so far if there is one."""
    optimizer = Optimizer(model, seed, late)
    try:
        return optimizer.run(), False
    except KeyboardInterrupt:
        if not seed.picks:
            raise
        return Outcome(optimizer.best, optimizer.lower_bound), True


def _nothing(problem: Problem, bound: float) -> None:
    if bound < math.inf:
        raise InfeasibleError(
            f"no plan of {problem.name!r} that keeps the limits was found, nor ruled out; "
            "relax a limit or allow more time"
        )


def _seed(model: Model) -> Incumbent:
    """Return the best plan that keeps to one device wherever it can."""
    best = Incumbent()
    for device in range(len(model.problem.devices)):
        for key in (_by_latency, _by_amounts):
            picks = tuple(
                min(options, key=lambda option: (option.device != device, *key(option))).index
                for options in model.options
            )
            try:
                timeline = evaluate(model.problem, picks)
            except UnreachableError:
                continue
            value_here = _model_value(model, timeline)
            if value_here < best.value and not broken_limits(model.problem, timeline):
                best = Incumbent(value_here, picks)
    return best


def _by_latency(option: Option) -> tuple[int, ...]:
    return (option.latency_ns, *option.amounts)


def _by_amounts(option: Option) -> tuple[int, ...]:
    return (*option.amounts, option.latency_ns)


def _model_value(model: Model, timeline: Timeline) -> int:
    """Return the value of a plan in the model's integers; of a fixed-point cost an upper bound."""
    problem = model.problem
    if model.aim == "period":
        return max(timeline.latency_ns, -(-timeline.energy_pj // model.scales[1]))
    if model.aim == "memory":
        return max(timeline.weight_bytes)
    if problem.objective == "latency":
        return timeline.latency_ns
    if problem.objective == "scalenet":
        items = len(problem.tasks) + len(timeline.crossings)
        return math.ceil(timeline.cost / model.cost_step) + items
    if problem.limits.deadline_ns is None:
        return problem.idle_mw * timeline.latency_ns + timeline.energy_pj
    return timeline.energy_pj


def _verify(model: Model, timeline: Timeline, value_found: int) -> None:
    expected = _model_value(model, timeline)
    rounded = model.aim == "objective" and model.problem.objective == "scalenet"
    slack = 2 * (len(timeline.start_ns) + len(timeline.crossings)) + 1 if rounded else 0
    if abs(expected - value_found) > slack:
        raise SolverDefectError(
            f"the solver's value {value_found} is {expected} by its plan's timeline; "
            "please report it"
        )


def _in_units(model: Model, bound: float) -> int | float:
    """Turn a lower bound of the model's value into the objective's unit."""
    problem = model.problem
    if problem.objective == "scalenet":
        return bound * model.cost_step * (1 - 1e-9)
    whole = math.floor(bound - abs(bound) * 1e-9)
    if problem.objective == "latency" or problem.limits.deadline_ns is None:
        return whole
    energy_pj = problem.idle_mw * problem.limits.deadline_ns + whole
    return energy_pj / problem.limits.deadline_ns if problem.objective == "power" else energy_pj
