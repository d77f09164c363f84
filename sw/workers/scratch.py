"""Memory for what a part of a layer needs on the way, the same in all layers.

It stays in the caches, whatever memory results go to. What a thread had goes to the next one when
it ends: every run of a plan has threads of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from threading import local
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import DTypeLike

from heterolith.sw.network import Array
from heterolith.sw.pages import zeros

_LEAST_BYTES = 1 << 22


class _Buffers:
    """A thread's buffers by slot; forgotten when it ends."""

    def __init__(self, slots: dict[int, Array]) -> None:
        self.slots = slots


class Scratch:
    """Gives each thread memory of its own."""

    def __init__(self) -> None:
        self._own = local()
        self._left: list[dict[int, Array]] = []

    def take(self, slot: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array with undefined elements, valid until the thread takes the slot again."""
        kind: np.dtype[Any] = np.dtype(dtype)
        size = prod(shape) * kind.itemsize
        own: _Buffers | None = getattr(self._own, "buffers", None)
        slots = (self._first() if own is None else own).slots
        buffer = slots.get(slot)
        if buffer is None or buffer.size < size:
            buffer = slots[slot] = zeros(max(size, _LEAST_BYTES))
        return np.ndarray(shape, kind, buffer)

    def clear(self) -> None:
        """Forget all memory."""
        self._own, self._left = local(), []

    def _first(self) -> _Buffers:
        """Return what a thread gets that has nothing: what one that ended left, if any did."""
        try:
            own = _Buffers(self._left.pop())
        except IndexError:
            own = _Buffers({})
        finalize(own, self._left.append, own.slots).atexit = False
        self._own.buffers = own
        return own
