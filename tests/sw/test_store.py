"""A quantized network as data."""

import json

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.sw import execute, load_onnx, quantize
from heterolith.sw.int8 import linear_parameters
from heterolith.sw.store import (
    restore_linear,
    restore_network,
    store_linear,
    store_network,
    stripped,
)

from .nets import random_inputs


@pytest.fixture(scope="module")
def quantized(cnn_path):
    """Give a quantized CNN."""
    return quantize(load_onnx(cnn_path))


def test_a_network_comes_back_whole(quantized):
    """Through JSON and arrays it has the same fingerprint, scales and results."""
    data, arrays = store_network(quantized)
    again = restore_network(json.loads(json.dumps(data)), arrays)
    assert again.network.fingerprint() == quantized.network.fingerprint()
    assert again.scales == quantized.scales
    assert again.network.layers == quantized.network.layers
    inputs = random_inputs(quantized.network, np.random.default_rng(0))
    for name, value in execute(quantized.network, inputs).items():
        np.testing.assert_array_equal(execute(again.network, inputs)[name], value)


def test_int8_parameters_come_back_whole(quantized):
    """Every convolution and product has the same parameters again; other layers have none."""
    kept = 0
    for layer in quantized.network.layers:
        if layer.op in ("LRN", "Softmax"):
            continue
        arrays = store_linear(quantized, layer)
        if layer.op not in ("Conv", "Gemm"):
            assert arrays is None
            continue
        kept += 1
        found, expected = (
            restore_linear(quantized, layer, arrays),
            linear_parameters(quantized, layer),
        )
        for name in ("weights", "bias"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert found.output == expected.output
        assert found.pad_value == expected.pad_value
        assert (found.residual is None) == (expected.residual is None)
    assert kept == 5


def test_a_stripped_network_keeps_shapes_and_what_others_read(quantized):
    """Weights of the named layers take no memory; the others are untouched."""
    network = quantized.network
    convs = {layer.name for layer in network.layers if layer.op == "Conv"}
    small = stripped(network, convs)
    for layer in network.layers:
        for name in set(layer.inputs) & set(network.constants):
            value = small.constants[name]
            assert value.shape == network.constants[name].shape
            if layer.name in convs:
                assert not value.any()
            else:
                np.testing.assert_array_equal(value, network.constants[name])
    _, arrays = store_network(
        type(quantized)(network=small, scales=quantized.scales, calibration="x")
    )
    gemm = sum(network.parameters(layer) for layer in network.layers if layer.op == "Gemm")
    assert sum(array.size for array in arrays.values()) <= gemm + 2 * len(network.constants)


def test_damaged_data_is_refused(quantized):
    """What is no network is answered in one line."""
    data, arrays = store_network(quantized)
    for broken in ({**data, "layers": [{}]}, {k: v for k, v in data.items() if k != "scales"}):
        with pytest.raises(InputError, match="compile the plan again"):
            restore_network(broken, arrays)
    with pytest.raises(InputError, match="compile the plan again"):
        restore_network(data, {})
