"""Layer times measured on this machine."""

from pathlib import Path

from heterolith import api
from heterolith.metrics import Protocol, measure
from heterolith.sw import CpuWorker


def test_every_layer_gets_a_measured_row_with_an_interval(cnn_path: Path) -> None:
    """The median lies in its interval, energy stays unknown, rows come in layer order."""
    network = api.load(cnn_path)
    worker = CpuWorker(1)
    try:
        inputs = api.make_inputs(network, "random:0")
        rows = list(measure(network, worker, inputs, Protocol(warmup=1, repetitions=3)))
    finally:
        worker.close()
    assert [row.layer for row in rows] == [layer.name for layer in network.layers]
    for row in rows:
        assert row.source == "measured"
        assert row.energy_pj is None
        assert 0 < row.latency_low_ns <= row.latency_ns <= row.latency_high_ns + 1
