"""Scores of a softmax that outgrow float32, and how they are computed instead.

Softmax depends on differences of its inputs. From 2**20 on, float32 numbers lie 1/8 or more apart,
so that the order of a sum decides the result. Layers that feed a softmax are therefore computed
again in float64 when a result is that large; for trained networks this never happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from heterolith.sw.network import Array, Network

LARGEST = 2.0**20
"""Scores below this are computed in float32 alone."""

PASSING = frozenset({"GlobalAveragePool", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Add"})
"""Operators that hand scores on with no more than an average or a sum."""


def score_layers(network: Network) -> frozenset[str]:
    """Return the names of layers whose result reaches a softmax through `PASSING` alone."""
    wanted: set[str] = set()
    layers = []
    for layer in reversed(network.layers):
        hands_on = wanted.intersection(layer.outputs)
        if hands_on:
            layers.append(layer.name)
        if layer.op in {"Softmax", "LogSoftmax"} or (hands_on and layer.op in PASSING):
            wanted.update(network.activations(layer))
    return frozenset(layers)


def widen(
    compute: Callable[[Mapping[str, Array]], tuple[Array, ...]], arrays: Mapping[str, Array]
) -> tuple[Array, ...]:
    """Compute scores, and again in float64 if they are float32 and too large for that.

    Parameters
    ----------
    compute
        The layer, from its arrays by name to its results.

    Returns
    -------
    tuple of arrays of the dtypes that ``compute`` gives
    """
    results = compute(arrays)
    if all(value.dtype != np.float32 or _moderate(value) for value in results):
        return results
    wide = {
        name: value.astype(np.float64) if value.dtype == np.float32 else value
        for name, value in arrays.items()
    }
    with np.errstate(over="ignore"):  # what is beyond float32 is infinite there
        return tuple(
            value.astype(result.dtype) for value, result in zip(compute(wide), results, strict=True)
        )


def _moderate(scores: Array) -> bool:
    """Tell whether scores are all small, none of them no number; two passes and no memory."""
    low = np.minimum.reduce(scores, axis=None, initial=0.0)
    return bool(low > -LARGEST and np.maximum.reduce(scores, axis=None, initial=0.0) < LARGEST)
