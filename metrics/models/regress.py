"""Non-negative regression in relative error, robust against outliers.

Minimises the sum of |log(prediction / target)|, quadratic near 0, by Gauss-Newton steps on
iteratively reweighted least squares (Holland and Welsch, Communications in Statistics 1977). The
logarithm weighs twice and half alike, so that one wild row, too large or too small, does not move
the rest. A ridge spreads the cost over terms that the rows cannot tell apart, instead of charging
one at random.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from heterolith.metrics.models.samples import Floats
from heterolith.metrics.models.terms import ARITHMETIC, TRAFFIC

ROUNDS = 25
SMOOTHING = 0.03
"""Relative error below which the loss is quadratic: about what repeated measurements differ by."""
TINY = 1e-9
"""Least prediction relative to the target: a row without any work."""
RIDGE = SMOOTHING**2
"""Weight of the ridge on a term's usual share of the total: squared noise over a share of one."""

Kinds = NDArray[np.str_]


def combine(matrix: Floats, kinds: Kinds, coefficients: Floats, order: float) -> Floats:
    """Return ``overhead + (arithmetic^p + traffic^p)^(1/p)``, shape (n,).

    Parameters
    ----------
    matrix
        Float64 array of shape (n, k), non-negative.
    kinds
        Kind of each of the k terms.
    order
        p; 1 adds everything up.
    """
    return np.asarray((matrix * _rates(matrix, kinds, coefficients, order)) @ coefficients)


def power_mean(arithmetic: Floats, traffic: Floats, order: float) -> Floats:
    """Return ``(a^p + b^p)^(1/p)`` without overflow; 0 where both are 0."""
    largest = np.maximum(np.maximum(arithmetic, traffic), 1e-300)
    ratio = np.minimum(arithmetic, traffic) / largest
    return np.asarray(largest * (1 + ratio**order) ** (1 / order))


def _rates(matrix: Floats, kinds: Kinds, coefficients: Floats, order: float) -> Floats:
    """Return the derivative of `combine` by each summand, shape (n, k) or (1, k).

    `combine` is homogeneous of degree one, so that its value is the derivatives times the summands.
    """
    if order == 1 or not ((kinds == ARITHMETIC).any() and (kinds == TRAFFIC).any()):
        return np.ones((1, len(kinds)))
    parts = matrix * coefficients
    sums = {kind: parts[:, kinds == kind].sum(axis=1) for kind in (ARITHMETIC, TRAFFIC)}
    both = power_mean(sums[ARITHMETIC], sums[TRAFFIC], order)
    rates = np.ones_like(matrix)
    for kind, value in sums.items():
        share = (value / np.maximum(both, 1e-300)) ** (order - 1)
        rates[:, kinds == kind] = share[:, None]
    return rates


def nonnegative(matrix: Floats, target: Floats, kinds: Kinds, order: float = 1.0) -> Floats:
    """Return coefficients >= 0 with which `combine` comes nearest to the target.

    Parameters
    ----------
    matrix
        Float64 array of shape (n, k), non-negative.
    target
        Positive float64 array of shape (n,).
    kinds, order
        As for `combine`.
    """
    relative = matrix / target[:, None]
    scale = _usual(relative)
    relative = relative / scale
    even = np.ones(len(target))
    # a row far too small would pull a relative fit, one far too large an absolute one
    starts = (_step(relative, even, even), _step(relative, even, target / target.max()))
    values = [np.maximum(combine(relative, kinds, x, order), TINY) for x in starts]
    losses = [_loss(np.log(value)) for value in values]
    first = int(np.argmin(losses))
    best, value, least = starts[first], values[first], losses[first]
    for _ in range(ROUNDS):
        error = np.log(value)
        slopes = relative * _rates(relative, kinds, best, order) / value[:, None]
        found = _step(slopes, 1 - error, 1 / np.sqrt(np.maximum(np.abs(error), SMOOTHING)))
        for share in (1.0, 0.5, 0.25, 0.1):
            tried = best + share * (found - best)
            reached = np.maximum(combine(relative, kinds, tried, order), TINY)
            loss = _loss(np.log(reached))
            if loss < least * (1 - 1e-5):
                best, value, least = tried, reached, loss
                break
        else:
            break
    return np.asarray(best / scale)


def _usual(relative: Floats) -> Floats:
    """Return the usual size of each column: geometric mean where it is not 0, times how often."""
    present = relative > 0
    count = present.sum(axis=0)
    logs = np.log(np.where(present, relative, 1.0)).sum(axis=0)
    usual = np.exp(logs / np.maximum(count, 1)) * np.sqrt(count / len(relative))
    return np.asarray(np.where(count > 0, usual, 1.0))


def _step(slopes: Floats, wanted: Floats, weight: Floats) -> Floats:
    """Return x >= 0 that minimises |weight (slopes x - wanted)|^2 plus the ridge."""
    from scipy.optimize import nnls

    rows = slopes * weight[:, None]
    ridge = RIDGE * float(weight @ weight)
    # the ridge keeps the normal equations well conditioned: their triangular factor has the
    # minimum of the whole system in k rows
    upper = np.linalg.cholesky(rows.T @ rows + ridge * np.eye(rows.shape[1])).T
    right = np.linalg.solve(upper.T, rows.T @ (wanted * weight))
    solution, _ = nnls(upper, right, maxiter=100 * rows.shape[1] + 100)
    return np.asarray(solution)


def _loss(error: Floats) -> float:
    size = np.abs(error)
    return float(np.where(size < SMOOTHING, size**2 / (2 * SMOOTHING), size - SMOOTHING / 2).sum())
