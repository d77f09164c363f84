"""Memory that is used again once nobody holds it.

Fresh memory costs a page fault for every 4 KiB, which for large tensors takes longer than computing
them; memory used a moment ago is still in the caches. Invariant: an array that anyone can still
reach is never handed out again, because each one keeps a reference to its buffer and only buffers
without such references are free.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from heterolith.sw.network import Array
from heterolith.sw.pages import mapped

# References to a free buffer that is looked at in its list: the list's and the argument's.
_UNHELD = 2
TINY_BYTES = 1 << 12
"""Smaller arrays come from memory that the process already has."""
SMALL_BYTES = 1 << 16
"""Buffers for arrays up to this size have it; larger arrays would run short if those took them."""
# Buffers are cut from pieces of this size or more, and begin on a small page.
_CHUNK_BYTES = 1 << 24
_ALIGNED = 1 << 12


class Arena:
    """Gives out uninitialised arrays; threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        # small and large ones; the one handed out last is the last
        self._buffers: tuple[list[Array], list[Array]] = ([], [])
        self._chunk: mmap.mmap | None = None
        self._used = 0

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array with undefined elements, like ``np.empty``.

        Its memory is the free buffer, large enough, that was handed out last: it is the likeliest
        to be in a cache, and few buffers serve all.
        """
        kind: np.dtype[Any] = np.dtype(dtype)
        size = prod(shape) * kind.itemsize
        if size < TINY_BYTES:
            return np.empty(shape, kind)
        with self._lock:
            buffers = self._buffers[size > SMALL_BYTES]
            for place in range(len(buffers) - 1, -1, -1):
                if size <= buffers[place].size and sys.getrefcount(buffers[place]) == _UNHELD:
                    buffers.append(buffers.pop(place))
                    break
            else:
                buffers.append(self._new(max(size, SMALL_BYTES)))
            return np.ndarray(shape, kind, buffers[-1])

    def clear(self) -> None:
        """Give back all memory that nobody holds."""
        with self._lock:
            self._buffers = ([], [])
            self._chunk = None

    def _new(self, size: int) -> Array:
        """Cut a buffer off.

        Its base is no array, so that arrays in it refer to the buffer and not past it.
        """
        if self._chunk is None or self._used + size > len(self._chunk):
            self._chunk, self._used = mapped(max(size, _CHUNK_BYTES)), 0
        buffer = np.frombuffer(self._chunk, np.uint8, size, self._used)
        self._used += -(-size // _ALIGNED) * _ALIGNED
        return buffer
