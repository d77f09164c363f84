"""What the calls of a layer on the CPU worker do."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from heterolith import api
from heterolith.metrics.blocks import Draft, concat, connected, conv, pool
from heterolith.metrics.measure import Subject
from heterolith.metrics.models import layer_rows
from heterolith.metrics.models import steps as module
from heterolith.metrics.models.steps import (
    BLOCK,
    FRAME,
    PATCHES,
    RESULT,
    ROWS,
    Piece,
    Step,
    steps,
)
from heterolith.sw.network import Activation, Layer, Network, TensorType
from heterolith.sw.ops import products

from .spied import Ran, ran, sixty

PREPARED = frozenset({"Conv", "MaxPool", "AveragePool", "Concat", "Transpose", "Gemm", "LRN"})
"""Operators whose steps are counted call by call."""
SLOTS = {RESULT: "result", FRAME: "scratch 0", PATCHES: "scratch 1", ROWS: "scratch 2"}
LINEAR = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}


def _windows(d: Draft) -> None:
    """Append convolutions in parts, with strides, groups, shortcuts and bounds on both sides."""
    x = conv(d, "x", 32, 3, 2)
    x = conv(d, x, 96, relu=False)
    y = conv(d, x, 64, 3, residual=conv(d, x, 64, bias=False, relu=False))
    y = conv(d, y, 64, 3, 2, group=64)
    y = conv(d, y, 128, 3, group=64)
    y = conv(d, y, 128, 3, group=4, bias=False)
    y = conv(d, y, 128, 1, 2, relu=False)
    y = conv(d, y, 128, group=128, residual=y)
    y = conv(d, y, 256, 1, 2, group=128)
    y = conv(d, conv(d, y, 1, 3), 48, 7, pad=0, relu=False)
    conv(d, conv(d, y, 16, 1), 24, 1, pad=1)


def _poolings(d: Draft) -> None:
    """Append poolings of all forms, an LRN in parts, joins, a shuffle and products."""
    x = conv(d, "x", 96, relu=False)
    x = d.layer("LRN", (x,), d.shape(x), attributes=LINEAR)
    x = d.layer("LRN", (x,), d.shape(x), attributes=LINEAR, activation=Activation(0.0, 6.0))
    x = pool(d, pool(d, x, "AveragePool", 3, 2, 1), "MaxPool", 3, 2, 1)
    parts = [pool(d, x, op, 3, 1, 1) for op in ("MaxPool", "AveragePool")]
    parts += [pool(d, x, "MaxPool", 1, 1), conv(d, x, 32, 5)]
    x = concat(d, *parts)
    shape = d.shape(x)
    y = d.layer("Transpose", (x,), (1, *shape[2:], shape[1]), attributes={"perm": (0, 2, 3, 1)})
    y = d.layer("Transpose", (y,), shape, attributes={"perm": (0, 3, 1, 2)})
    y = d.layer("Transpose", (y,), shape, attributes={"perm": (0, 1, 3, 2)})
    y = pool(d, pool(d, y, "MaxPool", 1, 2), "AveragePool", 2, 2)
    for op, kernel in (("MaxPool", (1, 3)), ("AveragePool", (3, 1))):
        _, channels, high, wide = d.shape(y)
        size = (high - kernel[0] + 1, wide - kernel[1] + 1)
        y = d.layer(op, (y,), (1, channels, *size), attributes={"kernel_shape": kernel})
    y = d.layer(
        "MaxPool",
        (y,),
        d.shape(y),
        attributes={"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)},
        activation=Activation(0.0, 6.0),
    )
    y = pool(d, y, "AveragePool", d.shape(y)[2], 1)
    connected(d, connected(d, y, 300, relu=True), 10)


@cache
def _subjects() -> tuple[Subject, ...]:
    drafts = [Draft(f"more-{side}", side, np.random.default_rng(side)) for side in (112, 113)]
    _windows(drafts[0])
    _poolings(drafts[1])
    return (*(draft.subject() for draft in drafts), *sixty())


@cache
def _prepared() -> tuple[tuple[Network, Ran], ...]:
    """Return how each prepared layer ran."""
    runs = [(subject.network, each) for subject in _subjects() for each in ran(subject)]
    return tuple(pair for pair in runs if pair[1].layer.op in PREPARED)


def _calls(each: Ran) -> Iterator[tuple[str | int, int, set[str | int]]]:
    """Yield memory written, elements, memory read; guards of scores write on none of it."""
    for call in each.calls:
        if written := each.memory(call.write):
            yield written, call.elements, {each.memory(read) for read in call.reads} - {""}


def test_every_array_call_is_a_step_in_order() -> None:
    """Memory and elements that each call writes; LRN's shifted sums leave a channel or two out."""
    for network, each in _prepared():
        real = [(str(name), elements) for name, elements, _ in _calls(each)]
        counted = [
            (SLOTS[str(step.writes[0])], step.writes[1]) for step in steps(network, each.layer)
        ]
        if each.layer.op == "LRN":
            channels = network.tensors[each.layer.inputs[0]].shape[1]
            for (_, n), (_, most) in zip(real, counted, strict=True):
                assert most * (1 - 2 / channels) - 1e-6 <= n <= most
            assert [name for name, _ in counted] == [name for name, _ in real], each.layer
        else:
            assert counted == real, each.layer
    seen = Counter(each.layer.op for _, each in _prepared())
    assert set(seen) == PREPARED
    assert seen["Conv"] > 25


