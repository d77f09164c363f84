"""Passes over memory in the forms that numpy computes fastest.

A ufunc of two arrays runs at 11 to 13 elements per ns, one of an array and a scalar at 5 to 6 when
it takes maxima, and runs of memory shorter than numpy's buffer are first copied into it, which
leaves 2 to 6 (float32, one core with AVX-512, trials). So bounds and biases are repeated into
a row that is longer than the buffer and still fits a first-level cache, and the buffer is small.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from heterolith.sw.network import Array

Step = Callable[[], object]
"""One call of numpy, with all its views made beforehand."""

_SHORTEST, _LONGEST = 2048, 4096  # elements of a row


def swept(function: np.ufunc, values: Array, bound: Array, out: Array | None = None) -> list[Step]:
    """Return the steps of ``out = function(values, bound)``.

    Parameters
    ----------
    values
        (..., C), contiguous or not.
    bound
        One element or (C,).
    out
        Of the shape of ``values``, by default these.
    """
    place = values if out is None else out
    count = values.size
    if not (values.flags.c_contiguous and place.flags.c_contiguous and count):
        return [partial(function, values, bound, out=place)]
    length = _row_length(count, bound.size)
    row = _row(bound.tobytes(), bound.dtype.str, _LONGEST if bound.size == 1 else length)
    whole = count // length * length
    flat, flat_out = values.reshape(-1), place.reshape(-1)
    steps: list[Step] = []
    for cut, run in ((slice(whole), length), (slice(whole, count), count - whole)):
        if run:
            rows, home = flat[cut].reshape(-1, run), flat_out[cut].reshape(-1, run)
            steps.append(partial(function, rows, row[:run], out=home))
    return steps


def _row_length(count: int, period: int) -> int:
    """Return a multiple of a period, if possible one that divides the number of elements."""
    if count <= _LONGEST:
        return count
    most = max(1, _LONGEST // period)
    multiples = range(min(most, -(-_SHORTEST // period)), most + 1)
    return period * next((k for k in multiples if count % (k * period) == 0), most)


@lru_cache(maxsize=64)
def _row(bound: bytes, dtype: str, length: int) -> Array:
    """Return a bound repeated; blocks of a layer share it, so that it stays in a cache."""
    return np.resize(np.frombuffer(bound, dtype), length)
