"""Where tensors lie in memory while a network runs, and what is done to a result on its way there.

Tensors of four axes lie channels last, so that every pixel is one run of memory: convolutions,
pooling and Winograd's transforms all move whole runs. A tensor may have several places: its own,
copies inside a frame of padding, a slice of channels in the buffer of a concatenation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike

from heterolith.sw.fast.passes import Step as Step
from heterolith.sw.fast.passes import swept
from heterolith.sw.network import Activation, Array

_ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Frame:
    """Padding around a tensor of shape (N, C, H, W), in pixels."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0


PLAIN = Frame()


@dataclass(frozen=True, slots=True)
class Region:
    """A piece of a tensor: an image, rows and channels of it."""

    image: int
    rows: slice
    channels: slice = field(default_factory=lambda: _ALL)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place of a tensor.

    Attributes
    ----------
    outer
        (N, H + padding, W + padding, C) for a tensor of four axes, else the tensor itself.
    frame
        Padding that ``outer`` includes.
    ones
        Whether the element behind the last channel of every pixel is 1.
    whole
        Whether the buffer holds nothing but this tensor and gaps that may be overwritten by
        anything finite.
    first, height
        Of a place that holds only some rows of one image at a time: the first of them, and the
        number that the tensor has. ``height`` is 0 where all are there.
    """

    outer: Array
    frame: Frame = PLAIN
    ones: bool = False
    whole: bool = False
    first: int = 0
    height: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor, (N, H, W, C) if it has four axes."""
        shape = self.inner.shape
        return (shape[0], self.height, *shape[2:]) if self.height else shape

    @property
    def inner(self) -> Array:
        """The tensor without padding, axes as in ``outer``."""
        if self.outer.ndim != 4:
            return self.outer
        _, rows, columns, _ = self.outer.shape
        f = self.frame
        return self.outer[:, f.top : rows - f.bottom, f.left : columns - f.right]

    @property
    def runs(self) -> Array:
        """The tensor with the gaps behind its pixels, if they hold finite numbers, as channels."""
        inner = self.inner
        if not (self.whole and self.dense):
            return inner
        pitch = inner.strides[2] // inner.itemsize
        return as_strided(inner, (*inner.shape[:3], pitch), inner.strides)

    @property
    def logical(self) -> Array:
        """The tensor with its axes as in the network, channels second."""
        inner = self.inner
        return inner.transpose(0, 3, 1, 2) if inner.ndim == 4 else inner

    @property
    def dense(self) -> bool:
        """Whether rows of pixels follow each other at the distance of pixels."""
        return self.frame.left == 0 and self.frame.right == 0

    def at(self, region: Region) -> Array:
        """Return a view of shape (rows, W, channels)."""
        rows, image = region.rows, region.image
        if self.height:
            rows, image = slice(rows.start - self.first, rows.stop - self.first), 0
        view: Array = self.inner[image, rows, :, region.channels]
        return view

    def matrix(self, region: Region, more: int = 0) -> Array:
        """Return a dense place as (pixels, channels + more) without a copy."""
        view = self.at(region)
        shape = (view.shape[0] * view.shape[1], view.shape[2] + more)
        return as_strided(view, shape, view.strides[1:])


