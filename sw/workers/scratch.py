"""Memory for what a part of a layer needs on the way, the same in all layers.

It stays in the caches, whatever memory results go to.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from threading import local
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from heterolith.sw.network import Array
from heterolith.sw.pages import zeros

_LEAST_BYTES = 1 << 22


class Scratch(local):
    """Gives each thread memory of its own."""

    def __init__(self) -> None:
        self._buffers: dict[int, Array] = {}

    def take(self, slot: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array with undefined elements, valid until the thread takes the slot again."""
        kind: np.dtype[Any] = np.dtype(dtype)
        size = prod(shape) * kind.itemsize
        buffer = self._buffers.get(slot)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[slot] = zeros(max(size, _LEAST_BYTES))
        return np.ndarray(shape, kind, buffer)
