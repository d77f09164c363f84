"""Local search for several networks: many neighbours of a few placements at a time.

Late-acceptance hill climbing (Burke and Bykov, European Journal of Operational Research 258, 2017):
a walker takes the best of its neighbours if that is no worse than what it had some steps ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from heterolith.scheduler.model import Floats, Ints
from heterolith.scheduler.problem import HOME, Problem
from heterolith.scheduler.solvers.batch import Batch, Figures

WALKERS, NEIGHBOURS = 4, 96
AT_ONCE = (2, 4, 8, 16)
"""How many improvements are tried together."""
MEMORY = 24
"""Steps that late acceptance looks back."""
GATHER = 100
"""Steps after which walkers go on from the best placement."""
SLACKS = (0.0, 0.001, 0.004, 0.012)
"""By how much each walker may then be worse than it, at first."""
PENALTY = 8.0
"""Weight of a deadline's overrun, in parts of it, against the objective, in parts of it."""

Points = tuple[tuple[int, str], ...]
"""The operating points that choices are held to: (device, point)."""


@dataclass(slots=True)
class Placement:
    """Choices per task, order of dispatch, score, and whether deadlines are kept.

    ``points`` are the operating points (device, point) that the choices are held to.
    """

    picks: Ints
    order: Ints
    score: float
    feasible: bool
    points: Points = ()


def rank(placement: Placement) -> tuple[bool, float]:
    """Return what sorts placements, the best first."""
    return not placement.feasible, placement.score


