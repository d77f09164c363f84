"""Several networks at once: an integer program for the bound, local search for the plan.

The order of dispatch is free here. The relaxation of `formulate` bounds any order from below: every
device and link has its work to do, every network its longest path. Its solutions, also under
tightened deadlines, are list-scheduled; late-acceptance hill climbing (Burke and Bykov, European
Journal of Operational Research 258, 2017) over choices and priorities takes the best one further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from time import perf_counter

import numpy as np

from heterolith.errors import InfeasibleError
from heterolith.scheduler.objective import broken_limits, value, window_ns
from heterolith.scheduler.problem import Problem, reordered
from heterolith.scheduler.solvers.climb import PENALTY, WALKERS, Climber, Placement
from heterolith.scheduler.solvers.formulate import Formulation, formulate
from heterolith.scheduler.solvers.listing import Draft, Lister
from heterolith.scheduler.solvers.milp import Outcome, solve_milp
from heterolith.scheduler.timeline import PointsError, Totals, UnreachableError, evaluate

METHOD = "integer relaxation and local search over orders"
BOUND_SHARE, BOUND_GAP = 0.12, 5e-4
"""Part of the time for the bound, and the relative gap at which it is good enough."""
POINTS_SHARE = 0.15
"""Part of the time for bounds of the operating points one by one."""
TRIED = 4
"""Systems of operating points that the local search tries."""
TIGHT = (0.97, 0.93, 0.89, 0.85, 0.81, 0.77, 0.73, 0.69, 0.65, 0.6, 0.55)
"""Parts of the deadline that relaxations are held to, so that their choices can be scheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JointResult:
    """The best plan found for several networks; the same fields as a `Solution`."""

    selection: tuple[int, ...]
    order: tuple[int, ...]
    objective: int | float
    lower_bound: int | float
    runtime_s: float
    interrupted: bool


@dataclass(slots=True)
class _State:
    """Choices, how they were scheduled, and how good that is."""

    picks: list[int]
    draft: Draft
    score: float


class _Search:
    """Schedules choices and keeps the best plan."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.lister = Lister(problem)
        self.unit = 1.0
        self.best: _State | None = None
        self.together = {
            device: domain.devices for domain in problem.domains for device in domain.devices
        }
        self.weighs = (
            problem.limits.memory_bytes is not None
            or problem.limits.accuracy_loss_ppm is not None
            or problem.limits.peak_power_mw is not None
            or problem.limits.period_ns is not None
            or problem.objective in ("scalenet", "period")
            or sum(max(c.weight_bytes for c in t.choices) for t in problem.tasks)
            + problem.activation_bytes
            > min(problem.memory_capacity_bytes)
        )

    def state(self, picks: Sequence[int]) -> _State | None:
        """Schedule choices; None if a tensor cannot travel or points do not agree."""
        try:
            ranks = [float(rank) for rank in self.lister.ranks_ns(picks)]
            draft = self.lister.run(picks, ranks)
            score = self._score(picks, draft)
        except (UnreachableError, PointsError):
            return None
        made = _State(list(picks), draft, score)
        if self.feasible(made) and (self.best is None or made.score < self.best.score):
            self.best = made
        return made

    def feasible(self, state: _State) -> bool:
        """Whether all limits are kept: penalties make everything else worse than one unit."""
        return self._overrun(state.draft) == 0 and not self._broken(state.picks, state.draft)

    def _figures(self, picks: Sequence[int], draft: Draft) -> Totals:
        if self.weighs:
            problem = reordered(self.problem, draft.order)
            return evaluate(problem, [picks[task] for task in draft.order])
        return Totals(
            latency_ns=draft.latency_ns,
            energy_pj=draft.energy_pj,
            cost=0.0,
            peak_power_mw=0,
            memory_bytes=(0,) * len(self.problem.memories),
            finish_ns=draft.finish_ns,
        )

    def _broken(self, picks: Sequence[int], draft: Draft) -> bool:
        return bool(broken_limits(self.problem, self._figures(picks, draft)))

    def _overrun(self, draft: Draft) -> float:
        """Return by what parts of their deadlines networks are late."""
        limit_ns = self.problem.limits.deadline_ns
        over = 0.0
        if limit_ns:
            over += max(0, draft.latency_ns - limit_ns) / limit_ns
        for end_ns, member in zip(draft.finish_ns, self.problem.members, strict=True):
            if member.deadline_ns:
                over += max(0, end_ns - member.deadline_ns) / member.deadline_ns
        return over

    def _score(self, picks: Sequence[int], draft: Draft) -> float:
        figures = self._figures(picks, draft)
        cost = value(self.problem, figures) / self.unit
        others = set(broken_limits(self.problem, figures)) - {"deadline_ns", "member deadline"}
        # Of equal plans the one that ends sooner leaves more room.
        sooner = 1e-4 * draft.latency_ns / max(1, window_ns(self.problem, draft.latency_ns))
        return cost + sooner + PENALTY * self._overrun(draft) + PENALTY * len(others)

    def points_of(self, picks: Sequence[int]) -> tuple[tuple[int, str], ...]:
        """Return the point that choices have each domain's devices at: (device, point)."""
        names = {}
        for task, pick in zip(self.problem.tasks, picks, strict=True):
            choice = task.choices[pick]
            for device in self.together.get(choice.device, ()):
                names[device] = choice.point
        return tuple(sorted(names.items()))

    def take(self, picks: Sequence[int], order: Sequence[int]) -> None:
        """Keep choices in an order of dispatch if they are better than the best so far."""
        try:
            timeline = evaluate(reordered(self.problem, order), [picks[task] for task in order])
        except (UnreachableError, PointsError):
            return
        draft = Draft(
            order=tuple(order),
            latency_ns=timeline.latency_ns,
            energy_pj=timeline.energy_pj,
            finish_ns=timeline.finish_ns,
        )
        made = _State(list(picks), draft, self._score(picks, draft))
        better = self.best is None or made.score < self.best.score
        if better and not broken_limits(self.problem, timeline):
            self.best = made


