"""Steps of a layer on the CPU worker: what its calls of the array library do, counted exactly.

A layer is a few calls (`heterolith.sw.ops`): copies into padded frames and patches, products part
by part, passes over what they gave. A pass or a copy costs the same in whichever layer it stands,
so that a few probes tell its price for all. Counted is one thread's work on one image, cut as
`heterolith.sw.ops.tiling` cuts it. What is not one stretch of memory costs something for each row
as well as for each element, and short rows go through numpy's buffer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from heterolith.metrics.models.grid import Grid, grid
from heterolith.metrics.work import STEPS
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS
from heterolith.sw.ops.pool import flattens
from heterolith.sw.ops.products import conv_parts
from heterolith.sw.ops.tiling import BUFFER, BUFFERS, PART_BYTES, even_parts

CALLS = {"Softmax": 5, "LogSoftmax": 6, "GlobalAveragePool": 2}
"""Calls of operators that are more than one; others are counted."""
PACKED_MACS = 10**6
"""Products of more multiply-accumulates copy their factors first: OpenBLAS on AVX-512."""
BLOCK = 448
"""Longest sums that such a product takes at once, and widest factors: OpenBLAS on AVX-512."""
LINE = 16
"""Elements of a line of the caches and of a register: a row shorter than that costs more to copy,
products take as many places at a time."""

RESULT, FRAME, PATCHES, ROWS, WEIGHTS = "result", "frame", "patches", "rows", "weights"
"""Memory of a layer beside its inputs, which are numbers; what is combined along the first axis of
a pooling lies where patches do, along the second in rows."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the array library.

    Attributes
    ----------
    counts
        What it does, by feature of `samples.WORK`.
    reads, writes
        Memory and elements that it goes over; what it only writes on stands in ``writes``.
    part
        Number of the part: parts work on disjoint pieces of inputs and result.
    """

    counts: Mapping[str, float]
    reads: tuple[tuple[str | int, int], ...]
    writes: tuple[str, int]
    part: int = 0

    @property
    def passes(self) -> bool:
        """Whether it goes over elements and leaves each where it is."""
        return not self.counts.keys().isdisjoint(("passed_elements", "buffered_elements"))


def clamps(layer: Layer) -> bool:
    """Tell whether a fused activation takes a pass."""
    bounds = (layer.activation.low, layer.activation.high) if layer.activation else ()
    return any(map(math.isfinite, bounds))


def steps(network: Network, layer: Layer, guarded: bool = False) -> list[Step]:
    """Return the steps of one layer, none for a view; on one of its `images`.

    ``guarded``: its results are scores, which are looked through (`heterolith.sw.scores`).
    """
    if layer.op in VIEWS:
        return []
    place = grid(network, layer)
    if place is None:
        found = _other(network, layer)
    elif layer.op == "Conv":
        found = list(_convolution(network, layer, place))
    else:
        found = list(_pooling(layer, place))
    n = network.tensors[layer.outputs[0]].elements // images(network, layer)
    return [*found, *(Piece(0, 1, n, False).over(((RESULT, n),)) for _ in range(2 * guarded))]


def images(network: Network, layer: Layer) -> int:
    """Return for how many images the steps of a layer are repeated."""
    alone = layer.op == "LRN" or grid(network, layer) is not None
    return network.tensors[layer.outputs[0]].shape[0] if alone else 1


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a map that passes go over: channels of runs of memory, maybe with gaps between."""

    part: int
    channels: int
    run: int
    apart: bool
    buffer: int = BUFFER

    @property
    def elements(self) -> int:
        """Elements of the piece."""
        return self.channels * self.run

    def over(
        self,
        reads: tuple[tuple[str | int, int], ...],
        *,
        write: str = RESULT,
        spread: bool = False,
        strided: int = 0,
        slow: bool = False,
        broken: int | None = None,
    ) -> Step:
        """Return a pass over the piece.

        Parameters
        ----------
        broken
            Operands with gaps between runs, by default all if the piece lies apart.
        spread
            One operand has an element for a whole run, as a bias has.
        strided
            Operands with a stride.
        slow
            Quotients or roots.
        """
        broken = self.apart * (1 + len(reads)) if broken is None else broken
        n, gaps = self.elements, spread + broken
        buffered = gaps and (1 + gaps) * self.run <= min(self.buffer, n)
        length = self.buffer // self.run * self.run if buffered else self.run if gaps else n
        counts = {"array_calls": 1, "loops": n / length}
        counts["buffered_elements" if buffered else "passed_elements"] = n
        if buffered:
            counts["runs"] = gaps * n / self.run
        if strided:
            counts["strided_elements"] = n * strided
        if slow:
            counts["slow_elements"] = n
        return Step(counts, reads, (write, n), self.part)


