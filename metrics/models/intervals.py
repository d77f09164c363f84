"""Prediction intervals from errors on groups that a model had not seen.

A score is |log(measured / predicted)| of a row whose network (or shape family) was left out of the
fit, over the scale that rows of its kind have. The interval multiplies and divides the prediction
by exp(scale x quantile of the scores): jackknife with whole groups left out (Barber, Candes,
Ramdas, Tibshirani, Annals of Statistics 2021), each group weighing the same as in hierarchical
conformal prediction (Lee, Barber, Willett, arXiv:2306.06342). A kind is an operator family and a
decade of the predicted value; kinds with few rows borrow the common scale. A group's scores are
taken over scales that its own errors had no part in: else the largest errors shrink their own.

The scale is known from few independent scores only, so that the quantile is widened as Student's t
is against the normal distribution. Rows of whole networks differ in batch or mode: k groups are k
scores. Layers differ in shape: how far those of a group err together is seen in the scores (Kish,
Survey Sampling, 1965, section 5.4). Without any assumption k groups support a level of k / (k + 1)
at most; `Spread.supported` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heterolith.metrics.models.samples import Floats, Strings

BORROWED = 10.0
"""Rows' worth of the common scale in every kind's own."""
SMALLEST = 1e-3
"""Score below which repeated readings of one clock do not differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Fitted interval.

    Attributes
    ----------
    level
        Share of new rows that the interval is meant to hold.
    quantile
        Of the scores at that level, widened for few groups.
    scales
        Kind -> scale relative to the common one.
    groups
        Number of groups that the scores come from.
    """

    level: float
    quantile: float
    scales: Mapping[str, float]
    groups: int

    @property
    def supported(self) -> float:
        """Highest level that this many groups can support."""
        return self.groups / (self.groups + 1)

    def bounds(self, predicted: Floats, families: Strings) -> tuple[Floats, Floats]:
        """Return (low, high) of each prediction, shape (n,) each."""
        kind = kinds(predicted, families)
        scale = np.array([self.scales.get(name, 1.0) for name in kind.tolist()])
        factor = np.exp(self.quantile * scale)
        return predicted / factor, predicted * factor


def kinds(predicted: Floats, families: Strings) -> Strings:
    """Return ``family/decade`` of each row."""
    decades = np.floor(np.log10(np.maximum(predicted, 1e-30))).astype(int)
    pairs = zip(families.tolist(), decades.tolist(), strict=True)
    return np.array([f"{family}/{decade}" for family, decade in pairs], dtype=np.str_)


def fit(
    predicted: Floats,
    measured: Floats,
    families: Strings,
    groups: Strings,
    level: float,
    layers: bool = False,
) -> Spread:
    """Return the spread of predictions made out of fold.

    Parameters
    ----------
    predicted, measured
        Shape (n,); rows without a finite prediction are left out.
    families, groups
        Operator family and group of each row.
    layers
        Whether the rows of a group are layers, each another shape; else a group counts as one.
    """
    from scipy import stats

    known = np.isfinite(predicted) & (predicted > 0)
    predicted, measured = predicted[known], measured[known]
    families, groups = families[known], groups[known]
    names, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:
        return Spread(level=level, quantile=float("inf"), scales={}, groups=len(names))
    error = np.abs(np.log(measured / predicted))
    weight = 1 / sizes[member]
    kind = kinds(predicted, families)
    score = np.empty(len(error))
    for group in range(len(names)):
        own = member == group
        others = _scales(error[~own], kind[~own], weight[~own])
        score[own] = error[own] / np.array([others.get(name, 1.0) for name in kind[own].tolist()])
    order = np.argsort(score)
    reached = np.cumsum(weight[order]) / weight.sum()
    index = min(int(np.searchsorted(reached, level - 1e-12)), len(order) - 1)
    degrees = (_independent(score, member, sizes) if layers else len(names)) - 1
    few = float(stats.t.ppf((1 + level) / 2, degrees) / stats.norm.ppf((1 + level) / 2))
    quantile = max(float(score[order][index]) * few, SMALLEST)
    scales = _scales(error, kind, weight)
    return Spread(level=level, quantile=quantile, scales=scales, groups=len(names))


def _independent(score: Floats, member: NDArray[np.intp], sizes: NDArray[np.intp]) -> float:
    """Return how many independent scores there are: groups if each has one size, at most rows.

    Rows over Kish's design effect, 1 + (rows of a group - 1) x correlation within groups, where the
    analysis of variance gives the correlation.
    """
    rows, groups = len(score), len(sizes)
    usual = (rows - (sizes**2).sum() / rows) / (groups - 1)
    if rows == groups or usual <= 1:
        return float(groups)
    means = np.bincount(member, score) / sizes
    between = float(sizes @ (means - score.mean()) ** 2) / (groups - 1)
    within = float(((score - means[member]) ** 2).sum()) / (rows - groups)
    total = between + (usual - 1) * within
    alike = min(1.0, max(0.0, (between - within) / total)) if total > 0 else 1.0
    return max(float(groups), float(rows / (1 + (usual - 1) * alike)))


def _scales(error: Floats, kind: Strings, weight: Floats) -> dict[str, float]:
    """Return each kind's mean error relative to that of all, some of which it borrows."""
    common = max(float(np.average(error, weights=weight)), SMALLEST)
    names, member, sizes = np.unique(kind, return_inverse=True, return_counts=True)
    means = (np.bincount(member, error) + BORROWED * common) / (sizes + BORROWED)
    return dict(zip(names.tolist(), (means / common).tolist(), strict=True))
