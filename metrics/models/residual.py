"""A learner of what the physical model leaves over: kernel ridge regression on log features.

It learns log(measured / physical) from the logarithms of a row's work, within an operator family,
and falls back to 0, the physical model, away from the rows it has seen (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, equation 2.25). A model with it is no longer monotone
in work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from heterolith.metrics.models.samples import WORK, Floats, Samples, Strings

LENGTHS = (0.2, 0.5, 1.0)
"""Candidate length scales, in decades of work."""
NOISES = (0.02, 0.2, 1.0)
"""Candidate noise to signal ratios."""
MOST_ANCHORS = 600
LARGEST = 1.0
"""Residuals beyond a factor e are outliers, not shape effects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """A fitted residual.

    Attributes
    ----------
    names
        Work features of a row, in order.
    anchors
        Log10 features of the rows it was fitted on, shape (m, d).
    families
        Operator family of each anchor, shape (m,).
    weights
        Shape (m,).
    lengths
        Operator family -> length scale in decades.
    """

    names: tuple[str, ...]
    anchors: Floats
    families: Strings
    weights: Floats
    lengths: Mapping[str, float]

    def predict(self, samples: Samples) -> Floats:
        """Return log(measured / physical) as expected, shape (n,)."""
        points = _points(samples, self.names)
        families = samples.labels["family"]
        result = np.zeros(len(samples))
        for family, length in self.lengths.items():
            rows, own = families == family, self.families == family
            if rows.any():
                near = _kernel(points[rows], self.anchors[own], length)
                result[rows] = near @ self.weights[own]
        return result


def fit(samples: Samples, log_ratio: Floats) -> Residual:
    """Fit log(measured / physical), shape (n,), per family.

    Length and noise are chosen by leave-one-out in closed form.
    """
    step = -(-len(samples) // MOST_ANCHORS)
    rows = np.arange(0, len(samples), step)
    part, wanted = samples.take(rows), np.clip(log_ratio[rows], -LARGEST, LARGEST)
    names = tuple(feature for feature in WORK if part.total(feature).any())
    points, families = _points(part, names), part.labels["family"]
    weights, lengths = np.zeros(len(part)), {}
    for family in dict.fromkeys(families.tolist()):
        own = families == family
        weights[own], lengths[family] = _fit_family(points[own], wanted[own])
    return Residual(
        names=names, anchors=points, families=families, weights=weights, lengths=lengths
    )


def _fit_family(points: Floats, wanted: Floats) -> tuple[Floats, float]:
    best, chosen = math.inf, (np.zeros(len(wanted)), LENGTHS[0])
    for length in LENGTHS:
        values, vectors = np.linalg.eigh(_kernel(points, points, length))
        for noise in NOISES:
            scaled = vectors / (values + noise)
            weights = scaled @ (vectors.T @ wanted)
            error = float(np.mean(np.abs(weights / (scaled * vectors).sum(axis=1))))
            if error < best:
                best, chosen = error, (weights, length)
    return chosen


def _points(samples: Samples, names: tuple[str, ...]) -> Floats:
    return np.stack([np.log10(samples.total(name) + 1) for name in names], axis=1)


def _kernel(a: Floats, b: Floats, length: float) -> Floats:
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    return np.asarray(np.exp(-0.5 * np.maximum(squared, 0) / length**2))