class Climber:
    """Improves placements of a problem with members under deadlines."""

    def __init__(self, problem: Problem, unit: float, seed: int) -> None:
        self.problem, self.unit = problem, unit
        self.rng = np.random.default_rng(seed)
        self.batch = Batch(problem)
        self.best: Placement | None = None
        makers = [{problem.tensors[t].producer for t in task.inputs} for task in problem.tasks]
        self.before = [np.array(sorted(row - {HOME}), np.int64) for row in makers]
        self.after: list[Ints] = [
            np.array([k for k, row in enumerate(makers) if index in row], np.int64)
            for index in range(len(makers))
        ]
        self.offers: dict[Points, list[Ints]] = {}

    def allowed(self, points: Points) -> list[Ints]:
        """Return, per task, the choices at given points."""
        if points not in self.offers:
            held = dict(points)
            self.offers[points] = [
                np.array(
                    [
                        pick
                        for pick, choice in enumerate(task.choices)
                        if held.get(choice.device, choice.point) == choice.point
                    ],
                    np.int64,
                )
                for task in self.problem.tasks
            ]
        return self.offers[points]

    def scores(self, found: Figures) -> tuple[Floats, Ints]:
        """Return scores, and where all deadlines are kept."""
        problem = self.problem
        latency_ns = found.finish_ns.max(axis=0)
        over = np.zeros(len(latency_ns))
        if problem.limits.deadline_ns:
            limit_ns = problem.limits.deadline_ns
            over += np.maximum(latency_ns - limit_ns, 0) / limit_ns
        for member, end_ns in zip(problem.members, found.finish_ns, strict=True):
            if member.deadline_ns:
                over += np.maximum(end_ns - member.deadline_ns, 0) / member.deadline_ns
        span_ns = latency_ns if problem.fixed_window_ns is None else problem.fixed_window_ns
        if problem.objective == "latency":
            values = latency_ns + 1e-3 * found.finish_ns.mean(axis=0)
        else:
            values = problem.idle_mw * span_ns + found.energy_pj + 1e-4 * latency_ns
        return values / self.unit + PENALTY * over, (over == 0).astype(np.int64)

    def lateness(self, placement: Placement) -> float:
        """Return the largest ratio of a network's latency to its deadline."""
        picks, order = placement.picks[:, None], placement.order[:, None]
        finish_ns = self.batch.run(picks, order).finish_ns[:, 0].tolist()
        whole = self.problem.limits.deadline_ns
        ends = zip(finish_ns, self.problem.members, strict=True)
        limits = [(end, limit) for end, member in ends for limit in (member.deadline_ns, whole)]
        return max((end / limit for end, limit in limits if limit), default=0.0)

    def climb(self, starts: Sequence[Placement], until_s: float) -> Placement:
        """Search from some placements at the same points; return the best one found.

        ``best`` is at any time the best feasible one of all searches.

        Parameters
        ----------
        until_s
            When to stop, by `time.perf_counter`.
        """
        walkers = [starts[k % len(starts)] for k in range(WALKERS)]
        history = [[w.score] * MEMORY for w in walkers]
        top = min(walkers, key=rank)
        self.keep(top)
        step = 0
        while perf_counter() < until_s:
            trials = [self._neighbour(w) for w in walkers for _ in range(NEIGHBOURS)]
            picks = np.array([row[0] for row in trials]).T
            orders = np.array([row[1] for row in trials]).T
            scores, kept = self.scores(self.batch.run(picks, orders))
            merged = self._merged(walkers, trials, scores)
            for row, walker in enumerate(walkers):
                own = slice(row * NEIGHBOURS, (row + 1) * NEIGHBOURS)
                at = row * NEIGHBOURS + int(scores[own].argmin())
                score, slot = float(scores[at]), step % MEMORY
                picks, order = trials[at]
                found = Placement(picks, order, score, bool(kept[at]), walker.points)
                if row in merged and merged[row].score < score:
                    found = merged[row]
                if found.score <= walker.score or found.score <= history[row][slot]:
                    walkers[row] = found
                    if rank(found) < rank(top):
                        top = found
                        self.keep(found)
                history[row][slot] = min(history[row][slot], walkers[row].score)
            step += 1
            if step % GATHER == 0:
                walkers = [top] * WALKERS
                history = [[top.score * (1 + slack)] * MEMORY for slack in SLACKS]
        return top

    def _merged(
        self, walkers: list[Placement], trials: list[tuple[Ints, Ints]], scores: Floats
    ) -> dict[int, Placement]:
        """Return, per walker, the best of several of its improvements made at once."""
        rows, combined = [], []
        for row, walker in enumerate(walkers):
            first = row * NEIGHBOURS
            better = first + np.argsort(scores[first : first + NEIGHBOURS])
            better = better[scores[better] < walker.score]
            for count in AT_ONCE:
                if len(better) < count:
                    break
                picks = walker.picks.copy()
                for at in better[:count][::-1]:
                    changed = trials[at][0] != walker.picks
                    picks[changed] = trials[at][0][changed]
                rows.append(row)
                combined.append((picks, walker.order))
        if not rows:
            return {}
        picks, orders = (np.array([pair[part] for pair in combined]).T for part in (0, 1))
        values, kept = self.scores(self.batch.run(picks, orders))
        best: dict[int, Placement] = {}
        for at in np.argsort(values)[::-1]:
            points = walkers[rows[at]].points
            own, order = combined[at]
            best[rows[at]] = Placement(own, order, float(values[at]), bool(kept[at]), points)
        return best

    def keep(self, found: Placement) -> None:
        """Take a placement as the best one if it is."""
        if found.feasible and (self.best is None or found.score < self.best.score):
            self.best = found

    def _neighbour(self, walker: Placement) -> tuple[Ints, Ints]:
        """Return choices and order with a small change."""
        kind = self.rng.random()
        index = int(self.rng.integers(len(walker.picks)))
        if kind < 0.3:
            return walker.picks, self._moved(walker.order, index)
        picks, offers = walker.picks.copy(), self.allowed(walker.points)
        picks[index] = self._other(offers[index], picks[index])
        if kind < 0.45:
            order = self._moved(walker.order, index)
            return picks, order
        if kind > 0.8:
            device = self.batch.device[index, picks[index]]
            for _ in range(int(self.rng.integers(1, 6))):
                if not len(self.after[index]):
                    break
                index = int(self.rng.choice(self.after[index]))
                own = offers[index]
                own = own[self.batch.device[index, own] == device]
                if len(own):
                    picks[index] = self.rng.choice(own)
        elif kind > 0.65:
            second = int(self.rng.integers(len(picks)))
            picks[second] = self._other(offers[second], picks[second])
        return picks, walker.order

    def _other(self, own: Ints, pick: int) -> int:
        return int(own[self.rng.integers(len(own))]) if len(own) else int(pick)

    def _moved(self, order: Ints, task: int) -> Ints:
        """Return the order with a task elsewhere between its makers and its readers."""
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        low = int(place[self.before[task]].max(initial=-1)) + 1
        high = int(place[self.after[task]].min(initial=len(order))) - 1
        if low >= high:
            return order
        old = int(place[task])
        # Mostly near: what is far apart in dispatch rarely competes.
        reach = int(self.rng.integers(1, 25))
        new = int(self.rng.integers(max(low, old - reach), min(high, old + reach) + 1))
        moved = np.delete(order, old)
        return np.insert(moved, new, task)
