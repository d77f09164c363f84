"""Memory on large pages where the system has them.

A processor finds memory page by page, and fetches ahead within a page alone. Kernels and scratch
memory of a network are megabytes that are read in every run: on pages of 2 MiB instead of 4 KiB six
of the networks of ``benchmarks/networks.py`` ran 2 to 9 % faster (trials).
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from heterolith.sw.network import Array

_LINE = 64
_PAGE = 1 << 21
_CHUNK = 1 << 23


def zeros(size: int) -> Array:
    """Return so many bytes, on large pages if the system has them, at least on a cache line."""
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return _aligned(np.zeros(size + _LINE, np.uint8), size, _LINE)
    memory = mmap.mmap(-1, size + _PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without large pages: small ones do as well
        memory.madvise(mmap.MADV_HUGEPAGE)
    return _aligned(np.frombuffer(memory, np.uint8), size, _PAGE)


def _aligned(memory: Array, size: int, multiple: int) -> Array:
    start = -memory.ctypes.data % multiple
    return memory[start : start + size]


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
