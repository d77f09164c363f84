"""A layer's work as the columns of a sample."""

import math
from pathlib import Path

import numpy as np
import pytest

from heterolith import api
from heterolith.metrics.blocks import Draft, connected, conv, pool
from heterolith.metrics.models import layer_row, layer_rows
from heterolith.metrics.models.features import REMEMBERED, rarity
from heterolith.metrics.models.memory import IDLE, idle_elements
from heterolith.metrics.models.samples import LABELS, WORK
from heterolith.metrics.models.steps import steps
from heterolith.sw.scores import score_layers

from .spied import sixty


def test_rows_of_all_layers_are_those_of_each(cnn_path: Path) -> None:
    """Labels, work, steps and coldness, in order; views have labels alone."""
    network = api.load(cnn_path)
    rows = layer_rows(network)
    assert list(rows) == [layer.name for layer in network.layers]
    for layer in network.layers:
        assert layer_row(network, layer) == rows[layer.name]
    stem = rows["stem"]
    assert stem["calls"] == 1
    assert stem["gather_elements"] == 27 * 16 * 16
    assert set(rows["flatten"]) == {"network", "layer", "family", "shape"}


def test_a_row_has_the_sums_of_its_steps_and_what_they_find(cnn_path: Path) -> None:
    """Every count of every step is in its row, beside far and cold elements; scores are guarded."""
    network = api.load(cnn_path)
    scores = score_layers(network)
    assert scores
    taken = {layer.name: steps(network, layer, layer.name in scores) for layer in network.layers}
    idle = idle_elements(network, taken)
    for layer in network.layers:
        row = layer_row(network, layer)
        for name in {name for step in taken[layer.name] for name in step.counts}:
            counted = sum(step.counts.get(name, 0) for step in taken[layer.name])
            assert row[name] == pytest.approx(counted), (layer, name)
        if taken[layer.name]:
            assert tuple(row[name] for name in IDLE) == idle[layer.name]


def test_columns_of_rows_are_labels_and_known_work() -> None:
    """Whatever a probe counts is named and explained; coldness is a share."""
    for subject in sixty():
        for row in layer_rows(subject.network).values():
            assert set(row) <= {*LABELS, *WORK}
            names = ("cold_calls", "cold_kernels", "rare_kernels")
            shares = [float(str(row[name])) for name in names if name in row]
            assert all(0 < share <= 1 for share in shares)
            assert len(shares) == 3 * (len(row) > 4)


def test_code_is_known_by_how_often_it_ran() -> None:
    """Not at all before its first run, half after it; runs are forgotten by layers since."""
    d = Draft("rare", 16, np.random.default_rng(0))
    x = conv(d, conv(d, "x", 8), 8)
    for _ in range(20):
        x = pool(d, x, "MaxPool", 3, 1, 1)
    connected(d, conv(d, x, 8), 10)
    network = d.subject().network
    layers, rare = network.layers, rarity(network)
    found = [rare.get(layer.name) for layer in layers]
    assert (found[0], found[2], found[-1]) == (1, 1, 1)
    kept = math.exp(-1 / REMEMBERED)
    assert found[1] == found[3] == pytest.approx(1 / (1 + kept))
    assert found[4] == pytest.approx(1 / (1 + kept + kept**2))
    assert found[-3] == pytest.approx(1 / (1 + kept**21 + kept**22))
    assert found[21] == pytest.approx(1 / sum(kept**i for i in range(20)))
    assert (layers[-2].op, found[-2]) == ("Flatten", None)
    assert layer_row(network, layers[-3])["rare_kernels"] == found[-3]


def test_families_of_one_operator_share_its_code_and_views_forget_nothing() -> None:
    """A depthwise convolution between pointwise ones, and a flattening between products."""
    d = Draft("families", 8, np.random.default_rng(0))
    x = conv(d, conv(d, conv(d, "x", 8), 8, 3, group=8), 8)
    x = connected(d, x, 16)
    x = d.layer("Flatten", (x,), (1, 16), attributes={"axis": 1})
    connected(d, x, 16)
    network = d.subject().network
    first, depthwise, second, one, two = rarity(network).values()
    kept = math.exp(-1 / REMEMBERED)
    assert first == one == 1
    assert depthwise == two == pytest.approx(1 / (1 + kept))
    assert second == pytest.approx(1 / (1 + kept + kept**2))


def test_pooling_combines_rows_then_columns() -> None:
    """Three rows of all columns that windows reach, then three columns of what is left."""
    for subject in sixty():
        network = subject.network
        for layer in network.layers:
            if layer.op == "MaxPool" and layer.attributes["kernel_shape"] == (3, 3):
                n, channels, high, wide = network.tensors[layer.outputs[0]].shape
                width = (wide - 1) * layer.attributes["strides"][1] + 3
                steps = n * channels * high * 3 * (width + wide)
                inputs = network.tensors[layer.inputs[0]].elements
                assert layer_row(network, layer)["steps"] == max(steps, inputs)
