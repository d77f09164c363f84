"""Layer times measured on this machine."""

import os
from pathlib import Path

import numpy as np
import pytest

from heterolith import api
from heterolith.metrics import Protocol, Subject, measure, passes, pinned, summarise
from heterolith.sw import CpuWorker


def test_every_layer_gets_a_measured_row_with_an_interval(cnn_path: Path) -> None:
    """The median lies in its interval, energy stays unknown, rows come in layer order."""
    network = api.load(cnn_path)
    worker = CpuWorker(1)
    try:
        inputs = api.make_inputs(network, "random:0")
        rows = measure(network, worker, inputs, Protocol(warmup=1, repetitions=3))
    finally:
        worker.close()
    assert [row.layer for row in rows] == [layer.name for layer in network.layers]
    for row in rows:
        assert row.source == "measured"
        assert row.energy_pj is None
        assert 0 < row.latency_low_ns <= row.latency_ns + 1
        assert row.latency_ns <= row.latency_high_ns + 1


class Clockwork:
    """A worker that notes the order in which layers run."""

    kind, number_format, backend = "cpu", "float32", "none"

    def __init__(self) -> None:
        self.ran: list[str] = []

    def load(self, network: object, layer: object) -> None:
        """Do nothing."""

    def run(self, layer: api.Any, inputs: api.Any) -> list[np.ndarray]:
        """Note the layer; its inputs must be there."""
        self.ran.append(layer.name)
        assert all(name in inputs for name in layer.inputs if name in self.known)
        return [np.zeros(1) for _ in layer.outputs]

    known: frozenset[str] = frozenset()

    def counters(self) -> dict[str, int]:
        """Return nothing."""
        return {}

    def close(self) -> None:
        """Do nothing."""


def test_repetitions_are_interleaved_and_tensors_live_until_their_last_use(cnn_path: Path) -> None:
    """Every pass, the warm-up too, goes through all layers; every input is still there."""
    network = api.load(cnn_path)
    worker = Clockwork()
    worker.known = frozenset(network.tensors)
    subject = Subject(network, api.make_inputs(network, "random:0"))
    timed = passes([subject], worker, warmup=1)
    assert next(timed).shape == next(timed).shape == (len(network.layers),)
    names = [layer.name for layer in network.layers]
    assert worker.ran == 3 * names


def test_of_several_networks_each_has_just_run_when_it_is_timed(cnn_path: Path) -> None:
    """As one by itself has, from its second pass on: each runs twice, the second time timed."""
    network = api.load(cnn_path)
    first, second = Clockwork(), Clockwork()
    subject = Subject(network, api.make_inputs(network, "random:0"))
    timed = passes([subject, subject], [first, second], warmup=0)
    count = len(network.layers)
    for done in (1, 2):
        assert next(timed).shape == (2 * count,)
        assert len(first.ran) == len(second.ran) == 2 * done * count


def test_interruptions_are_left_out_and_counted() -> None:
    """One reading a hundred times too long changes neither median nor interval."""
    rng = np.random.default_rng(0)
    times = np.round(1e6 + rng.normal(0, 1e4, (21, 3))).astype(np.int64)
    clean, none = summarise(times)
    times[7, 1] = 10**8
    spoilt, outliers = summarise(times)
    assert none == 0
    assert outliers == 1
    np.testing.assert_allclose(spoilt, clean, rtol=0.01)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_pinning_holds_inside_and_ends_after() -> None:
    """One thread stays on one core; afterwards all cores are back."""
    before = os.sched_getaffinity(0)
    with pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
