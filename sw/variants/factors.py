"""Low-rank factors of weights: two small layers whose product is near one large layer.

A convolution of ``kh x kw`` becomes a vertical one of ``kh x 1`` with K results and a horizontal
one of ``1 x kw``: the weights as a matrix (C kh, kw N) are cut to rank K (Jaderberg, Vedaldi,
Zisserman, BMVC 2014, scheme 2, by singular values as in Tai et al., ICLR 2016). Without samples the
cut is the nearest in the weights. With the `Moments` of what a layer reads it is the nearest in the
results, to second order: principal directions of the results (Zhang et al., TPAMI 2016, section
3.1), then a regression of the results on what the first factor gives, and a bias that keeps their
mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heterolith.sw.network import Array

RIDGE = 1e-6
"""Share of the mean variance added to every variance before a regression."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean (D,) and covariance (D, D) of the patches that one group of a layer reads.

    D runs over (channel, row, column) of a kernel, or over the features of a product; float64.
    """

    mean: Array
    covariance: Array


@dataclass(frozen=True, slots=True)
class Factors:
    """First and second factor, and what is added to the bias (N,); float64."""

    first: Array
    second: Array
    shift: Array


def product_factors(weights: Array, rank: int, moments: Moments | None = None) -> Factors:
    """Cut a matrix (N, D) to rank K: factors (K, D) and (N, K).

    Parameters
    ----------
    rank
        1 to ``min(N, D)``.
    moments
        Of the features, for the nearest results instead of the nearest weights.
    """
    exact = weights.astype(np.float64)
    if moments is None:
        u, s, v = np.linalg.svd(exact, full_matrices=False)
        root = np.sqrt(s[:rank])
        return Factors(root[:, None] * v[:rank], u[:, :rank] * root, np.zeros(len(exact)))
    directions = _principal(exact @ moments.covariance @ exact.T, rank)
    first, second = _even(directions.T @ exact, directions, moments.covariance)
    return Factors(first, second, (exact - second @ first) @ moments.mean)


def separable_factors(weights: Array, rank: int, moments: Moments | None = None) -> Factors:
    """Cut kernels (N, C, kh, kw) to a vertical (K, C, kh, 1) and a horizontal factor (N, K, 1, kw).

    Parameters
    ----------
    rank
        1 to ``min(C kh, kw N)``.
    moments
        Of patches (C, kh, kw), flattened in this order.
    """
    exact = weights.astype(np.float64)
    n, c, kh, kw = exact.shape
    matrix = exact.transpose(1, 2, 3, 0).reshape(c * kh, kw * n)
    if moments is None:
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        root = np.sqrt(s[:rank])
        down, across = u[:, :rank] * root, root[:, None] * v[:rank]
        shift = np.zeros(n)
    else:
        blocks = moments.covariance.reshape(c * kh, kw, c * kh, kw)
        column = np.einsum("ajbj->ab", blocks) / kw  # of one column of a patch, mean over columns
        directions = _principal(matrix.T @ column @ matrix, rank)
        down, _ = _even((matrix @ directions).T, directions, column)
        down = down.T
        across, shift = _across(exact, down, moments)
    vertical = down.T.reshape(rank, c, kh, 1)
    horizontal = across.reshape(rank, kw, n).transpose(2, 0, 1).reshape(n, rank, 1, kw)
    return Factors(vertical, horizontal, shift)


def _principal(covariance: Array, rank: int) -> Array:
    """Return the ``rank`` directions of largest variance as columns."""
    return np.asarray(np.linalg.eigh(covariance)[1][:, ::-1][:, :rank])


def _even(first: Array, second: Array, covariance: Array) -> tuple[Array, Array]:
    """Give the first factor's results one variance, so that one int8 scale serves all of them."""
    variance = np.einsum("kd,de,ke->k", first, covariance, first)
    floor = max(float(variance.max(initial=0.0)) * 1e-12, np.finfo(np.float64).tiny)
    spread = np.sqrt(np.maximum(variance, floor))
    return first / spread[:, None], second * spread


def _across(exact: Array, down: Array, moments: Moments) -> tuple[Array, Array]:
    """Regress the results on the columns' first factors; return (K, kw N) and the bias's shift."""
    n, c, kh, kw = exact.shape
    rank = down.shape[1]
    reduce = np.einsum("ak,ij->kiaj", down, np.eye(kw)).reshape(rank * kw, c * kh * kw)
    flat = exact.reshape(n, -1)
    seen = reduce @ moments.covariance
    gram = seen @ reduce.T
    gram += np.eye(len(gram)) * (RIDGE * np.trace(gram) / len(gram) + np.finfo(np.float64).tiny)
    second = np.linalg.solve(gram, seen @ flat.T).T  # (n, rank kw)
    shift = (flat - second @ reduce) @ moments.mean
    return second.reshape(n, rank, kw).transpose(1, 2, 0).reshape(rank, kw * n), shift