def test_steps_read_what_calls_read() -> None:
    """Inputs by their number among activations, the shortcut too; constants are another matter."""
    for network, each in _prepared():
        real = [reads for *_, reads in _calls(each)]
        counted = [
            {SLOTS.get(str(name), name) for name, _ in step.reads} - {module.WEIGHTS}
            for step in steps(network, each.layer)
        ]
        assert counted == real, each.layer


def test_products_read_their_constants() -> None:
    """All kernels in each part: they pass through the caches like anything else."""
    seen: Counter[str] = Counter()
    for network, each in _prepared():
        layer = each.layer
        taken = [step for step in steps(network, layer) if "parts" in step.counts]
        if taken:
            size = network.constants[layer.inputs[1]].size
            assert all((module.WEIGHTS, size) in step.reads for step in taken), layer
            seen[layer.op] += 1
    assert set(seen) == {"Conv", "Gemm"}


def test_parts_write_the_pieces_that_the_worker_cuts() -> None:
    """Elements of the parts of each convolution; several have more than one."""
    cut = 0
    for network, each in _prepared():
        if each.layer.op != "Conv":
            continue
        out, kernel = network.tensors[each.layer.outputs[0]].shape, _kernel(network, each.layer)
        real = products.conv_parts(out, kernel, int(each.layer.attributes["group"]), 4, 1)
        written = {
            step.part: step.writes[1]
            for step in steps(network, each.layer)
            if step.writes[0] == RESULT
        }
        pieces = [np.empty(out, np.int8)[part].size for part in real]
        assert written == dict(enumerate(pieces)), each.layer
        cut += len(real) > 1
    assert cut > 3


def _kernel(network: Network, layer: Layer) -> tuple[int, ...]:
    return network.constants[layer.inputs[1]].shape


def test_frames_and_patches_are_what_parts_take_as_scratch() -> None:
    """Sizes that a step is the first to write on, in order."""
    seen = 0
    for network, each in _prepared():
        counted: list[tuple[str, int]] = []
        before: tuple[str, int] | None = None
        for step in steps(network, each.layer):
            name = str(step.writes[0])
            fresh = before != (name, step.part) and name in (FRAME, PATCHES, ROWS)
            reused = (name, step.writes[1]) in step.reads or (each.layer.op, name) == ("LRN", FRAME)
            if fresh and not (reused and step.reads[0][0] == RESULT):
                counted.append((SLOTS[name], step.writes[1]))
            before = name, step.part
        assert counted == [(f"scratch {slot}", size) for slot, size in each.taken], each.layer
        seen += bool(counted)
    assert seen > 20


def test_products_have_all_multiplications_and_large_ones_copy_their_factors() -> None:
    """Kernels are read once a part; places are taken in whole lines at most."""
    large = 0
    for network, each in _prepared():
        layer, group = each.layer, int(each.layer.attributes.get("group", 1))
        taken = steps(network, layer)
        product = [step.counts for step in taken if "product_macs" in step.counts]
        if not product:
            continue
        total = sum(counts["product_macs"] for counts in product)
        assert layer.macs <= total <= module.LINE * layer.macs
        assert len(product) == sum(call.name == "matmul" for call in each.calls)
        if layer.op == "Conv" and all("left_elements" in counts for counts in product):
            filters = network.tensors[layer.outputs[0]].shape[1] // group
            weights = network.constants[layer.inputs[1]].size
            assert sum(c["left_elements"] for c in product) == weights * len(product)
            assert sum(c["right_elements"] for c in product) == layer.macs // filters
            large += 1
    assert large > 5


@pytest.mark.parametrize(
    ("length", "blocks"),
    [(1, 1), (BLOCK, 1), (BLOCK + 1, 2), (2 * BLOCK - 1, 2), (2 * BLOCK, 2), (2 * BLOCK + 1, 3)],
)
def test_a_long_sum_is_cut_into_blocks(length: int, blocks: int) -> None:
    """Whole blocks, then two halves of what is longer than one."""
    assert module._blocks(length) == blocks


