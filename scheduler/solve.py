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
from itertools import product
from time import perf_counter

from heterolith.errors import HeterolithError, InfeasibleError
from heterolith.scheduler.model import FULL, Model, Option, build_model, in_units
from heterolith.scheduler.modesearch import ModeSearch
from heterolith.scheduler.objective import broken_limits, value
from heterolith.scheduler.optimize import Incumbent
from heterolith.scheduler.problem import Problem
from heterolith.scheduler.search import TimeUpError
from heterolith.scheduler.solvers.formulate import formulate
from heterolith.scheduler.solvers.joint import METHOD, solve_joint
from heterolith.scheduler.solvers.milp import solve_milp
from heterolith.scheduler.timeline import PointsError, Timeline, UnreachableError, evaluate

EXACT = "cut-vertex Pareto dynamic program"
PROGRAM = "integer program (HiGHS, to a relative 1e-6)"
BEAM = "beam over the cut-vertex Pareto dynamic program"

SEED_MODES = 4
"""System points at which a first plan is looked for."""
GROWTH = 4
"""Factor of the effort after a search that left a gap."""
MOST_EFFORT = 16
"""Effort beyond which tables would not fit memory."""
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
    order
        Tasks in order of dispatch, for several networks; empty if that is the problem's own.
    """

    selection: tuple[int, ...]
    objective: int | float
    lower_bound: int | float
    method: str
    runtime_s: float
    order: tuple[int, ...] = ()

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
    if problem.members:
        return _solve_joint(problem, time_limit_s)
    start_s = perf_counter()
    if _is_untimed(problem):
        # Loads of many resources, no timeline: an integer program's home ground.
        return _solve_program(problem, start_s, time_limit_s)
    found = minimise(problem, late=lambda: perf_counter() - start_s > time_limit_s)
    if found is None:
        return None
    objective = value(problem, evaluate(problem, found.selection))
    bound = objective if found.proved else min(objective, in_units(found.model, found.lower_bound))
    method = EXACT if found.proved else BEAM
    return Solution(
        selection=found.selection,
        objective=objective,
        lower_bound=bound,
        method=f"interrupted {method}" if found.interrupted else method,
        runtime_s=perf_counter() - start_s,
    )


def _is_untimed(problem: Problem) -> bool:
    """Whether resources' loads matter and times do not, so that a linear program is exact."""
    limits = problem.limits
    streaming = limits.period_ns is not None or problem.objective == "period"
    timed = limits.deadline_ns is not None or limits.peak_power_mw is not None
    timed |= problem.objective == "latency"
    windowed = problem.fixed_window_ns is not None or problem.objective in ("period", "scalenet")
    switches = any(domain.switch_ns is not None for domain in problem.domains)
    budget = limits.energy_pj is not None and problem.fixed_window_ns is None
    return streaming and windowed and not (timed or switches or budget)


def _solve_program(problem: Problem, start_s: float, time_limit_s: float) -> Solution | None:
    """Solve a problem without times by its integer program."""
    formulation = formulate(problem)
    if formulation is None:
        return None
    outcome = solve_milp(formulation.program, time_limit_s=time_limit_s)
    if not outcome.values:
        if outcome.proved:
            return None
        raise _nothing_found(problem)
    selection = formulation.selection(outcome.values)
    timeline = evaluate(problem, selection)
    if broken_limits(problem, timeline):
        raise _nothing_found(problem)
    objective = value(problem, timeline)
    return Solution(
        selection=selection,
        objective=objective,
        lower_bound=min(objective, formulation.in_units(outcome.bound)),
        method=PROGRAM if outcome.proved else f"beam: {PROGRAM} out of time",
        runtime_s=perf_counter() - start_s,
    )


def _nothing_found(problem: Problem) -> InfeasibleError:
    return InfeasibleError(
        f"no plan of {problem.name!r} that keeps the limits was found, nor ruled out; relax a limit"
    )


