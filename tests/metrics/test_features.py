"""A layer's work as the columns of a sample."""

from pathlib import Path

from heterolith import api
from heterolith.metrics.models import layer_row, layer_rows
from heterolith.metrics.sweep import KINDS, probes


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
    assert 0 < float(str(stem["cold_elements"])) < 1


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