@dataclass(slots=True)
class _Clock:
    """When a solution began, when it ends, and the best bound so far."""

    start_s: float
    limit_s: float
    bound: float = 0.0

    @property
    def end_s(self) -> float:
        """When the local search stops: a little early, for the last steps."""
        return self.start_s + self.limit_s * 0.95

    def part_s(self, share: float) -> float:
        """Return a share of the time limit, or what is left of it."""
        return max(0.02, min(share * self.limit_s, self.end_s - perf_counter()))


def solve_joint(
    problem: Problem, *, time_limit_s: float = 60.0, seed: int = 0
) -> JointResult | None:
    """Return the best plan found for a problem with members, or None if there provably is none.

    Ctrl-C returns the best plan so far.

    Raises
    ------
    InputError
        As `build_model`.
    InfeasibleError
        If no plan was found although none could be ruled out.
    """
    clock = _Clock(perf_counter(), time_limit_s)
    formulation = formulate(problem)
    if formulation is None:
        return None
    search = _Search(problem)
    interrupted = False
    try:
        starts = _relax(formulation, search, clock)
        if starts is None:
            return None
        if search.best is None and problem.limits.deadline_ns is not None:
            starts += _tighten(formulation, search, clock)
        if starts and not search.weighs:
            _climb(search, starts, clock, seed)
    except KeyboardInterrupt:
        if search.best is None:
            raise
        interrupted = True
    if search.best is None:
        raise InfeasibleError(
            f"no plan of {problem.name!r} that keeps the limits was found, nor ruled out; relax a "
            "limit or allow more time"
        )
    return _result(formulation, search.best, clock, interrupted=interrupted)


def _climb(search: _Search, starts: list[_State], clock: _Clock, seed: int) -> None:
    """Improve the plans found so far by local search, at the most promising points first."""
    climber = Climber(search.problem, search.unit, seed)
    groups: dict[tuple[tuple[int, str], ...], list[Placement]] = {}
    # The relaxations came in order of their bounds: so do their points.
    for state in starts:
        points = search.points_of(state.picks)
        groups.setdefault(points, []).append(
            Placement(
                np.array(state.picks),
                np.array(state.draft.order),
                state.score,
                search.feasible(state),
                points,
            )
        )
    try:
        rounds = list(groups.values())[:TRIED]
        for begin in rounds if len(rounds) > 1 else ():
            until_s = perf_counter() + clock.part_s(0.3 / len(rounds))
            begin.sort(key=lambda placement: placement.score)
            climber.climb(begin[:WALKERS], until_s)
        leaders = sorted(climber.best_at.values(), key=lambda placement: placement.score)[:2]
        for leader in leaders if len(rounds) > 1 else ():
            climber.climb([leader], perf_counter() + clock.part_s(0.2))
        first = [climber.best] if climber.best is not None else rounds[0][:WALKERS]
        climber.climb(first, clock.end_s)
    finally:
        found = climber.best
        if found is not None:
            search.take(found.picks.tolist(), found.order.tolist())


