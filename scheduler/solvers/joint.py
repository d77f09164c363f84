"""Several networks at once: integer programs for the bound, local search for the plan.

The order of dispatch is free here. Relaxations (`relaxations`) bound any order from below: every
device and link has its work to do, every network its longest path. Their solutions, also under
tightened deadlines, are ordered by list scheduling under many priorities (`ordering`), and
late-acceptance hill climbing over choices and orders (`climb`) takes the best of them further,
while a second process raises the bounds (`prove`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from heterolith.errors import InfeasibleError
from heterolith.scheduler.model import Ints, in_units
from heterolith.scheduler.objective import broken_limits, value, window_ns
from heterolith.scheduler.problem import Problem, reordered
from heterolith.scheduler.solvers.climb import PENALTY, Climber, Placement, Points, rank
from heterolith.scheduler.solvers.clock import Clock
from heterolith.scheduler.solvers.heuristics import Baseline, heft
from heterolith.scheduler.solvers.listing import Draft, Lister
from heterolith.scheduler.solvers.ordering import Orderer
from heterolith.scheduler.solvers.relaxations import Relaxation, Relaxations
from heterolith.scheduler.timeline import PointsError, Totals, UnreachableError, evaluate

METHOD = "integer relaxation and local search over orders"
BOUND_SHARE = 0.5
"""Part of the time for the linear programs of all systems of operating points."""
PROVING_S = 3.0
"""With less time than this a second process is not worth its start."""
TRIED, NEAR = 3, 0.02
"""Systems of operating points that are searched, and how far above the lowest bound of those that
are not hopeless."""
STARTS_SHARE = 0.3
"""Part of the time left for what is climbed from: then one such system is enough."""
HOPELESS = 1.08
"""Lateness of the fastest choices, as scheduled, that no search is expected to make up for."""
TIGHT = (0.98, 0.96, 0.94, 0.92, 0.89, 0.85, 0.8, 0.73, 0.65, 0.55)
"""Parts of the deadline that relaxations are held to, so that their choices can be scheduled."""
SAFE = 4
"""Which of them is tried first: most choices can be scheduled there, and later ones are better."""
START_SHARE = 0.02
"""Part of the time for one of them."""
DRAWN = 384
"""Orders that are tried for one choice per task."""
FIRST_SHARE, SECOND_SHARE = 0.15, 0.15
"""Parts of the time for climbing from every start, and from the best few of what that gives."""
BEST = 4
"""How many those are."""
TURN_SHARE = 0.06
"""Part of the time after which climbing is started anew."""

_Rows = Sequence[tuple[Relaxation, tuple[int, ...]]]
"""Systems of operating points with the choices of their linear programs, the lowest bound first."""


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

    def rescale(self, unit: float) -> None:
        """Count objectives in another unit from here on."""
        self.unit = unit
        if self.best is not None:
            self.best.score = self._score(self.best.picks, self.best.draft)

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
    clock = Clock(perf_counter(), time_limit_s)
    relaxations, search = Relaxations(problem), _Search(problem)
    interrupted = False
    try:
        _plan(relaxations, search, clock, seed)
    except KeyboardInterrupt:
        if search.best is None:
            raise
        interrupted = True
    finally:
        relaxations.stop()
    if relaxations.bound == float("inf"):
        return None
    if search.best is None:
        raise InfeasibleError(
            f"no plan of {problem.name!r} that keeps the limits was found, nor ruled out; relax a "
            "limit or allow more time"
        )
    return _result(relaxations, search.best, clock, interrupted=interrupted)


def _plan(relaxations: Relaxations, search: _Search, clock: Clock, seed: int) -> None:
    """Bound the problem and look for plans until the time is up."""
    simple = heft(search.problem, fastest=True)
    if simple is not None:
        search.take(simple.selection, simple.order)
    until_s = perf_counter() + clock.part_s(BOUND_SHARE)
    solved = relaxations.solve(lambda: until_s - perf_counter())
    if relaxations.bound == float("inf"):
        return
    lowest = in_units(relaxations.model, solved[0][0].bound if solved else 0.0)
    search.rescale(max(1.0, abs(lowest)))
    rows = [(row, row.formulation.selection(outcome.values)) for row, outcome in solved]
    for _, picks in rows[:TRIED]:
        search.state(picks)
    if clock.limit_s >= PROVING_S and clock.left_s > 0:
        relaxations.start(clock.left_s)
    if search.weighs:
        _states([row for row, _ in rows[:TRIED]], search, clock)
    else:
        _Climb(relaxations, search, clock, seed).run(rows, simple)


def _tightened(
    row: Relaxation, problem: Problem, clock: Clock, parts: Sequence[float] = TIGHT
) -> Iterator[tuple[int, ...]]:
    """Yield choices that leave more and more room in the deadline."""
    deadline_ns = problem.limits.deadline_ns
    last: tuple[int, ...] | None = None
    for part in parts if deadline_ns else parts[:1]:
        latency_ns = int(part * deadline_ns) if deadline_ns else None
        picks = row.selection(latency_ns, clock.part_s(START_SHARE))
        if picks is None or clock.left_s <= 0:
            break
        if picks != last:
            yield picks
        last = picks


def _states(rows: Sequence[Relaxation], search: _Search, clock: Clock) -> None:
    """Schedule choices of relaxations under all limits."""
    for row in rows:
        for picks in _tightened(row, search.problem, clock):
            made = search.state(picks)
            if made is not None and search.feasible(made):
                break


class _Climb:
    """Local search from the choices of relaxations, in the order of their promise."""

    def __init__(self, relaxations: Relaxations, search: _Search, clock: Clock, seed: int) -> None:
        self.relaxations, self.search, self.clock = relaxations, search, clock
        self.climber = Climber(search.problem, search.unit, seed)
        self.orderer = Orderer(self.climber.batch)
        self.rng = np.random.default_rng(seed)

    def run(self, rows: _Rows, simple: Baseline | None) -> None:
        """Search until the time is up, from choices per system of points and from a simple plan."""
        try:
            starts = [] if simple is None else self._simple(simple)
            starts += self._tried(rows)
            if starts:
                self._rounds(starts)
            self.relaxations.news()
        finally:
            found = self.climber.best
            if found is not None:
                self.search.take(found.picks.tolist(), found.order.tolist())

    def _tried(self, rows: _Rows) -> list[Placement]:
        """Return starts at the systems of points with the lowest bounds that are fast enough."""
        starts: list[Placement] = []
        until_s = perf_counter() + STARTS_SHARE * self.clock.left_s
        tried, highest = 0, float("inf")
        for row, picks in rows:
            enough = tried == TRIED or (tried and perf_counter() > until_s)
            if enough or self.clock.left_s <= 0 or row.bound > highest:
                break
            found = self._starts(row, picks, until_s)
            starts += found
            if found:
                tried += 1
                highest = min(highest, row.bound + NEAR * self.search.unit)
        return starts or [self._ordered(row.points, picks) for row, picks in rows[:TRIED]]

    def _simple(self, found: Baseline) -> list[Placement]:
        """Return HEFT's plan at the fastest points: where deadlines are tight it may be the one."""
        tasks = zip(self.search.problem.tasks, found.selection, strict=True)
        used = {(task.choices[pick].device, task.choices[pick].point) for task, pick in tasks}
        for row in self.relaxations.rows:
            held = dict(row.points)
            if all(held.get(device, point) == point for device, point in used):
                picks, order = np.array(found.selection), np.array(found.order)
                figures = self.climber.batch.run(picks[:, None], order[:, None])
                scores, kept = self.climber.scores(figures)
                own = Placement(picks, order, float(scores[0]), bool(kept[0]), row.points)
                self.climber.keep(own)
                return [min(own, self._ordered(row.points, picks), key=rank)]
        return []

    def _starts(self, row: Relaxation, picks: tuple[int, ...], until_s: float) -> list[Placement]:
        """Return the choices of a relaxation in their best orders, down to a feasible one.

        There are none where even its fastest choices are far from the deadline.
        """
        starts, last = [self._ordered(row.points, picks)], list[Placement]()
        late = self.climber.lateness(starts[0])
        if 0 < late <= 1:
            return starts
        fastest = row.fastest(self.clock.part_s(START_SHARE)) if late else None
        if fastest is not None:
            last = [self._ordered(row.points, fastest)]
            if self.climber.lateness(last[0]) > HOPELESS:
                return []
        # First what can be scheduled, whatever it takes, then what is nearer to the bound.
        for parts, end_s in ((TIGHT[SAFE:], self.clock.end_s), (TIGHT[:SAFE], until_s)):
            for picks in _tightened(row, self.search.problem, self.clock, parts):
                starts.append(self._ordered(row.points, picks))
                if starts[-1].feasible or perf_counter() > end_s:
                    break
        return starts if any(start.feasible for start in starts) else starts + last

    def _ordered(self, points: Points, picks: Sequence[int] | Ints) -> Placement:
        """Return choices in the best of many orders."""
        table = np.tile(np.array(picks)[:, None], DRAWN)
        orders, figures = self.orderer.drawn(table, self.rng)
        scores, kept = self.climber.scores(figures)
        best = int(scores.argmin())
        found = Placement(
            table[:, best], orders[:, best], float(scores[best]), bool(kept[best]), points
        )
        self.climber.keep(found)
        return found

    def _rounds(self, starts: list[Placement]) -> None:
        """Climb from every start, then from the best of what that gives, again and again."""
        pool = self._round(starts, FIRST_SHARE)
        pool = self._round(pool[:BEST], SECOND_SHARE) + pool[BEST:]
        turn = 0
        while self.clock.left_s > 0:
            for row, finding in self.relaxations.news():
                if finding.selection:
                    pool.append(self._ordered(row.points, finding.selection))
            until_s = perf_counter() + self.clock.part_s(TURN_SHARE)
            begin = pool[(turn // 3 + 1) % len(pool)] if turn % 3 == 1 else pool[0]
            if turn % 3 == 2:  # the same choices, but not the order that they are stuck in
                begin = self._ordered(begin.points, begin.picks)
            pool.append(self.climber.climb([begin], until_s))
            pool.sort(key=rank)
            del pool[2 * BEST :]
            turn += 1

    def _round(self, starts: Sequence[Placement], share: float) -> list[Placement]:
        """Climb from each start for a while; return the outcomes, the best first."""
        found = []
        for start in starts:
            if self.clock.left_s <= 0:
                found.append(start)
                continue
            until_s = perf_counter() + self.clock.part_s(share / len(starts))
            found.append(self.climber.climb([start], until_s))
        return sorted(found, key=rank)


def _result(
    relaxations: Relaxations, best: _State, clock: Clock, *, interrupted: bool
) -> JointResult:
    problem, order = relaxations.model.problem, best.draft.order
    timeline = evaluate(reordered(problem, order), [best.picks[task] for task in order])
    objective = value(problem, timeline)
    return JointResult(
        selection=tuple(best.picks),
        order=order,
        objective=objective,
        lower_bound=min(objective, in_units(relaxations.model, relaxations.bound)),
        runtime_s=perf_counter() - clock.start_s,
        interrupted=interrupted,
    )
