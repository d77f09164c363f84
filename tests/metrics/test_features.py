"""A layer's work as the columns of a sample."""

from pathlib import Path

from heterolith import api
from heterolith.metrics.models import layer_row
from heterolith.metrics.sweep import KINDS, probes
from heterolith.sw.ops import tiling


def test_what_is_passed_over_beside_the_operator_is_counted(cnn_path: Path) -> None:
    """Bias and clamp on the output, the padded copy, and the rows that im2col moves."""
    network = api.load(cnn_path)
    layers = {layer.name: layer for layer in network.layers}
    stem = layer_row(network, layers["stem"])
    assert stem["fused_elements"] == 2 * 16 * 16 * 16
    assert stem["padded_elements"] == 3 * 18 * 18
    assert stem["runs"] == 3 * 9 * 16 + 3 * 16
    left = layer_row(network, layers["left"])
    assert (left["padded_elements"], left["runs"]) == (0, 0)
    assert left["fused_elements"] == 16 * 16 * 16
    assert layer_row(network, layers["join"])["runs"] == 2


def test_parts_are_those_that_a_worker_cuts() -> None:
    """One thread, every convolution and pooling of the probes; kernels are read once a part."""
    for subject in probes(tuple(KINDS), 60):
        network, seen = subject.network, 0
        for layer in network.layers:
            row, out = layer_row(network, layer), network.tensors[layer.outputs[0]].shape
            if layer.op != "Conv":
                continue
            weights = network.constants[layer.inputs[1]]
            group = int(layer.attributes["group"])
            parts = tiling._conv_parts(out, weights.shape, group, 4, 1)
            assert row["parts"] == len(parts), layer
            if "left_elements" in row:
                assert row["left_elements"] == weights.size * len(parts)
                assert row["right_elements"] == layer.macs // (out[1] // group)
            seen += 1
        assert seen


def test_pooling_combines_rows_then_columns() -> None:
    """Three rows of all columns that windows reach, then three columns of what is left."""
    for subject in probes(tuple(KINDS), 60):
        network = subject.network
        for layer in network.layers:
            if layer.op == "MaxPool" and layer.attributes["kernel_shape"] == (3, 3):
                n, channels, high, wide = network.tensors[layer.outputs[0]].shape
                width = (wide - 1) * layer.attributes["strides"][1] + 3
                steps = n * channels * high * 3 * (width + wide)
                inputs = network.tensors[layer.inputs[0]].elements
                assert layer_row(network, layer)["steps"] == max(steps, inputs)
