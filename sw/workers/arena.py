"""Memory that is used again once nobody holds it.

Fresh memory costs a page fault for every 4 KiB, which for large tensors takes longer than computing
them. Invariant: an array that anyone can still reach is never handed out again, because each one
keeps a reference to its buffer and only buffers without such references are free.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from heterolith.sw.network import Array

# References to a free buffer while `_is_free` looks at it: the list's and the argument's.
_UNHELD = 2
# Smaller arrays come from memory that the process already has.
_SMALL_BYTES = 1 << 16


class Arena:
    """Gives out uninitialised arrays; threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._buffers: list[Array] = []

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array with undefined elements, like ``np.empty``."""
        kind: np.dtype[Any] = np.dtype(dtype)
        size = prod(shape) * kind.itemsize
        if size < _SMALL_BYTES:
            return np.empty(shape, kind)
        with self._lock:
            for place in range(len(self._buffers)):
                if size <= self._buffers[place].size <= 2 * size and self._is_free(place):
                    return np.ndarray(shape, kind, self._buffers[place])
            self._buffers.append(np.empty(size, np.uint8))
            return np.ndarray(shape, kind, self._buffers[-1])

    def clear(self) -> None:
        """Give back all memory that nobody holds."""
        with self._lock:
            self._buffers.clear()

    def _is_free(self, place: int) -> bool:
        return sys.getrefcount(self._buffers[place]) == _UNHELD
