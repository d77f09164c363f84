"""What a layer finds when it starts."""

import math
from pathlib import Path

import numpy as np
import pytest

from heterolith import api
from heterolith.metrics.blocks import Draft, conv
from heterolith.metrics.models.context import (
    CACHE_BYTES,
    KERNEL_BYTES,
    coldness,
    gathered,
    touched_bytes,
)
from heterolith.metrics.work import moved_bytes


def test_a_first_layer_finds_nothing_warm(cnn_path: Path) -> None:
    """Nothing ran before it."""
    network = api.load(cnn_path)
    assert coldness(network, network.layers[0]) == (pytest.approx(1.0), 1.0)


def test_what_the_layer_before_touched_is_lost(cnn_path: Path) -> None:
    """Bytes of the predecessor and its patches against those of a cache; no LRN ran before."""
    network = api.load(cnn_path)
    before, layer = network.layers[:2]
    size = moved_bytes(network, before) + 4 * gathered(network, before)
    lost = 1 - math.exp(-size / CACHE_BYTES)
    assert (before.op, layer.op) == ("Conv", "LRN")
    assert coldness(network, layer) == (pytest.approx(lost), 1.0)


def test_an_operator_is_colder_than_the_layers_between_leave_it(cnn_path: Path) -> None:
    """A convolution after a concatenation: the code of convolutions has lain longer."""
    network = api.load(cnn_path)
    layers = {layer.name: layer for layer in network.layers}
    calls, kernels = coldness(network, layers["block"])
    assert 0 < calls < kernels < 1


def test_code_of_an_operator_outlives_that_of_every_layer() -> None:
    """A convolution right after another: the same bytes, against twice the scale."""
    d = Draft("two", 16, np.random.default_rng(0))
    conv(d, conv(d, "x", 8), 8)
    network = d.subject().network
    size = touched_bytes(network, network.layers[0])
    lost = [1 - math.exp(-size / scale) for scale in (CACHE_BYTES, KERNEL_BYTES)]
    assert coldness(network, network.layers[1]) == pytest.approx(tuple(lost))
    assert lost[1] < lost[0]
