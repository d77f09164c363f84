"""Layers cut into independent parts, each finished while it is in the cache.

An operator is prepared once for shapes: geometry, parts, what each reads. The task of a part then
computes the operator on a piece of the output and adds what was fused behind it. Invariant: parts
write disjoint pieces, so any number of threads gives the same result up to rounding. A part is a
tuple of slices of the output: image, channels, rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from heterolith.errors import InputError
from heterolith.sw.network import Activation, Array
from heterolith.sw.numerics import clip
from heterolith.sw.ops.pool import highest, lowest

PART_BYTES = 1 << 21
"""Bytes of patches or activations that one part gathers: longer matrices, yet in the caches."""
SERIAL_MACS = 1 << 23
"""Layers of fewer multiply-accumulates are over before another thread has woken up."""
SERIAL_ELEMENTS = 1 << 17
"""The same where nothing is multiplied, in elements."""

BUFFERS = {"Conv": 256}
"""Operator -> elements of numpy's buffer: so that maps of 14 x 14 are passed over in place."""
BUFFER = 2048
"""The same for other operators: rows of poolings are passed over fastest through a buffer."""

Part = tuple[slice, ...]
Arrays = Sequence[Array | None]
Run = Callable[[Arrays, Array | None], Array]
"""A prepared operator: inputs in ONNX order and a residual, to the finished output."""


class Crew(Protocol):
    """Does a task for every part, maybe in several threads, and allocates memory for them."""

    threads: int

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array with undefined elements, like ``np.empty``."""

    def scratch(self, slot: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an array for the task at hand, until it takes the slot again."""

    def run(self, task: Callable[[Any], None], parts: Sequence[Any]) -> None:
        """Return when every part is done; all threads have numpy set as the caller's."""


@dataclass(frozen=True, slots=True)
class Job:
    """One operator of one output, before it is prepared.

    Attributes
    ----------
    attributes
        By ONNX name.
    shapes
        Of the inputs in ONNX order, ``None`` for an absent one.
    dtype
        Of the first input, and of the output.
    residual
        Shape of what is added behind it, or ``None``.
    activation
        Clamp behind that.
    """

    attributes: Mapping[str, Any]
    shapes: Sequence[tuple[int, ...] | None]
    dtype: np.dtype[Any]
    residual: tuple[int, ...] | None = None
    activation: Activation | None = None

    def shape(self, place: int) -> tuple[int, ...]:
        """Return the shape of an input.

        Raises
        ------
        InputError
            If it is not there.
        """
        shape = self.shapes[place] if place < len(self.shapes) else None
        if shape is None:
            raise InputError(f"input {place} is missing; the operator needs it")
        return shape

    def finish(self, out: tuple[int, ...]) -> Finish:
        """Return what is fused behind the operator.

        Raises
        ------
        InputError
            If the residual has another shape than the output: parts could not find their piece.
        """
        if self.residual is not None and self.residual != out:
            raise InputError(f"a residual of shape {self.residual} is added to {out}")
        clamp = self.activation
        if clamp is None or (clamp.low == -np.inf and clamp.high == np.inf):
            return Finish(None)
        low = clamp.low if clamp.low > -np.inf else lowest(self.dtype)
        high = clamp.high if clamp.high < np.inf else highest(self.dtype)
        return Finish((self.dtype.type(low), self.dtype.type(high)))


@dataclass(frozen=True, slots=True)
class Finish:
    """What was fused behind an operator: a residual addition, then bounds."""

    bounds: tuple[Any, Any] | None

    def apply(self, out: Array, residual: Array | None, part: Part) -> None:
        """Finish the piece ``out`` of the result in place; ``part`` is where it lies."""
        if residual is not None:
            np.add(out, residual[part], out=out)
        if self.bounds is not None:  # both at once: numpy clips faster than it takes maxima
            clip(out, *self.bounds, out=out)


def even_parts(length: int, most: int, threads: int) -> list[slice]:
    """Cut into pieces of about one size, at most ``most``, their number a multiple of threads."""
    count = -(-length // max(1, most))
    count = max(1, min(length, -(-count // threads) * threads))
    edges = [length * place // count for place in range(count + 1)]
    return [slice(first, last) for first, last in pairwise(edges)]
