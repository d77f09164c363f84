"""Paths of everything but convolutions; what has none goes through the plain operator.

Local response normalization adds shifted runs of squares, zeros between pixels keeping them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from heterolith.sw.execute import apply, naming
from heterolith.sw.fast.passes import swept
from heterolith.sw.fast.spots import Region, Scratch, Spot, Step, Target, chunks, constant, images
from heterolith.sw.fast.work import Work, cost_us
from heterolith.sw.network import Array, Layer
from heterolith.sw.ops import check

_BLOCK_BYTES = 1 << 19
_LRN_BYTES = 1 << 15
_COLUMNS = 64
_STREAMS = 4  # columns of a large factor that are read side by side


def lrn(layer: Layer, source: Spot, target: Target) -> Work:
    """Normalize over neighbouring channels; see `heterolith.sw.ops.normalize`."""
    n, height, width, channels = target.shape
    pitch = channels + layer.attributes["size"] - 1

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        for image, low, high in images(first, last, height):
            for cut in chunks(low, high, max(1, _LRN_BYTES // (width * pitch * 4))):
                scratch.reset()
                region = Region(image, slice(*cut))
                home = target.spots[0].at(region)
                steps += _normalized(layer.attributes, source.at(region), home, scratch)
                steps += target.finish(home, region)
        return steps

    elements = 10 * n * height * width * channels
    return Work(units=n * height, cost_us=cost_us(0, elements), build=build)


def _normalized(
    attributes: Mapping[str, Any], x: Array, home: Array, scratch: Scratch
) -> list[Step]:
    size, beta = attributes["size"], attributes.get("beta", 0.75)
    factor = constant(attributes.get("alpha", 1e-4) / size)
    before, channels, pixels = (size - 1) // 2, x.shape[2], x.shape[0] * x.shape[1]
    pitch = channels + size - 1
    length = pixels * pitch
    squares, sums = scratch.take(length + size - 1), scratch.take(length)
    by_pixel = squares[:length].reshape(*x.shape[:2], pitch)
    steps: list[Step] = [
        partial(by_pixel[..., :before].fill, 0),
        partial(by_pixel[..., before + channels :].fill, 0),
        partial(squares[length:].fill, 0),
        partial(np.multiply, x, x, by_pixel[..., before : before + channels]),
        partial(np.copyto, sums, squares[:length]),
    ]
    if size > 1:
        steps[-1] = partial(np.add, squares[:length], squares[1 : length + 1], sums)
    for shift in range(2, size):
        steps.append(partial(np.add, sums, squares[shift : length + shift], sums))
    steps.append(partial(np.multiply, sums, factor, sums))
    steps.append(partial(np.add, sums, constant(attributes.get("bias", 1.0)), sums))
    if beta == 0.75:
        root = squares[:length]
        steps.append(partial(np.sqrt, sums, root))
        steps.append(partial(np.sqrt, root, sums))
        steps.append(partial(np.multiply, root, sums, sums))
    else:
        steps.append(partial(np.power, sums, constant(beta), sums))
    scale = sums.reshape(*x.shape[:2], pitch)[..., :channels]
    return [*steps, partial(np.divide, x, scale, home)]


def softmax(layer: Layer, source: Spot, target: Target) -> Work:
    """Exponentials over their sum along the last axis of a tensor whose other axes are one row."""
    x, home = source.inner.reshape(-1), target.spots[0].inner.reshape(-1)
    largest, total = np.empty(1, np.float32), np.empty(1, np.float32)

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        return [
            partial(np.maximum.reduce, x, 0, None, largest, True),
            partial(np.subtract, x, largest, home),
            partial(np.exp, home, home),
            partial(np.add.reduce, home, 0, None, total, True),
            partial(np.divide, home, total, home),
        ]

    return Work(units=1, cost_us=cost_us(0, 5 * x.size), build=build)


def as_pixels(spot: Spot) -> Spot:
    """Return a matrix (N, K) as one row of N pixels."""
    return Spot(spot.outer.reshape(1, 1, *spot.outer.shape))


def gemm(layer: Layer, constants: Mapping[str, Array], source: Spot, target: Target) -> Work:
    """Multiply a matrix by a constant one, used as it is stored."""
    attributes = layer.attributes
    w = constants[layer.inputs[1]]
    columns = w.T if attributes.get("transB", 0) else w
    alpha = attributes.get("alpha", 1.0)
    if alpha != 1.0:
        columns = columns * np.float32(alpha)
    x = source.outer.T if attributes.get("transA", 0) else source.outer
    shape = (x.shape[0], columns.shape[1])
    bias: Array | None = None
    if len(layer.inputs) > 2 and layer.inputs[2]:
        scaled = constants[layer.inputs[2]] * np.float32(attributes.get("beta", 1.0))
        bias = np.ascontiguousarray(np.broadcast_to(scaled, shape))
    flat = Target(
        spots=tuple(as_pixels(spot) for spot in target.spots),
        residual=None if target.residual is None else as_pixels(target.residual),
        activation=target.activation,
    )

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        cut = slice(first * _COLUMNS, min(last * _COLUMNS, shape[1]))
        region = Region(0, slice(0, 1), cut)
        landing = flat.spots[0].matrix(region)
        steps = _streamed(x, columns[:, cut], landing)
        if bias is not None:
            steps.append(partial(np.add, landing, bias[:, cut], landing))
        return steps + flat.finish(landing[None], region)

    cost = cost_us(shape[0] * w.size, 2 * w.size)
    return Work(units=-(-shape[1] // _COLUMNS), cost_us=cost, build=build)


def _streamed(x: Array, columns: Array, out: Array) -> list[Step]:
    """Multiply; a single row takes columns a few at a time, each a run of memory read once."""
    rows, length = columns.T.shape
    if len(x) > 1 or not columns.T.flags.c_contiguous or not out.flags.c_contiguous:
        return [partial(np.matmul, x, columns, out)]
    whole = rows // _STREAMS * _STREAMS
    steps: list[Step] = []
    for low, high, each in ((0, whole, _STREAMS), (whole, rows, rows - whole)):
        if high > low:
            parts = columns.T[low:high].reshape(-1, each, length)
            place = out[0, low:high].reshape(-1, each, 1)
            steps.append(partial(np.matmul, parts, x.reshape(-1, 1), place))
    return steps


_ELEMENTWISE: dict[str, Any] = {
    "Add": np.add,
    "Sum": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Max": np.maximum,
    "Min": np.minimum,
}
ELEMENTWISE = frozenset(_ELEMENTWISE)
"""Operators of two images of one shape that have a path."""


def by_rows(target: Target, passes: int, task: Callable[[Region, Array], list[Step]]) -> Work:
    """Return work that computes the result by rows, ``task`` giving the steps of a region."""
    n, height, width, channels = target.shape
    most = max(1, _BLOCK_BYTES // (width * channels * 4 * passes))

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        for image, low, high in images(first, last, height):
            for cut in chunks(low, high, most):
                region = Region(image, slice(*cut))
                home = target.spots[0].at(region)
                steps += task(region, home)
                steps += target.finish(home, region)
        return steps

    elements = n * height * width * channels * passes
    return Work(units=n * height, cost_us=cost_us(0, elements), build=build)


def elementwise(layer: Layer, sources: Sequence[Spot], target: Target) -> Work:
    """Combine two images of one shape."""
    function = _ELEMENTWISE[layer.op]

    def task(region: Region, home: Array) -> list[Step]:
        return [partial(function, sources[0].at(region), sources[1].at(region), out=home)]

    return by_rows(target, 3, task)


def copied(source: Spot, target: Target) -> Work:
    """Copy an image, clamped where an activation follows."""
    return by_rows(target, 2, lambda region, home: [partial(np.copyto, home, source.at(region))])


def clamped(target: Target) -> Work:
    """Clamp an image where it lies, and copy it to its other places."""
    return by_rows(target, 2, lambda region, home: [])


def rectified(source: Spot, target: Target) -> Work:
    """Replace negative elements by zero."""
    zero = constant(0.0)
    return by_rows(target, 2, lambda region, home: swept(np.maximum, source.at(region), zero, home))


def watched(spot: Spot, flag: Array, largest: float) -> Work:
    """Raise a flag where a tensor has elements of ``largest`` or more, or no numbers."""

    def look() -> None:
        values = spot.inner
        if values.flags.c_contiguous and np.vdot(values, values) < largest:
            return
        if not (values.max() < largest and -largest < values.min()):
            flag[0] = 1

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        return [look]

    return Work(units=1, cost_us=cost_us(0, spot.inner.size), build=build)


def reordered(source: Spot, target: Target) -> Work:
    """Copy a tensor into one of the same elements in row-major order, one of them an image."""
    given, place = source.logical, target.spots[0].logical
    if place.ndim == 4:
        given = given.reshape(place.shape)
    else:
        place = place.reshape(given.shape)

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = [partial(np.copyto, place, given)]
        for spot in target.spots[1:]:
            steps.append(partial(np.copyto, spot.logical, given))
        return steps

    return Work(units=1, cost_us=cost_us(0, given.size), build=build)


def plain(
    layer: Layer, constants: Mapping[str, Array], places: Mapping[str, Sequence[Spot]]
) -> Work:
    """Compute a layer by its plain operator, residual and activation included.

    Parameters
    ----------
    places
        Of every activation that the layer reads or makes; the first place is read.
    """
    with naming(layer):
        check(layer.op, layer.attributes)
    names = [name for name in (*layer.inputs, layer.residual) if name]
    arrays = {
        name: constants[name] if name in constants else places[name][0].logical for name in names
    }
    results = [[spot.logical for spot in places[name]] for name in layer.outputs]

    def compute() -> None:
        with naming(layer):
            values = apply(layer, arrays)
        for value, homes in zip(values, results, strict=True):
            for home in homes:
                np.copyto(home, value)

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        return [compute]

    elements = sum(array.size for array in arrays.values())
    return Work(units=1, cost_us=cost_us(layer.macs / 4, 4 * elements), build=build)
