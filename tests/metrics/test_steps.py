"""What the calls of a layer on the CPU worker do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heterolith import api
from heterolith.metrics.models.steps import steps
from heterolith.metrics.sweep import KINDS, probes
from heterolith.sw import CpuWorker
from heterolith.sw.network import Array
from heterolith.sw.ops import tiling
from heterolith.sw.workers.arena import Arena
from heterolith.sw.workers.team import Team


def test_frames_patches_products_and_passes_of_a_convolution(cnn_path: Path) -> None:
    """A padded 3x3 stem: fill and copy of the frame, patches, product, bias and clamp."""
    network = api.load(cnn_path)
    layers = {layer.name: layer for layer in network.layers}
    found = steps(network, layers["stem"])
    assert found["filled_elements"] == 3 * 18 * 18
    assert found["copied_elements"] == 3 * 16 * 16
    assert found["gather_elements"] == 27 * 16 * 16
    assert found["runs"] == 27 * 16
    assert found["product_macs"] == layers["stem"].macs
    assert found["passed_elements"] == 2 * 16 * 16 * 16
    assert (found["parts"], found["array_calls"]) == (1, 6)
    join = steps(network, layers["join"])
    assert join["copied_elements"] == network.tensors[layers["join"].outputs[0]].elements
    assert join["array_calls"] == 2


def test_parts_and_factors_are_those_that_a_worker_cuts() -> None:
    """One thread, every convolution of the probes; kernels are read once a part."""
    for subject in probes(tuple(KINDS), 60):
        network, seen = subject.network, 0
        for layer in network.layers:
            found, out = steps(network, layer), network.tensors[layer.outputs[0]].shape
            if layer.op != "Conv":
                continue
            weights = network.constants[layer.inputs[1]]
            group = int(layer.attributes["group"])
            parts = tiling._conv_parts(out, weights.shape, group, 4, 1)
            assert found["parts"] == len(parts), layer
            if "left_elements" in found:
                assert found["left_elements"] == weights.size * len(parts)
                assert found["right_elements"] == layer.macs // (out[1] // group)
                assert found["product_macs"] == layer.macs
            seen += 1
        assert seen


def test_frames_and_patches_are_what_a_worker_allocates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elements of all memory that each convolution of a probe network takes beside its result."""
    taken: list[int] = []
    given = Arena.empty

    def empty(arena: Arena, shape: Sequence[int], dtype: Any) -> Array:
        taken.append(int(np.prod(shape)))
        return given(arena, shape, dtype)

    monkeypatch.setattr(Arena, "empty", empty)
    worker, subject = CpuWorker(1), probes(tuple(KINDS), 60)[0]
    values, seen = dict(subject.inputs), 0
    for layer in subject.network.layers:
        worker.load(subject.network, layer)
        taken.clear()
        (values[layer.outputs[0]],) = worker.run(layer, values)
        if layer.op == "Conv":
            found = steps(subject.network, layer)
            scratch = found.get("filled_elements", 0) + found.get("gather_elements", 0)
            assert sum(taken[1:]) == scratch, layer
            seen += scratch > 0
    worker.close()
    assert seen > 3


@pytest.mark.parametrize(("op", "function"), [("MaxPool", np.maximum), ("AveragePool", np.add)])
def test_a_pooling_is_as_many_passes_as_it_calls(
    monkeypatch: pytest.MonkeyPatch, op: str, function: np.ufunc
) -> None:
    """Elements that the combining calls of a padded 3x3 pooling go over, part by part."""
    from heterolith.metrics.blocks import Draft, pool
    from heterolith.sw.ops import pool as pooling

    d = Draft("pooled", 56, np.random.default_rng(0))
    pool(d, "x", op, 3, 2, 1)
    subject = d.subject()
    passed: list[int] = []

    def spied(first: Array, second: Array, out: Array) -> Array:
        passed.append(out.size)
        return np.asarray(function(first, second, out=out))

    given = pooling.pool_padded
    name = "pool_padded"
    monkeypatch.setattr(tiling, name, lambda _, *rest: given(spied, *rest))  # type: ignore[arg-type]
    layer = subject.network.layers[0]
    tile = {"MaxPool": tiling.max_pool, "AveragePool": tiling.average_pool}[op]
    tile(tiling.Job(layer.attributes, [subject.inputs["x"]], tiling.Finish()), Team(1))
    found = steps(subject.network, layer)
    divided = subject.network.tensors[layer.outputs[0]].elements if op == "AveragePool" else 0
    assert found["passed_elements"] == sum(passed) + divided
    assert found["strided_rows"] == 2 * 3 * 28


def test_steps_of_a_batch_are_those_of_its_images() -> None:
    """Twice the images, twice the steps; a view has none."""
    from dataclasses import replace

    from heterolith.sw.network import TensorType

    network = probes(tuple(KINDS), 60)[0].network
    layer = next(layer for layer in network.layers if layer.op == "Conv")
    twice = {n: TensorType((2, *t.shape[1:]), t.dtype) for n, t in network.tensors.items()}
    pair = replace(network, tensors=twice)
    both = {name: 2 * count for name, count in steps(network, layer).items()}
    assert steps(pair, layer) == both
    flat = next(layer for layer in network.layers if layer.op == "Flatten")
    assert not steps(network, flat)
