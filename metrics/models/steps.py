"""Steps of a layer on the CPU worker: what its calls of the array library do, counted exactly.

A layer is a few calls (`heterolith.sw.ops`): copies into padded frames and patches, products part
by part, passes over what they gave. A pass or a copy costs the same in whichever layer it stands,
so that a few probes tell its price for all. Counted is one thread's work, cut as
`heterolith.sw.ops.tiling` cuts it. What is not one stretch of memory costs something for each row
as well as for each element.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from heterolith.metrics.models.context import CACHE_BYTES, window
from heterolith.metrics.work import STEPS
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS

CALLS = {"Softmax": 5, "LogSoftmax": 6, "GlobalAveragePool": 2, "Gemm": 3}
"""Calls of operators that are more than one; a convolution's and a pooling's are counted."""

Count = Counter[str]


@dataclass(frozen=True, slots=True)
class Grid:
    """A window over a map of two axes.

    Attributes
    ----------
    channels, size, places
        Channels read, extent of the input, extent of the output.
    kernel, strides, pads
        Of the window; pads are begins, then ends.
    """

    channels: int
    size: tuple[int, int]
    places: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]

    @property
    def taps(self) -> int:
        """Elements of the window."""
        return math.prod(self.kernel)

    def covered(self, axis: int, first: int, last: int) -> tuple[int, int]:
        """Return how far windows of some places reach, and how much of it lies in the input."""
        begin = first * self.strides[axis] - self.pads[axis]
        end = (last - 1) * self.strides[axis] + self.kernel[axis] - self.pads[axis]
        return end - begin, max(0, min(end, self.size[axis]) - max(begin, 0))


def grid(network: Network, layer: Layer) -> Grid | None:
    """Return the window of a convolution or pooling of one image, ``None`` for anything else."""
    if layer.op not in ("Conv", "MaxPool", "AveragePool") or layer.inputs[0] not in network.tensors:
        return None
    x = network.tensors[layer.inputs[0]].shape
    out = network.tensors[layer.outputs[0]].shape
    if len(x) != 4 or len(out) != 4:
        return None
    pads = tuple(layer.attributes.get("pads") or (0, 0, 0, 0))
    strides = tuple(layer.attributes.get("strides") or (1, 1))
    kernel = window(network, layer)
    dilated = tuple(layer.attributes.get("dilations") or (1, 1))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilated, strict=True))
    if len(layer.outputs) > 1 or len(pads) != 4 or reach != kernel:
        return None
    return Grid(x[1], x[2:], out[2:], kernel, strides, pads)  # type: ignore[arg-type]


def even_parts(length: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield first and last of pieces of about one size, at most ``most`` long."""
    count = max(1, min(length, -(-length // max(1, most))))
    for place in range(count):
        yield length * place // count, length * (place + 1) // count


def clamps(layer: Layer) -> int:
    """Return the passes that a fused activation takes."""
    if layer.activation is None:
        return 0
    return sum(map(math.isfinite, (layer.activation.low, layer.activation.high)))


def steps(network: Network, layer: Layer) -> Mapping[str, int]:
    """Return the steps of one layer of one image or of a batch, by feature of `samples.WORK`."""
    found: Count = Counter()
    if layer.op in VIEWS:
        return found
    place = grid(network, layer)
    batch = network.tensors[layer.outputs[0]].shape[0] if place else 1
    if place is None:
        _other(network, layer, found)
    elif layer.op == "Conv":
        _convolution(network, layer, place, found)
    else:
        _pooling(layer.op, place, found)
        _passes(found, clamps(layer), network.tensors[layer.outputs[0]].elements // batch)
    return {name: count * batch for name, count in found.items()}


def _pass(found: Count, elements: int, strided_rows: int = 0) -> None:
    """Count a call that goes over elements; with a stride it goes row by row."""
    found["array_calls"] += 1
    found["passed_elements"] += elements
    found["strided_rows"] += strided_rows
    found["strided_elements"] += elements if strided_rows else 0


def _passes(found: Count, count: int, elements: int) -> None:
    for _ in range(count):
        _pass(found, elements)


def _copy(found: Count, elements: int, strided_rows: int = 0) -> None:
    found["array_calls"] += 1
    found["copied_elements"] += elements
    found["runs"] += strided_rows
    found["strided_elements"] += elements if strided_rows else 0


def _framed(found: Count, place: Grid, channels: int, rows: tuple[int, int]) -> tuple[int, int]:
    """Count the copy into a frame with padding, where there is any; its extent."""
    extents = [place.covered(0, *rows), place.covered(1, 0, place.places[1])]
    (high, inner_high), (wide, inner_wide) = extents
    if (high, wide) != (inner_high, inner_wide):
        found["array_calls"] += 1
        found["filled_elements"] += channels * high * wide
        _copy(found, channels * inner_high * inner_wide)
    return high, wide


def _convolution(network: Network, layer: Layer, place: Grid, found: Count) -> None:
    group = int(layer.attributes.get("group", 1))
    filters = network.tensors[layer.outputs[0]].shape[1]
    biased = len(layer.inputs) > 2 and bool(layer.inputs[2])
    finishes = biased + bool(layer.residual) + clamps(layer)
    for groups, rows in conv_parts(place, group):
        channels, places = groups * (place.channels // group), (rows[1] - rows[0]) * place.places[1]
        kernels = groups * (filters // group)
        found["parts"] += 1
        _framed(found, place, channels, rows)
        if place.taps * place.channels == group:
            _pass(found, kernels * places, _rows_apart(place, channels * (rows[1] - rows[0])))
        else:
            _gather(found, place, channels, rows)
            _product(found, (groups, kernels // groups, channels // groups * place.taps, places))
        _passes(found, finishes, kernels * places)


def conv_parts(place: Grid, group: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield the groups and the rows of each part that a convolution is cut into."""
    row_bytes = 4 * place.taps * place.channels * place.places[1]
    if place.channels == group > 1:
        for first, last in even_parts(group, CACHE_BYTES * group // (row_bytes * place.places[0])):
            yield last - first, (0, place.places[0])
    else:
        for rows in even_parts(place.places[0], CACHE_BYTES // row_bytes):
            yield group, rows


def _rows_apart(place: Grid, rows: int) -> int:
    return rows if place.strides[1] > 1 else 0


def _gather(found: Count, place: Grid, channels: int, rows: tuple[int, int]) -> None:
    """Count the copy of all patches; a window of one element without a stride needs none."""
    moved = channels * place.taps * (rows[1] - rows[0])
    if place.taps == 1:
        if max(place.strides) > 1:
            _copy(found, moved * place.places[1], moved)
        return
    found["array_calls"] += 1
    found["runs"] += moved
    found["gather_elements"] += moved * place.places[1]
    found["strided_elements"] += moved * place.places[1] if place.strides[1] > 1 else 0


def _product(found: Count, shape: tuple[int, int, int, int]) -> None:
    """Count products of (filters, length) by (length, places), one for each group."""
    groups, filters, length, places = shape
    found["array_calls"] += 1
    if filters == 1 or places == 1:
        found["vectors"] += groups
        found["vector_elements"] += groups * length * max(filters, places)
        return
    found["product_macs"] += groups * filters * length * places
    found["left_elements"] += groups * filters * length
    found["right_elements"] += groups * length * places


def _pooling(op: str, place: Grid, found: Count) -> None:
    """Count a pooling: taps are combined along one axis after the other, each as a pass."""
    high, wide = place.places
    map_bytes = 4 * math.prod(place.size)
    for first, last in even_parts(place.channels, CACHE_BYTES // map_bytes):
        channels = last - first
        found["parts"] += 1
        extent = _framed(found, place, channels, (0, high))
        if place.kernel[0] > 1 or extent[0] != high:
            _copy(found, channels * high * extent[1])
            _passes(found, place.kernel[0] - 1, channels * high * extent[1])
        if place.kernel[1] > 1 or extent[1] != wide:
            apart = _rows_apart(place, channels * high)
            _copy(found, channels * high * wide, apart)
            for _ in range(place.kernel[1] - 1):
                _pass(found, channels * high * wide, apart)
        move = _pass if op == "AveragePool" else _copy
        move(found, channels * high * wide)


def _other(network: Network, layer: Layer, found: Count) -> None:
    """Count what is neither convolution nor pooling: products, copies, passes."""
    outputs = sum(network.tensors[name].elements for name in layer.outputs if name)
    read = [network.tensors[name].elements for name in network.activations(layer)]
    found["array_calls"] += CALLS.get(layer.op, 1)
    if layer.op == "Concat":
        found["array_calls"] += len(layer.inputs) - 1
        found["copied_elements"] += outputs
    elif layer.op == "LRN":
        # square, sum over channels, scale, add, two roots, their product, quotient; two copies
        found["array_calls"] += 12
        found["passed_elements"] += outputs * (int(layer.attributes["size"]) + 6)
        found["copied_elements"] += 2 * outputs
    elif layer.macs:
        rows = math.prod(network.tensors[layer.outputs[0]].shape[:-1])
        _linear(layer, rows, network.parameters(layer), found)
        found["passed_elements"] += 2 * outputs
    elif layer.op != "Transpose":
        found["passed_elements"] += max([*read, outputs]) * STEPS.get(layer.op, 1)
    _passes(found, clamps(layer) + bool(layer.residual), outputs)


def _linear(layer: Layer, rows: int, weights: int, found: Count) -> None:
    """Count a product with a matrix; one row makes it a product with a vector."""
    if rows == 1:
        found["vectors"] += 1
        found["vector_elements"] += layer.macs
        return
    found["product_macs"] += layer.macs
    found["left_elements"] += weights
