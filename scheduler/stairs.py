"""Which partial plans can still reach the front: scores below the staircase of known plans.

Known plans, sorted by latency, make a staircase: a plan that lies above it everywhere is dominated.
On each side of the convex hull of the known plans a weighted sum of latency and energy, a *score*,
is lowest; the highest corner of the staircase along that side is its ceiling. What is still to be
paid, at least, on top of a partial plan is known per score: a partial plan above all ceilings leads
to no point of the front (two-phase method of Ulungu and Teghem, Foundations of Computing and
Decision Sciences 20, 1995). Ceilings are widened by `SLACK` so that rounding never cuts a plan off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from heterolith.scheduler.model import Bools, Floats, Ints

SIDES = 48
"""Vertices of the convex hull that are looked for at most."""
SLACK = 1e-9
"""Relative tolerance of floating-point bounds."""

Supported = Callable[[Floats], Floats]
"""Weights by criteria, shape (scores, criteria), to latency and energy of a best plan under each,
shape (2, scores); infinite where that plan breaks a limit."""


@dataclass(frozen=True, slots=True)
class _Side:
    """The corners of the staircase along one side of the hull, by latency.

    Attributes
    ----------
    highest
        Highest score of 2**level corners from each one on, per level; a list of arrays.
    later, earlier
        Most that a corner up to each one scores on the side before; most that a corner from each
        one on scores on the side after, in reverse order. Both ascend.
    """

    highest: list[Floats]
    later: Floats
    earlier: Floats

    def reached(self, before: Floats, own: Floats, after: Floats) -> Bools:
        """Return whether a corner is above all three scores."""
        first = np.searchsorted(self.later, before)
        last = len(self.earlier) - 1 - np.searchsorted(self.earlier, after)
        meet = first <= last
        level = np.log2(np.maximum(last - first, 0) + 1).astype(np.int64)
        top = np.full(len(own), -np.inf)
        for step, highest in enumerate(self.highest):
            here = np.flatnonzero(meet & (level == step))
            ends = last[here] - 2**step + 1
            top[here] = np.maximum(highest[first[here]], highest[ends])
        return np.asarray(own <= top)


@dataclass(frozen=True, slots=True)
class Stairs:
    """Scores of which each point of the front keeps at least one ceiling.

    Attributes
    ----------
    weights
        float64 array of shape (scores, criteria): latency, one row per side, energy.
    tops
        Ceilings, shape (scores,).
    """

    weights: Floats
    tops: Floats
    sides: tuple[_Side, ...]

    def reached(self, totals: Floats) -> Bools:
        """Return which scores of plans are below their ceilings, like ``totals`` (scores, n)."""
        reached = totals <= self.tops[:, None]
        for row, side in enumerate(self.sides, start=1):
            some = np.flatnonzero(reached[row])
            reached[row, some] = side.reached(*totals[row - 1 : row + 2, some])
        return reached

    def below(self, totals: Floats) -> Ints:
        """Return the columns of which some score is below its ceiling, from shape (scores, n)."""
        return np.flatnonzero(self.reached(totals).any(axis=0))


def hull(supported: Supported, largest: Floats, criteria: int) -> Floats:
    """Return the vertices of the convex hull by latency, shape (2, n); none if a limit binds.

    Parameters
    ----------
    largest
        More than the latency and the energy of any plan, shape (2,).
    """
    others = [0.0] * (criteria - 2)
    # Ties are broken by the other criterion, which weighs less than one unit in all.
    tie = 1 / (1 + largest)
    ends = supported(np.array([[1.0, tie[1], *others], [tie[0], 1.0, *others]]))
    if not np.isfinite(ends).all():
        return np.zeros((2, 0))
    vertices = sorted({tuple(ends[:, 0]), tuple(ends[:, 1])})
    done: set[tuple[tuple[float, ...], tuple[float, ...]]] = set()
    while len(vertices) < SIDES:
        sides = [side for side in pairwise(vertices) if side not in done]
        if not sides:
            break
        done.update(sides)
        weights = np.array([[a[1] - b[1], b[0] - a[0], *others] for a, b in sides])
        found = supported(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9))
        known = {*vertices, *map(tuple, found.T[np.isfinite(found[0])])}
        vertices = list(map(tuple, lowest(np.array(sorted(known)).T).T))
    return np.array(vertices).T


def lowest(points: Floats) -> Floats:
    """Return the nondominated points by latency, from shape (2, n)."""
    points = points[:, np.lexsort(points[::-1])]
    least = np.minimum.accumulate(points[1])
    return points[:, points[1] < np.concatenate(([np.inf], least[:-1]))]


def make_stairs(vertices: Floats, points: Floats, criteria: int) -> Stairs:
    """Return the scores and ceilings of known plans.

    Parameters
    ----------
    vertices
        Of their convex hull by latency, shape (2, vertices), at least one.
    points
        Nondominated plans by latency, shape (2, n), among them the first and the last vertex.
    """
    rise, run = vertices[1, :-1] - vertices[1, 1:], vertices[0, 1:] - vertices[0, :-1]
    weights = np.zeros((len(rise) + 2, criteria))
    weights[0, 0] = weights[-1, 1] = 1.0
    weights[1:-1, :2] = (np.array([rise + 1, run + 1]) / (rise + run + 2)).T
    corners = np.array([points[0, 1:], points[1, :-1]])
    starts = np.searchsorted(corners[0], vertices[0, 1:-1], side="right")
    starts = np.array([0, *starts, corners.shape[1]])
    scores = (weights[:, :2] @ corners) * (1 + SLACK)
    sides, tops = [], [points[0, 0] * (1 + SLACK)]
    for row in range(1, len(weights) - 1):
        sides.append(_side(*scores[row - 1 : row + 2, starts[row - 1] : starts[row]]))
        tops.append(sides[-1].highest[0].max(initial=-np.inf))
    tops.append(points[1, -1] * (1 + SLACK))
    return Stairs(weights, np.array(tops), tuple(sides))


def _side(before: Floats, own: Floats, after: Floats) -> _Side:
    highest = [own]
    while len(highest[-1]) > 2 ** (len(highest) - 1):
        last, step = highest[-1], 2 ** (len(highest) - 1)
        highest.append(np.maximum(last[:-step], last[step:]))
    return _Side(highest, np.maximum.accumulate(before), np.maximum.accumulate(after[::-1]))