WHOLE, MINE = ((RESULT, 0),), ((RESULT, 0), (1, 0))


@pytest.mark.parametrize(
    ("piece", "reads", "spread", "counts"),
    [
        # a bias on maps of 28 x 28: a loop for each channel, nothing buffered
        (Piece(0, 8, 784, False, 256), WHOLE, True, {"loops": 8}),
        # on maps of 7 x 7: five channels fill the buffer, for one operand with gaps
        (
            Piece(0, 10, 49, False, 256),
            WHOLE,
            True,
            {"loops": 2, "runs": 10, "buffered_elements": 490},
        ),
        # on two maps of 7 x 7: less than a buffer, yet more than twice a run is too much of it
        (Piece(0, 1, 49, False, 256), WHOLE, True, {"loops": 1}),
        # a clamp of whole maps is one stretch of memory
        (Piece(0, 10, 49, False, 256), WHOLE, False, {"loops": 1}),
        # a shortcut on rows cut from maps: three operands with gaps, 4 x 56 elements fit
        (
            Piece(0, 9, 56, True, 256),
            MINE,
            False,
            {"loops": 9 * 56 / 224, "runs": 27, "buffered_elements": 504},
        ),
        # the same with 84 elements: 4 x 84 do not
        (Piece(0, 9, 84, True, 256), MINE, False, {"loops": 9}),
        # a bias there: what is read, what is written, and the bias
        (
            Piece(0, 9, 28, True, 256),
            WHOLE,
            True,
            {"loops": 1, "runs": 27, "buffered_elements": 252},
        ),
    ],
)
def test_a_pass_goes_through_the_buffer_where_runs_are_short(
    piece: Piece, reads: tuple[tuple[str | int, int], ...], spread: bool, counts: dict[str, float]
) -> None:
    """Counted by hand; every pass is a call that goes over all its elements, one way or other."""
    every = {"array_calls": 1, **({} if "runs" in counts else {"passed_elements": piece.elements})}
    step = piece.over(reads, spread=spread)
    assert dict(step.counts) == pytest.approx({**every, **counts})
    assert step.passes
    assert step.writes == (RESULT, piece.elements)


def test_strides_and_quotients_are_counted_with_their_elements() -> None:
    """Beside what every pass counts."""
    piece = Piece(0, 2, 100, False)
    plain, strided, slow = (
        piece.over(WHOLE),
        piece.over(WHOLE, strided=1),
        piece.over(WHOLE, slow=True),
    )
    assert strided.counts == {**plain.counts, "strided_elements": 200}
    assert slow.counts == {**plain.counts, "slow_elements": 200}


def test_frames_patches_products_and_passes_of_a_convolution(cnn_path: Path) -> None:
    """A padded 3x3 stem: fill and copy of the frame, patches, product, bias and clamp."""
    network = api.load(cnn_path)
    layers = {layer.name: layer for layer in network.layers}
    fill, copy, gather, product, bias, clamp = steps(network, layers["stem"])
    assert fill == Step({"array_calls": 1, "copied_elements": 972}, (), (FRAME, 972))
    assert (copy.counts["copied_elements"], copy.counts["copied_runs"]) == (768, 48)
    assert (copy.reads, copy.writes) == (((0, 768),), (FRAME, 768))
    assert (gather.counts["gather_elements"], gather.counts["runs"]) == (6912, 432)
    assert gather.writes == (PATCHES, 6912)
    assert product.counts["product_macs"] == layers["stem"].macs
    assert product.reads == ((PATCHES, 6912), (module.WEIGHTS, 432))
    assert (bias.counts["passed_elements"], clamp.counts["passed_elements"]) == (4096, 4096)
    assert [step.passes for step in (fill, copy, gather, product, bias, clamp)] == [False] * 4 + [
        True
    ] * 2
    (join,) = steps(network, layers["join"])
    assert join.counts["copied_elements"] == network.tensors[layers["join"].outputs[0]].elements
    assert join.counts["array_calls"] == len(layers["join"].inputs)