class Scratch:
    """Memory of one worker for intermediate values of one task.

    Without a buffer it only measures: arrays are then memory of their own, never written to.
    """

    def __init__(self, buffer: Array | None = None) -> None:
        self._buffer = buffer
        self._used = self._kept = 0
        self.peak_bytes = 0

    def reset(self) -> None:
        """Begin a task: everything taken since `keep` may be overwritten."""
        self._used = self._kept

    def keep(self) -> None:
        """Hold what was taken until `release`, over the tasks of others."""
        self._kept = self._used

    def release(self) -> None:
        """Hold nothing any more."""
        self._used = self._kept = 0

    def take(self, *shape: int, dtype: DTypeLike = np.float32) -> Array:
        """Return undefined elements on a cache line of their own."""
        start = self._used
        size = prod(shape) * np.dtype(dtype).itemsize
        self._used += -(-size // 64) * 64
        self.peak_bytes = max(self.peak_bytes, self._used)
        if self._buffer is None:
            return np.empty(shape, dtype)
        return np.ndarray(shape, dtype, self._buffer, start)


def constant(value: float, dtype: DTypeLike = np.float32) -> Array:
    """Return a scalar that numpy need not convert on every call."""
    return np.array(value, dtype)


def _same(view: Array) -> Array:
    return view


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the result of a layer goes and what is fused behind it.

    Attributes
    ----------
    spots
        Places of the result; the first one is computed, the others are copied from it.
    residual
        Place of the tensor that is added, or ``None``.
    activation
        Clamp behind the addition, or ``None``.
    shuffle
        Number of groups whose channels are interleaved, 1 for none.
    """

    spots: tuple[Spot, ...]
    residual: Spot | None = None
    activation: Activation | None = None
    shuffle: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result, (N, H, W, C)."""
        return self.spots[0].shape

    def landing(self, region: Region, scratch: Scratch, *, passes: bool = False) -> Array:
        """Return a matrix (pixels, channels) to compute into.

        It is the result's place, or scratch of the same pitch for a residual to be added to, where
        passes over it may run over gaps or there are none; elsewhere it is contiguous scratch,
        copied in the end. ``passes`` tells whether the caller will pass over it.
        """
        spot = self.spots[0]
        view = spot.at(region)
        untouched = not passes and self.shuffle == 1 and spot.dense and not self.clamps()
        if self.residual is None and (untouched or self._may_run(region)):
            return spot.matrix(region)
        pixels, channels = view.shape[0] * view.shape[1], view.shape[2]
        pitch = view.strides[1] // view.itemsize if self._may_run(region) else channels
        return scratch.take(pixels, pitch)[:, :channels]

    def finish(
        self, values: Array, region: Region, fold: Callable[[Array], Array] = _same
    ) -> list[Step]:
        """Return the steps from what was computed to the result in all its places.

        Parameters
        ----------
        values
            (rows, W, channels), or of the form that ``fold`` makes of that; it is overwritten.
        fold
            Makes a view of the same form from one of shape (rows, W, channels).
        """
        home = fold(self.spots[0].at(region))
        added = None if self.residual is None else fold(self.residual.at(region))
        if self._may_run(region) and values.strides == home.strides and fold is _same:
            steps = self._run(values, home, added)
        else:
            steps = [] if added is None else [partial(np.add, values, added, values)]
            flat = values.reshape(-1) if values.flags.c_contiguous else values
            steps += self.clamped(flat)
            if not np.may_share_memory(values, home):
                steps += _store(values, home, self.shuffle)
        for spot in self.spots[1:]:
            steps.append(partial(np.copyto, fold(spot.at(region)), home))
        return steps

    def _run(self, values: Array, home: Array, added: Array | None) -> list[Step]:
        """Pass over memory as one run; the 1 behind a pixel gets 0 added to it."""
        steps: list[Step] = []
        source, place = _run(values), _run(home)
        if added is not None:
            gap = source.reshape(-1, values.strides[1] // values.itemsize)[:, values.shape[2] :]
            if gap.size:
                steps.append(partial(gap.fill, 0))
            steps.append(partial(np.add, source, _run(added), place))
        elif not np.may_share_memory(values, home):
            steps.append(partial(np.copyto, place, source))
        return steps + self.clamped(place)

    def clamped(self, values: Array) -> list[Step]:
        """Return the steps that apply the activation to an array of any shape, in place."""
        return [step for clamp in self.clamps() for step in swept(clamp[0], values, clamp[1])]

    def clamps(self) -> list[tuple[Any, Array]]:
        """Return the activation as functions and bounds."""
        if self.activation is None:
            return []
        low, high = self.activation.low, self.activation.high
        dtype = self.spots[0].outer.dtype
        below = [(np.maximum, constant(low, dtype))] if low > -np.inf else []
        return below + ([(np.minimum, constant(high, dtype))] if high < np.inf else [])

    def _may_run(self, region: Region) -> bool:
        """Tell whether passes may go over gaps too, ones that stay ones among them."""
        act, spot = self.activation, self.spots[0]
        if act is not None and not act.low <= 1 <= act.high:
            return False
        places = [spot] if self.residual is None else [spot, self.residual]
        alike = all(place.inner.strides == spot.inner.strides for place in places)
        whole = all(place.whole and place.dense for place in places)
        return alike and whole and region.channels == _ALL and self.shuffle == 1


def _run(view: Array) -> Array:
    """Return the memory of dense rows (rows, W, channels) from the first to behind the last gap."""
    elements = view.shape[0] * view.strides[0] // view.itemsize
    return as_strided(view, (elements,), (view.itemsize,))


def _store(values: Array, home: Array, shuffle: int) -> list[Step]:
    """Return the copy to the result's place, which may interleave groups: one call for each."""
    if shuffle == 1:
        return [partial(np.copyto, home, values)]
    each = values.shape[-1] // shuffle
    return [
        partial(np.copyto, home[..., k::shuffle], values[..., k * each : (k + 1) * each])
        for k in range(shuffle)
    ]


def chunks(first: int, last: int, most: int) -> Sequence[tuple[int, int]]:
    """Cut a range into pieces of about one size and at most ``most``."""
    count = max(1, -(-(last - first) // max(1, most)))
    edges = [first + (last - first) * place // count for place in range(count + 1)]
    return list(pairwise(edges))


def images(first: int, last: int, rows: int) -> list[tuple[int, int, int]]:
    """Split a range of rows, counted through all images, by image: (image, first, last)."""
    found = []
    for image in range(first // rows, -(-last // rows)):
        low, high = max(first, image * rows), min(last, (image + 1) * rows)
        found.append((image, low - image * rows, high - image * rows))
    return found