def _solve_joint(problem: Problem, time_limit_s: float) -> Solution | None:
    found = solve_joint(problem, time_limit_s=time_limit_s)
    if found is None:
        return None
    return Solution(
        selection=found.selection,
        objective=found.objective,
        lower_bound=found.lower_bound,
        method=f"interrupted {METHOD}" if found.interrupted else METHOD,
        runtime_s=found.runtime_s,
        order=found.order,
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
    raise _nothing_found(problem)


def _search(model: Model, seed: Incumbent, late: Clock, effort: float = 1.0) -> Minimum | None:
    """Search; an interrupt leaves the best so far if there is one."""
    bound, interrupted = 0.0, False
    while True:
        search = ModeSearch(model, seed, late, effort)
        try:
            bound = max(bound, search.run())
        except KeyboardInterrupt:
            if not search.best.picks:
                raise
            bound, interrupted = max(bound, search.lower_bound), True
        except TimeUpError:
            bound = max(bound, search.lower_bound)
        seed, effort = search.best, effort * GROWTH
        done = interrupted or bound >= seed.value or not seed.picks
        if done or late() or effort > MOST_EFFORT:
            break
    if math.isinf(bound) and bound > 0 and not search.best.picks:
        return None
    return _minimum(model, search.best, bound, interrupted=interrupted)


def _minimum(model: Model, best: Incumbent, bound: float, *, interrupted: bool) -> Minimum:
    """Return a plan with its bound, after recomputing its value."""
    if best.picks:
        best = _verified(model, best)
    return Minimum(
        model=model,
        selection=best.picks,
        value=best.value,
        lower_bound=min(bound, best.value),
        interrupted=interrupted,
    )


def _verified(model: Model, best: Incumbent) -> Incumbent:
    """Return the incumbent with its recomputed value.

    A narrow search may change points more often than the plan needs; its value is then too high.
    """
    timeline = evaluate(model.problem, best.picks)
    expected = _value(model, timeline)
    slack = 0
    if "cost" in model.names:
        slack = 2 * (len(timeline.start_ns) + len(timeline.crossings)) + 2
    if model.changes is not None and expected < best.value:
        return Incumbent(expected, best.picks)
    if abs(expected - best.value) > slack:
        raise SolverDefectError(
            f"the solver's value {best.value} is {expected} by its own plan; please report it"
        )
    return best


def _seed(model: Model) -> Incumbent:
    """Return the best plan that keeps to one device wherever it can, at a few points."""
    best = Incumbent()
    count = len(model.modes)
    modes = sorted({count * part // SEED_MODES for part in range(SEED_MODES)} | {count - 1})
    for device, mode in product(range(len(model.problem.devices)), modes):
        offers = [[o for o in options if o.there[mode]] for options in model.options]
        for key in (_by_latency, _by_amounts) if all(offers) else ():
            picks = tuple(
                int(min(offer, key=lambda o: (o.device != device, *key(o, mode))).index[mode])
                for offer in offers
            )
            try:
                found = _incumbent(model, picks)
            except (UnreachableError, PointsError):
                continue
            broken = set(broken_limits(model.problem, evaluate(model.problem, picks)))
            if model.aim == "limits":
                broken &= {"peak_power_mw"}
            if found.value < best.value and not broken:
                best = found
    return best


def _by_latency(option: Option, mode: int) -> tuple[int, ...]:
    return (int(option.latency_ns[mode]), *option.amounts[:, mode].tolist())


def _by_amounts(option: Option, mode: int) -> tuple[int, ...]:
    return (*option.amounts[:, mode].tolist(), int(option.latency_ns[mode]))


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
        elif name == "loss":
            figures.append(timeline.accuracy_loss_ppm)
        elif name.startswith("load"):
            figures.append(timeline.loads_ns[int(name.split()[1])])
        else:
            figures.append(timeline.weight_bytes[int(name.split()[1])])
    values = []
    for form, scale in zip(model.forms.tolist(), model.scales, strict=True):
        if scale:
            criterion = sum(a * b for a, b in zip(form, figures, strict=True))
            values.append(-(-criterion // scale))
    return max(values, default=0)
