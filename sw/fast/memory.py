"""Memory for constants, one array behind the other."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import DTypeLike

from heterolith.sw.network import Array
from heterolith.sw.pages import zeros

_LINE = 64
_CHUNK = 1 << 23


class Shelf:
    """Gives out memory for constants, one array behind the other.

    What was given out lives as long as the arrays do.
    """

    def __init__(self) -> None:
        self._chunk, self._used = np.empty(0, np.uint8), 0

    def take(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> Array:
        """Return zeros that begin on a cache line."""
        size = -(-prod(shape) * np.dtype(dtype).itemsize // _LINE) * _LINE
        if self._used + size > self._chunk.size:
            self._chunk, self._used = zeros(max(size, _CHUNK)), 0
        place = self._chunk[self._used : self._used + size]
        self._used += size
        return np.ndarray(shape, dtype, place)
