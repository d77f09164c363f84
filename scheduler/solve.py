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
from heterolith.scheduler.model import FULL, Model, Option, build_model
from heterolith.scheduler.objective import broken_limits, value
from heterolith.scheduler.optimize import Incumbent, Optimizer
from heterolith.scheduler.problem import Problem
from heterolith.scheduler.timeline import Timeline, UnreachableError, evaluate

EXACT = "cut-vertex Pareto dynamic program"
BEAM = "beam over the cut-vertex Pareto dynamic program"

LITTLE = 0.25
"""Part of the effort that goes into each further search after one that found nothing."""

Clock = Callable[[], bool]
"""Whether time is up."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Minimum:
    """The least value found for an aim: the plan, its value and a bound in the model's integers."""

    model: Model
    selection: tuple[int, ...]
    value: int
    lower_bound: float
    interrupted: bool

    @property
    def proved(self) -> bool:
        """Whether no plan has a lower value."""
        return self.lower_bound >= self.value


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
    objective = value(problem, evaluate(problem, found.selection))
    bound = objective if found.proved else min(objective, _in_units(found.model, found.lower_bound))
    method = EXACT if found.proved else BEAM
    return Solution(
        selection=found.selection,
        objective=objective,
        lower_bound=bound,
        method=f"interrupted {method}" if found.interrupted else method,
        runtime_s=perf_counter() - start_s,
    )


def minimise(
    problem: Problem, *, aim: str = "objective", late: Clock = lambda: False
) -> Minimum | None:
    """Return the plan of least value for an aim of `build_model`, or None if there is none.

    The peak-power limit is first held against single tasks and crossings only: most plans keep it
    anyway. Where the best one does not, the search is repeated with concurrent items watched.

    Raises
    ------
    InputError, InfeasibleError
        As `solve`.
    """
    found = _attempt(problem, aim, late, concurrent=False)
    if found is None or not broken_limits(problem, evaluate(problem, found.selection)):
        return found
    if found.interrupted:
        seed = _seed(found.model)
        if not seed.picks:
            raise KeyboardInterrupt
        return _minimum(found.model, seed, found.lower_bound, interrupted=True)
    watched = _attempt(problem, aim, late, concurrent=True)
    if watched is None:
        return None
    broken = broken_limits(problem, evaluate(problem, watched.selection))
    if broken:
        raise SolverDefectError(f"the solver's plan breaks {', '.join(broken)}; please report it")
    bound = max(found.lower_bound, watched.lower_bound)
    best = Incumbent(watched.value, watched.selection)
    return _minimum(watched.model, best, bound, interrupted=watched.interrupted)


def is_feasible(problem: Problem) -> bool:
    """Whether some plan keeps the limits; often settled without a search.

    Raises
    ------
    InputError, InfeasibleError
        As `solve`.
    """
    model = build_model(problem, concurrent=False)
    found = all(model.options) and _seed(model).picks
    return bool(found) or minimise(problem) is not None


def _attempt(problem: Problem, aim: str, late: Clock, *, concurrent: bool) -> Minimum | None:
    """Minimise with or without watching the power of concurrent items."""
    model = build_model(problem, aim=aim, concurrent=concurrent)
    if not all(model.options):
        return None
    found = _search(model, _seed(model), late, LITTLE if aim == "limits" else 1.0)
    if found is None or found.selection or not problem.tasks:
        return found
    if aim == "objective":
        # Nothing found, nothing ruled out: look for the plan that comes nearest to the limits.
        nearest = _attempt(problem, "limits", late, concurrent=concurrent)
        if nearest is None or nearest.lower_bound > FULL:
            return None
        if not broken_limits(problem, evaluate(problem, nearest.selection)):
            return _search(model, _incumbent(model, nearest.selection), late, LITTLE)
    raise InfeasibleError(
        f"no plan of {problem.name!r} that keeps the limits was found, nor ruled out; relax a limit"
    )


def _search(model: Model, seed: Incumbent, late: Clock, effort: float = 1.0) -> Minimum | None:
    """Search; an interrupt leaves the best so far if there is one."""
    optimizer = Optimizer(model, seed, late, effort)
    interrupted = False
    try:
        bound = optimizer.run()
    except KeyboardInterrupt:
        if not optimizer.best.picks:
            raise
        bound, interrupted = optimizer.lower_bound, True
    if math.isinf(bound) and bound > 0:
        return None
    return _minimum(model, optimizer.best, bound, interrupted=interrupted)


def _minimum(model: Model, best: Incumbent, bound: float, *, interrupted: bool) -> Minimum:
    """Return a plan with its bound, after recomputing its value."""
    if best.picks:
        _verify(model, best)
    return Minimum(
        model=model,
        selection=best.picks,
        value=best.value,
        lower_bound=min(bound, best.value),
        interrupted=interrupted,
    )


def _verify(model: Model, best: Incumbent) -> None:
    timeline = evaluate(model.problem, best.picks)
    expected = _value(model, timeline)
    slack = 0
    if "cost" in model.names:
        slack = 2 * (len(timeline.start_ns) + len(timeline.crossings)) + 2
    if abs(expected - best.value) > slack:
        raise SolverDefectError(
            f"the solver's value {best.value} is {expected} by its own plan; please report it"
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
                found = _incumbent(model, picks)
            except UnreachableError:
                continue
            broken = set(broken_limits(model.problem, evaluate(model.problem, picks)))
            if model.aim == "limits":
                broken &= {"peak_power_mw"}
            if found.value < best.value and not broken:
                best = found
    return best


def _by_latency(option: Option) -> tuple[int, ...]:
    return (option.latency_ns, *option.amounts)


def _by_amounts(option: Option) -> tuple[int, ...]:
    return (*option.amounts, option.latency_ns)


def _incumbent(model: Model, picks: tuple[int, ...]) -> Incumbent:
    return Incumbent(_value(model, evaluate(model.problem, picks)), picks)


def _value(model: Model, timeline: Timeline) -> int:
    """Return the value of a plan in the model's integers; of a fixed-point cost an upper bound."""
    figures = [timeline.latency_ns]
    for name in model.names:
        if name == "energy":
            figures.append(timeline.energy_pj)
        elif name == "cost":
            items = len(timeline.start_ns) + len(timeline.crossings)
            figures.append(math.ceil(timeline.cost / model.cost_step) + items)
        else:
            figures.append(timeline.weight_bytes[int(name.split()[1])])
    values = []
    for form, scale in zip(model.forms.tolist(), model.scales, strict=True):
        if scale:
            criterion = sum(a * b for a, b in zip(form, figures, strict=True))
            values.append(-(-criterion // scale))
    return max(values, default=0)


def _in_units(model: Model, bound: float) -> int | float:
    """Turn a lower bound of the model's value into the objective's unit."""
    problem = model.problem
    if problem.objective == "scalenet":
        return max(0.0, bound * model.cost_step * (1 - 1e-9))
    whole = max(0, math.floor(bound - abs(bound) * 1e-9))
    if problem.objective == "latency" or problem.limits.deadline_ns is None:
        return whole
    energy_pj = problem.idle_mw * problem.limits.deadline_ns + whole
    return energy_pj / problem.limits.deadline_ns if problem.objective == "power" else energy_pj
