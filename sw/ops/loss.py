"""Losses of classifiers. Source: ONNX NegativeLogLikelihoodLoss-13, SoftmaxCrossEntropyLoss-13."""

from __future__ import annotations

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array
from heterolith.sw.ops.index import wrap_indices
from heterolith.sw.ops.normalize import log_softmax


def negative_log_likelihood_loss(
    x: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> Array:
    """Return minus the log-probability of each target class, weighted, summed or averaged.

    Parameters
    ----------
    x
        Log-probabilities (N, C, other axes).
    target
        Classes (N, other axes), int32 or int64.
    weight
        Factor of each class, (C,).
    ignore_index
        Target that counts nothing.
    reduction
        none, sum, or mean over the weights of the targets.
    """
    if reduction not in ("none", "sum", "mean"):
        raise unknown_name("reduction of a loss", reduction, ("none", "sum", "mean"))
    if target.shape != (x.shape[0], *x.shape[2:]):
        raise InputError(f"targets of shape {target.shape} for scores {x.shape}")
    counted = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    classes = wrap_indices(np.where(counted, target, 0), x.shape[1])
    if np.any(np.where(counted, target, 0) < 0):
        raise InputError("a target class is negative")
    factors = counted.astype(x.dtype)
    if weight is not None:
        factors = factors * weight[classes]
    chosen = np.take_along_axis(x, np.expand_dims(classes, 1), axis=1)[:, 0]
    loss: Array = -chosen * factors
    if reduction == "none":
        return loss
    total = loss.sum(dtype=x.dtype)
    if reduction == "mean":
        total = total / factors.sum(dtype=x.dtype)
    return np.asarray(total, x.dtype)


def softmax_cross_entropy_loss(
    x: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[Array, Array]:
    """Return `negative_log_likelihood_loss` of the log-softmax of scores, and that log-softmax."""
    logarithms = log_softmax(x, axis=1)
    loss = negative_log_likelihood_loss(
        logarithms, target, weight, ignore_index=ignore_index, reduction=reduction
    )
    return loss, logarithms