def _relax(formulation: Formulation, search: _Search, clock: _Clock) -> list[_State] | None:
    """Bound the problem and schedule what attains the bound; None if there is no plan."""
    starts: list[_State] = []
    quick = solve_milp(formulation.program, time_limit_s=clock.part_s(0.3), relaxed=True)
    clock.bound = quick.bound
    if quick.proved and not quick.values:
        return None
    whole = solve_milp(formulation.program, time_limit_s=clock.part_s(BOUND_SHARE), gap=BOUND_GAP)
    clock.bound = max(clock.bound, whole.bound)
    if whole.proved and not whole.values:
        return None
    search.unit = max(1.0, abs(formulation.in_units(clock.bound)))
    for outcome in (whole, quick):
        starts += _scheduled(formulation, search, outcome)
    if formulation.points:
        starts += _by_points(formulation, search, clock)
    return starts


def _by_points(formulation: Formulation, search: _Search, clock: _Clock) -> list[_State]:
    """Bound every system of operating points by itself; schedule the choices of each.

    The least of the bounds holds for all of them. Where time is short, those that are left keep
    the bound of the whole.
    """
    starts: list[_State] = []
    program, known = formulation.program, clock.bound
    until_s = perf_counter() + clock.part_s(POINTS_SHARE)
    found: list[tuple[float, tuple[int, ...], Outcome]] = []
    combinations = list(product(*formulation.points))
    for chosen in combinations:
        if perf_counter() > until_s:
            break
        _fix(formulation, chosen)
        outcome = solve_milp(program, time_limit_s=clock.part_s(0.1), relaxed=True)
        if outcome.values or not outcome.proved:
            found.append((outcome.bound, chosen, outcome))
    if len(found) and perf_counter() <= until_s:
        clock.bound = max(known, min(bound for bound, _, _ in found))
    for _, chosen, outcome in sorted(found, key=lambda row: row[0])[: TRIED + 1]:
        _fix(formulation, chosen)
        starts += _scheduled(formulation, search, outcome)
        if search.problem.limits.deadline_ns is not None:
            starts += _tighten(formulation, search, clock, TIGHT[1::3])
        if perf_counter() > until_s + POINTS_SHARE * clock.limit_s:
            break
    for variables in formulation.points:
        for variable in variables:
            program.lows[variable], program.highs[variable] = 0, 1
    return starts


def _fix(formulation: Formulation, chosen: Sequence[int]) -> None:
    """Hold the domains to points: one variable each."""
    program = formulation.program
    for variables in formulation.points:
        for variable in variables:
            program.lows[variable] = program.highs[variable] = int(variable in chosen)


def _scheduled(formulation: Formulation, search: _Search, outcome: Outcome) -> list[_State]:
    if not outcome.values:
        return []
    state = search.state(formulation.selection(outcome.values))
    return [] if state is None else [state]


def _tighten(
    formulation: Formulation, search: _Search, clock: _Clock, parts: Sequence[float] = TIGHT
) -> list[_State]:
    """Look for choices that leave room in the deadline, until some can be scheduled within it."""
    starts: list[_State] = []
    program = formulation.program
    deadline_ns = formulation.model.problem.limits.deadline_ns or 0
    wide = program.highs[formulation.latency]
    for part in parts:
        program.highs[formulation.latency] = int(deadline_ns * part)
        outcome = solve_milp(program, time_limit_s=clock.part_s(0.1), relaxed=True)
        if not outcome.values or perf_counter() > clock.end_s:
            break
        starts += _scheduled(formulation, search, outcome)
        if starts and search.feasible(starts[-1]):
            break
    program.highs[formulation.latency] = wide
    return starts


def _result(
    formulation: Formulation, best: _State, clock: _Clock, *, interrupted: bool
) -> JointResult:
    problem, order = formulation.model.problem, best.draft.order
    timeline = evaluate(reordered(problem, order), [best.picks[task] for task in order])
    objective = value(problem, timeline)
    return JointResult(
        selection=tuple(best.picks),
        order=order,
        objective=objective,
        lower_bound=min(objective, formulation.in_units(clock.bound)),
        runtime_s=perf_counter() - clock.start_s,
        interrupted=interrupted,
    )
