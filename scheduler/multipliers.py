"""Prices of limits that make the Lagrangian bound high: coordinate search on a log scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from heterolith.scheduler.bounds import Scores, make_scores
from heterolith.scheduler.model import LARGEST, Floats, Model

Totals = Callable[[Floats], Floats]
"""Weights by criteria, shape (scores, criteria), to least scores of a whole plan."""
NEAR = (0.6, 1.6)
"""Factors of the neighbours of the best multipliers, which also lead to other plans."""
SPREADS = (2.0**16, 2.0**4, 2.0)
"""How far a multiplier is varied up and down, round by round."""
STEPS = 17
"""Trials per coordinate and round."""


def tune(model: Model, totals: Totals, start: Floats | None = None) -> tuple[Scores, Floats]:
    """Return Lagrangian scores around the best multipliers found, and these multipliers.

    Parameters
    ----------
    totals
        Least scores of a whole plan under given weights.
    start
        Multipliers to begin with, shape (criteria,); by default balanced ones.
    """
    scales, limits = np.array(model.scales), np.array(model.limits, float)
    free = [i for i in range(1, len(scales)) if scales[i] or limits[i] < LARGEST]
    point = _balanced(model, totals) if start is None else start
    for spread in SPREADS if start is None else SPREADS[1:]:
        for row in free:
            trials = np.tile(point, (STEPS + 1, 1))
            trials[:STEPS, row] *= np.geomspace(1 / spread, spread, STEPS)
            trials[STEPS, row] = 0.0 if spread == SPREADS[0] else point[row]
            scores = make_scores(model, trials)
            bounds = (totals(scores.weights) - scores.offsets) / scores.slopes
            best = int(np.argmax(bounds))
            point = trials[best]
    around = [point]
    for row in free:
        for factor in NEAR:
            near = point.copy()
            near[row] *= factor
            around.append(near)
    return make_scores(model, np.array(around)), point


def _balanced(model: Model, totals: Totals) -> Floats:
    """Return multipliers under which each limit weighs like the value."""
    scales, limits = np.array(model.scales, float), np.array(model.limits, float)
    least = totals(np.eye(len(limits)))
    in_value = scales > 0
    shares = np.divide(1.0, scales, out=np.zeros_like(scales), where=in_value)
    known = least[in_value & np.isfinite(least)] * shares[in_value & np.isfinite(least)]
    size = max(known.max(initial=0.0), 1.0)
    return np.asarray(np.where(in_value, shares, size / np.maximum(limits, 1.0)))
