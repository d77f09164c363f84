"""Memory on large pages where the system has them.

A processor finds memory page by page, fetches ahead within a page alone, and which sets of a cache
two small pages share is chance. Kernels and scratch memory of a network are megabytes that are read
in every run: on pages of 2 MiB instead of 4 KiB six of the networks of ``benchmarks/networks.py``
ran 2 to 9 % faster (trials).
"""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np

from heterolith.sw.network import Array

_PAGE = 1 << 21
# Windows has no flags: its mappings without a file belong to the process anyway.
_OWN = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}


def mapped(size: int) -> mmap.mmap:
    """Return so many zero bytes, on large pages if the system has them."""
    memory = mmap.mmap(-1, size, **_OWN)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without large pages: small ones do as well
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def zeros(size: int) -> Array:
    """Return so many bytes, on large pages if the system has them, at least on a cache line."""
    memory = np.frombuffer(mapped(size + _PAGE), np.uint8)
    start = -memory.ctypes.data % _PAGE
    return memory[start : start + size]
