"""Prices of limits that make the Lagrangian bound high: coordinate search on a log scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from heterolith.scheduler.bounds import Scores, make_scores
from heterolith.scheduler.model import LARGEST, Floats, Model

Totals = Callable[[Floats], Floats]
"""Weights by criteria, shape (scores, criteria), to least scores of a whole plan."""


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
    for spread in (2.0**12, 2.0**3, 2.0**0.5) if start is None else (2.0**3, 2.0**0.5):
        for row in free:
            trials = np.tile(point, (STEPS + 1, 1))
            trials[:STEPS, row] *= np.geomspace(1 / spread, spread, STEPS)
            trials[STEPS, row] = 0.0
            scores = make_scores(model, trials)
            bounds = (totals(scores.weights) - scores.offsets) / scores.slopes
            best = int(np.argmax(bounds))
            if best < STEPS or spread > 100:
                point = trials[best]
    around = [point]
    for row in free:
        for factor in (0.8, 1.25):
            near = point.copy()
            near[row] *= factor
            around.append(near)
    return make_scores(model, np.array(around)), point


def _balanced(model: Model, totals: Totals) -> Floats:
    """Return multipliers under which each criterion weighs like the first."""
    limits = np.array(model.limits, float)
    least = totals(np.eye(len(limits)))
    sizes = np.where(limits < LARGEST, limits, np.where(np.isfinite(least), least, 1.0))
    sizes[0] = least[0] if np.isfinite(least[0]) else 1.0
    return np.asarray(np.maximum(sizes[0], 1.0) / np.maximum(sizes, 1.0))


STEPS = 17
"""Trials per coordinate and round."""
