"""A layer's work as the columns of a sample."""

from pathlib import Path

from heterolith import api
from heterolith.metrics.models import layer_row


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
