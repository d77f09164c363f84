"""Geometry of a sliding window: what convolution and pooling share, in 1, 2 or 3 dimensions.

Axes are (N, C, then K spatial axes). Output places are counted as ONNX does: rounding up
(``ceil_mode``) adds a place only if its window starts before the trailing padding. Source: ONNX
operator set 18, Conv and MaxPool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from heterolith.errors import InputError
from heterolith.sw.network import Array

Empty = Callable[[Sequence[int], Any], Array]  # np.empty, or what allocates like it
SlotEmpty = Callable[[int, Sequence[int], Any], Array]  # the same, of several at a time
Attribute = Any  # an int, a string or a sequence of integers

# The attributes that describe a window, as keywords of the operators that have one.
GEOMETRY = frozenset({"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides"})


def fresh(_: int, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """Allocate like ``np.empty``, whatever the slot."""
    return np.empty(shape, dtype)


@dataclass(frozen=True, slots=True)
class Cut:
    """What some windows cover of an input, and the padding around it.

    Attributes
    ----------
    source, target
        Where it lies in the input, and in the padded form.
    covered
        Spatial extent of the padded form.
    padded
        Whether any padding is covered.
    """

    source: tuple[slice, ...]
    target: tuple[slice, ...]
    covered: tuple[int, ...]
    padded: bool

    def of(self, x: Array, fill: float = 0, empty: Empty = np.empty) -> Array:
        """Return the padded form, a view of `x` where no padding is covered."""
        inside = x[self.source]
        if not self.padded:
            return inside
        padded = empty((*x.shape[:2], *self.covered), x.dtype)
        padded.fill(fill)
        padded[self.target] = inside
        return padded


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window that moves over K spatial axes.

    Attributes
    ----------
    kernel, strides, dilations
        One integer per spatial axis.
    pads
        Elements of padding: all begins, then all ends.
    ceil_mode
        Whether a last window that is only partly inside counts.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    ceil_mode: bool = False

    @classmethod
    def of(cls, kernel: Sequence[int], geometry: Mapping[str, Any]) -> Window:
        """Build a window from the attributes that an operator got.

        Parameters
        ----------
        kernel
            Kernel shape, from the weights or from the attribute ``kernel_shape``.
        geometry
            Attributes by ONNX name (`GEOMETRY`), absent ones meaning 1, or 0 for pads.

        Raises
        ------
        InputError
            If an attribute has the wrong number of values or contradicts the kernel.
        """
        rank = len(kernel)
        if tuple(geometry.get("kernel_shape") or kernel) != tuple(kernel):
            raise InputError(f"kernel_shape {geometry['kernel_shape']} but kernels of {kernel}")
        if geometry.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
            raise InputError(f"auto_pad {geometry['auto_pad']!r} must be written as explicit pads")
        window = cls(
            kernel=tuple(kernel),
            strides=tuple(geometry.get("strides") or (1,) * rank),
            dilations=tuple(geometry.get("dilations") or (1,) * rank),
            pads=tuple(geometry.get("pads") or (0,) * (2 * rank)),
            ceil_mode=bool(geometry.get("ceil_mode", 0)),
        )
        lengths = (len(window.strides), len(window.dilations), len(window.pads))
        if lengths != (rank, rank, 2 * rank):
            raise InputError(
                f"a kernel of {rank} axes needs {rank} strides, {rank} dilations and {2 * rank} "
                f"pads; got {lengths[0]}, {lengths[1]} and {lengths[2]}"
            )
        return window

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def extents(self) -> tuple[int, ...]:
        """Input elements that a window spans on each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    def output(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Return the number of window places on each axis of an input.

        Raises
        ------
        InputError
            If the window is larger than the padded input.
        """
        if len(spatial) != self.rank:
            raise InputError(f"a kernel of {self.rank} axes cannot slide over {len(spatial)} axes")
        places = []
        for axis, length in enumerate(spatial):
            before, after = self.pads[axis], self.pads[axis + self.rank]
            stride, extent = self.strides[axis], self.extents[axis]
            span = length + before + after - extent
            if span < 0:
                raise InputError(
                    f"a window of {extent} does not fit into {length} elements padded by "
                    f"{before} and {after}"
                )
            count = span // stride + 1
            if self.ceil_mode and span % stride and count * stride < length + before:
                count += 1
            places.append(count)
        return tuple(places)

    def pad(self, x: Array, fill: float = 0) -> Array:
        """Return exactly what all windows cover of `x`, (N, C, spatial axes), with its padding.

        It is a view of `x` where no padding is covered.
        """
        return self.cut(x.shape[2:], slice(0, self.output(x.shape[2:])[0])).of(x, fill)

    def cut(self, spatial: Sequence[int], rows: slice) -> Cut:
        """Return where the windows of some output rows, places on axis 2, lie in an input."""
        places = self.output(spatial)
        ranges = [(rows.start, rows.stop), *((0, count) for count in places[1:])]
        source: list[slice] = [slice(None), slice(None)]
        target: list[slice] = [slice(None), slice(None)]
        covered, padded = [], False
        for axis, (first, last) in enumerate(ranges):
            begin = first * self.strides[axis] - self.pads[axis]
            end = (last - 1) * self.strides[axis] + self.extents[axis] - self.pads[axis]
            low = max(begin, 0)
            high = max(low, min(end, spatial[axis]))
            source.append(slice(low, high))
            target.append(slice(low - begin, high - begin))
            covered.append(end - begin)
            padded = padded or (low, high) != (begin, end)
        return Cut(tuple(source), tuple(target), tuple(covered), padded)

    def taps(self, padded: Array, places: Sequence[int]) -> Iterator[tuple[tuple[int, ...], Array]]:
        """Yield each kernel position with the view of `padded` that it meets at all places."""
        for tap in product(*(range(k) for k in self.kernel)):
            cut = [slice(None), slice(None)]
            for k, d, s, count in zip(tap, self.dilations, self.strides, places, strict=True):
                cut.append(slice(k * d, k * d + (count - 1) * s + 1, s))
            yield tap, padded[tuple(cut)]