def _copied(
    rows: int, elements: int, read: tuple[str | int, int], write: str, part: int, strided: bool
) -> Step:
    counts = {"array_calls": 1, "copied_elements": elements, "copied_runs": rows}
    if strided:
        counts["picked_elements"] = elements
    return Step(counts, (read,), (write, elements), part)


def _framed(
    place: Grid, channels: int, rows: tuple[int, int], part: int
) -> tuple[list[Step], tuple[int, int], tuple[str | int, int]]:
    """Return the copy into a frame with padding, if any, its extent, and what holds the input."""
    extents = [place.covered(0, *rows), place.covered(1, 0, place.places[1])]
    (high, inner_high), (wide, inner_wide) = extents
    read = (0, channels * inner_high * inner_wide)
    if (high, wide) == (inner_high, inner_wide):
        return [], (high, wide), read
    size = channels * high * wide
    fill = Step({"array_calls": 1, "copied_elements": size}, (), (FRAME, size), part)
    copy = _copied(channels * inner_high, read[1], read, FRAME, part, False)
    return [fill, copy], (high, wide), (FRAME, size)


def _convolution(network: Network, layer: Layer, place: Grid) -> Iterator[Step]:
    group = int(layer.attributes.get("group", 1))
    filters = network.tensors[layer.outputs[0]].shape[1]
    biased = len(layer.inputs) > 2 and bool(layer.inputs[2])
    shape = (1, filters, *place.places)
    kernel = (filters, place.channels // group, *place.kernel)
    for part, (_, cut, lines) in enumerate(conv_parts(shape, kernel, group, 4, 1)):
        groups, rows = (cut.stop - cut.start) * group // filters, (lines.start, lines.stop)
        channels, high = groups * (place.channels // group), rows[1] - rows[0]
        kernels, run = groups * (filters // group), high * place.places[1]
        piece = Piece(part, kernels, run, high < place.places[0], BUFFERS["Conv"])
        before, _, source = _framed(place, channels, rows, part)
        yield from before
        if place.taps * place.channels == group:
            strided = max(place.strides) > 1
            row = place.places[1] if strided else run
            scaled = Piece(part, piece.elements // row, row, strided, BUFFERS["Conv"])
            yield scaled.over((source,), spread=True, strided=strided)
        else:
            gathered, source = _gathered(place, channels, high, source, part)
            yield from gathered
            shape = (groups, kernels // groups, channels // groups * place.taps, run)
            yield _product(shape, source, part, piece.apart)
        whole = (RESULT, piece.elements)
        if biased:
            yield piece.over((whole,), spread=True)
        if layer.residual:
            added = network.activations(layer).index(layer.residual)
            yield piece.over((whole, (added, piece.elements)))
        if clamps(layer):
            yield piece.over((whole,))


def _gathered(
    place: Grid, channels: int, high: int, source: tuple[str | int, int], part: int
) -> tuple[list[Step], tuple[str | int, int]]:
    """Return the copy of all patches, and what holds them; one element a window needs none."""
    runs, wide = channels * place.taps * high, place.places[1]
    if place.taps == 1 and max(place.strides) == 1:
        return [], source
    strided = place.strides[1] > 1
    if place.taps == 1:
        return [_copied(runs, runs * wide, source, PATCHES, part, strided)], (PATCHES, runs * wide)
    counts = {
        "array_calls": 1,
        "runs": runs,
        "short_runs": runs * max(0, LINE - wide) / LINE,
        "gather_elements": runs * wide,
        "picked_elements": runs * wide if strided else 0,
    }
    step = Step(counts, (source,), (PATCHES, runs * wide), part)
    return [step], (PATCHES, runs * wide)


def _product(
    shape: tuple[int, int, int, int], source: tuple[str | int, int], part: int, apart: bool
) -> Step:
    """Return products of (filters, length) by (length, places), one for each group."""
    groups, filters, length, places = shape
    weights, result = groups * filters * length, groups * filters * places
    counts: dict[str, float] = {"array_calls": 1, "parts": 1}
    if filters == 1 or places == 1:
        counts |= {"vectors": groups, "vector_elements": groups * length * max(filters, places)}
    else:
        counts["product_macs"] = weights * -(-places // LINE) * LINE
        counts["product_rows"] = groups * filters if apart else 0
        if filters * length * places > PACKED_MACS:
            counts["left_elements"] = weights
            counts["right_elements"] = groups * length * places
            counts["block_elements"] = result * _blocks(length)
    return Step(counts, (source, (WEIGHTS, weights)), (RESULT, result), part)


def _blocks(length: int) -> int:
    """Return how many pieces a sum is cut into: whole blocks, the last two of them of one size."""
    count = 0
    while length > 0:
        half = -(-length // 2 // LINE) * LINE
        length -= BLOCK if length >= 2 * BLOCK else half if length > BLOCK else length
        count += 1
    return count


def _pooling(layer: Layer, place: Grid) -> Iterator[Step]:
    """Count a pooling: taps are combined along one axis after the other, each as a pass."""
    high, wide = place.places
    map_bytes = 4 * math.prod(place.size)
    for part, cut in enumerate(even_parts(place.channels, PART_BYTES // map_bytes, 1)):
        channels = cut.stop - cut.start
        before, extent, source = _framed(place, channels, (0, high), part)
        yield from before
        if flattens(place.kernel, place.strides, extent, place.places):
            piece = Piece(part, channels, math.prod(extent), False)
            yield from _flat_pooling(layer, place, piece, source, extent)
            continue
        down = place.strides[0] == 1
        rows = (channels, high * extent[1]) if down else (channels * high, extent[1])
        for axis, (count, pieces) in enumerate(((high, rows), (wide, (channels * high, wide)))):
            strided, taps = bool(axis) and place.strides[1] > 1, place.kernel[axis]
            if taps == 1 and extent[axis] == count:
                continue
            piece = Piece(part, *pieces, apart=True)
            write = RESULT if axis or (extent[1] == wide and place.kernel[1] == 1) else PATCHES
            if taps == 1:
                yield _copied(pieces[0], piece.elements, source, write, part, strided)
            for tap in range(taps - 1):
                reads = (source,) if tap == 0 else (source, (write, piece.elements))
                views = 1 + (tap == 0)
                yield piece.over(reads, write=write, strided=strided * views, broken=views)
            source = (write, piece.elements)
        whole = (RESULT, channels * high * wide)
        if source[0] != RESULT:
            yield _copied(1, whole[1], source, RESULT, part, False)
        piece = Piece(part, channels, high * wide, False)
        if layer.op == "AveragePool":
            yield piece.over((whole,), spread=True, slow=True)
        if clamps(layer):
            yield piece.over((whole,))


def _flat_pooling(
    layer: Layer, place: Grid, piece: Piece, source: tuple[str | int, int], extent: tuple[int, int]
) -> Iterator[Step]:
    """Count taps that are combined in one stretch of memory, and the copy of what is wanted."""
    n = piece.elements
    for axis, memory in enumerate((PATCHES, ROWS)):
        taps, step = place.kernel[axis], (extent[1], 1)[axis]
        for tap in range(taps - 1):
            n -= step * (taps - 1) * (tap == 0)
            flat = Piece(piece.part, 1, n, False)
            yield flat.over((source,) if tap == 0 else (source, (memory, n)), write=memory)
        if taps > 1:
            source = (memory, n)
    high, wide = place.places
    rows = Piece(piece.part, piece.channels * high, wide, True)
    if layer.op == "AveragePool":
        yield rows.over((source,), slow=True, broken=2)
    else:
        yield _copied(rows.channels, rows.elements, source, RESULT, piece.part, False)
    if clamps(layer):
        yield Piece(piece.part, 1, rows.elements, False).over(((RESULT, rows.elements),))


def _other(network: Network, layer: Layer) -> list[Step]:
    """Return the steps of what is neither convolution nor pooling: products, copies, passes."""
    n = sum(network.tensors[name].elements for name in layer.outputs if name)
    read = [network.tensors[name].elements for name in network.activations(layer)]
    reads: tuple[tuple[str | int, int], ...] = tuple(enumerate(read))
    if layer.op == "LRN":
        return list(_normalisation(network, layer))
    whole, after = Piece(0, 1, n, False), clamps(layer) + bool(layer.residual)
    calls = CALLS.get(layer.op, 1)
    counts: dict[str, float] = {"array_calls": calls}
    if layer.op == "Concat":
        # one call, in which each input is assigned as by a call of its own
        counts |= {"array_calls": len(read), "copied_elements": n, "copied_runs": len(read)}
    elif layer.macs and reads:
        rows = math.prod(network.tensors[layer.outputs[0]].shape[:-1])
        shape = (1, n // rows, layer.macs // n, rows)
        product = _product(shape, reads[0], 0, False)
        counts, reads = dict(product.counts), (*reads, product.reads[1])
        if "vectors" in counts:  # kernels of a convolution lie in a cache once read, these never
            counts["streamed_elements"] = counts.pop("vector_elements")
        after += len(layer.inputs) > 2
    elif layer.op == "Transpose":
        counts |= {"copied_elements": n, "copied_runs": _moved_runs(network, layer)}
    else:
        counts["passed_elements"] = max([*read, n]) * STEPS.get(layer.op, 1)
    first = Step(counts, reads, (RESULT, n))
    return [first, *(whole.over(((RESULT, n),)) for _ in range(after))]


def _moved_runs(network: Network, layer: Layer) -> int:
    """Return the stretches of memory that a transposition copies: axes behind the last moved."""
    shape = network.tensors[layer.inputs[0]].shape
    axes = list(layer.attributes.get("perm") or reversed(range(len(shape))))
    while axes and axes[-1] == len(axes) - 1:
        axes.pop()
    return math.prod(shape[: len(axes)])


def _normalisation(network: Network, layer: Layer) -> Iterator[Step]:
    """Count an LRN: squares, their sums over channels, a power of them by two roots, a quotient."""
    _, channels, *spatial = network.tensors[layer.inputs[0]].shape
    high, row = spatial[0], math.prod(spatial[1:])
    for part, cut in enumerate(even_parts(high, PART_BYTES // (4 * channels * row), 1)):
        rows = cut.stop - cut.start
        apart = rows < high
        piece = Piece(part, channels, rows * row, apart)
        flat = Piece(part, channels, piece.run, False)
        n = piece.elements
        whole: tuple[str | int, int] = (RESULT, n)
        squares: tuple[str | int, int] = (FRAME, n)
        yield piece.over(((0, n),), write=FRAME)
        yield _copied(channels if apart else 1, n, squares, RESULT, part, False)
        for _ in range(int(layer.attributes["size"]) - 1):
            yield piece.over((whole, squares))
        yield piece.over((whole,))
        yield piece.over((whole,))
        yield piece.over((whole,), write=FRAME, slow=True)
        yield flat.over((squares,), write=PATCHES, slow=True)
        yield piece.over((squares, (PATCHES, n)))
        yield piece.over(((0, n), whole), slow=True)
        if clamps(layer):
            yield piece.over((whole,))