def test_a_pooling_of_stride_1_is_combined_in_one_stretch() -> None:
    """3 x 3 on maps of 8 x 8 with padding: taps lie 10 and 1 elements apart in frames of 100."""
    d = Draft("flat", 8, np.random.default_rng(0))
    pool(d, "x", "MaxPool", 3, 1, 1)
    pool(d, "x", "AveragePool", 3, 1, 1)
    largest, mean = (steps(d.subject().network, layer) for layer in d.subject().network.layers)
    sizes = [300, 192, 280, 280, 278, 278, 192]
    assert [step.writes[1] for step in largest] == [step.writes[1] for step in mean] == sizes
    memory = [FRAME, FRAME, PATCHES, PATCHES, ROWS, ROWS, RESULT]
    assert [step.writes[0] for step in largest] == memory
    for step, n in zip(largest[2:6], sizes[2:6], strict=True):
        assert step.counts == {"array_calls": 1, "passed_elements": n, "loops": 1}
    assert largest[-1].counts == {"array_calls": 1, "copied_elements": 192, "copied_runs": 24}
    assert mean[-1].counts["slow_elements"] == 192


def test_a_window_as_large_as_its_map_is_not() -> None:
    """Nearly all of a stretch would be combined for nothing."""
    d = Draft("mean", 8, np.random.default_rng(0))
    pool(d, "x", "AveragePool", 8, 1)
    taken = steps(d.subject().network, d.subject().network.layers[0])
    names = ("passed_elements", "buffered_elements")
    assert sum(step.counts.get(name, 0) for step in taken for name in names) < 8 * 8 * 3 * 2
    assert {step.writes[0] for step in taken} == {PATCHES, RESULT}


def _twice(network: Network) -> Network:
    """Return a network on two images."""
    tensors = {
        name: TensorType((2, *kind.shape[1:]), kind.dtype) for name, kind in network.tensors.items()
    }
    layers = tuple(replace(layer, macs=2 * layer.macs) for layer in network.layers)
    return replace(network, tensors=tensors, layers=layers)


def test_work_of_a_batch_is_that_of_its_images() -> None:
    """Twice the images, twice the counts of all that is cut by images."""
    seen: Counter[str] = Counter()
    for subject in _subjects():
        one, two = layer_rows(subject.network), layer_rows(_twice(subject.network))
        for layer in subject.network.layers:
            if layer.op not in ("Conv", "MaxPool", "AveragePool", "LRN"):
                continue
            names = {name for step in steps(subject.network, layer) for name in step.counts}
            for name in names:
                single, double = (float(str(rows[layer.name][name])) for rows in (one, two))
                assert double == pytest.approx(2 * single), (layer, name)
            seen[layer.op] += len(names) > 2
    assert len(seen) == 4


def test_views_have_no_steps_and_no_count_is_negative() -> None:
    """Every other layer has one at least."""
    for subject in _subjects():
        for layer in subject.network.layers:
            taken = steps(subject.network, layer)
            assert bool(taken) == (layer.op not in ("Flatten", "Reshape"))
            assert all(np.isfinite(n) and n >= 0 for step in taken for n in step.counts.values())
            assert all(step.writes[1] > 0 for step in taken)


def _total(side: int, channels: int, filters: int, kernel: int) -> Counter[str]:
    """Return the counts of a convolution with everything fused behind it."""
    d = Draft("one", side, np.random.default_rng(0))
    x = conv(d, "x", channels, relu=False, bias=False)
    conv(d, x, filters, kernel, residual=conv(d, x, filters))
    subject, total = d.subject(), Counter[str]()
    for step in steps(subject.network, subject.network.layers[-1]):
        total.update(step.counts)
    return total


@pytest.mark.parametrize(("side", "kernel"), [(7, 3), (28, 1), (28, 3), (56, 3)])
def test_more_filters_are_no_less_work(side: int, kernel: int) -> None:
    """Input and parts stay as they are; a product that grows large only adds."""
    counts = [_total(side, 24, filters, kernel) for filters in (2, 3, 8, 32, 33, 96)]
    for fewer, more in pairwise(counts):
        assert all(more[name] >= count for name, count in fewer.items())


@pytest.mark.parametrize(("side", "kernel"), [(7, 3), (14, 1), (14, 3), (28, 1)])
def test_more_channels_in_one_part_are_no_less_work(side: int, kernel: int) -> None:
    """More patches, longer sums; passes over the result stay as they are."""
    counts = [_total(side, channels, 16, kernel) for channels in (2, 3, 16, 64, 65, 128)]
    assert all(each["parts"] == 1 for each in counts)
    for fewer, more in pairwise(counts):
        assert all(more[name] >= count for name, count in fewer.items())


def test_scores_are_looked_through_twice() -> None:
    """Their least and their largest: two passes over the result behind all other steps."""
    network = sixty()[0].network
    layer = next(layer for layer in reversed(network.layers) if layer.op == "Gemm")
    plain, guarded = steps(network, layer), steps(network, layer, guarded=True)
    assert guarded[: len(plain)] == plain
    n = network.tensors[layer.outputs[0]].elements
    assert [step.counts["passed_elements"] for step in guarded[len(plain) :]] == [n, n]
