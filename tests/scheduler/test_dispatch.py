"""Plans carried out on live workers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from heterolith import api
from heterolith.errors import InputError
from heterolith.scheduler.dispatch import dispatch
from heterolith.sw import Array, CpuWorker, Layer, Network, execute, quantize

PINS = {"stem": "fpga", "left": "gpu", "right": "fpga", "block": "cpu", "*": "cpu"}


class FailingWorker:
    """A worker whose second layer breaks."""

    kind, number_format, backend = "cpu", "float32", "broken"

    def __init__(self) -> None:
        self.layers = 0

    def load(self, network: Network, layer: Layer) -> None:
        """Accept anything."""

    def run(self, layer: Layer, inputs: Mapping[str, Array]) -> Sequence[Array]:
        """Fail on the second call."""
        self.layers += 1
        if self.layers == 2:
            raise RuntimeError(f"{layer.name} broke")
        return [next(iter(inputs.values()))] * len(layer.outputs)

    def counters(self) -> Mapping[str, int]:
        """Count nothing."""
        return {}

    def close(self) -> None:
        """Hold nothing."""


def test_cpu_only_plan_equals_plain_execution(cnn_path: Path) -> None:
    """A float32 plan computes what the operators compute."""
    network = api.load(cnn_path)
    plan = api.plan(network, "ultra96-v2", pins={"*": "cpu"})
    inputs = api.make_inputs(network, "random:1")
    with api.Runner(plan, network, threads=1) as runner:
        outputs, trace = runner.run(inputs)
    np.testing.assert_allclose(outputs["y"], execute(network, inputs)["y"], rtol=1e-5, atol=1e-6)
    assert [e.name for e in trace.events if e.kind == "layer"] == [x.name for x in network.layers]


def test_mixed_plan_runs_each_layer_where_it_belongs(cnn_path: Path) -> None:
    """Every layer runs once on its device, int8 codes are converted, the result stays close."""
    network = api.load(cnn_path)
    plan = api.plan(network, "ultra96-v2+jetson-tx2", pins=PINS)
    inputs = api.make_inputs(network, "random:1")
    with api.Runner(plan, network, calibration=[inputs], threads=1) as runner:
        outputs, trace = runner.run(inputs)
        again, _ = runner.run(inputs)
    place = {row.layer: row.device for row in plan.assignments}
    ran = {event.name: event.device for event in trace.events if event.kind == "layer"}
    assert ran == place
    assert set(place.values()) == {"fpga", "gpu", "cpu"}
    assert any(event.kind == "convert" for event in trace.events)
    np.testing.assert_array_equal(outputs["y"], again["y"])
    assert np.abs(outputs["y"] - execute(network, inputs)["y"]).max() < 0.05


def test_layers_start_after_their_inputs(cnn_path: Path) -> None:
    """In the trace no layer starts before the layers it reads from have ended."""
    network = api.load(cnn_path)
    plan = api.plan(network, "ultra96-v2+jetson-tx2", pins=PINS)
    inputs = api.make_inputs(network, "random:1")
    with api.Runner(plan, network, calibration=[inputs], threads=1) as runner:
        _, trace = runner.run(inputs)
    layers = {event.name: event for event in trace.events if event.kind == "layer"}
    producer = {name: layer.name for layer in network.layers for name in layer.outputs}
    for layer in network.layers:
        for name in network.activations(layer):
            if name in producer:
                assert layers[producer[name]].end_ns <= layers[layer.name].start_ns


def test_a_failing_worker_ends_the_run_with_its_error(cnn_path: Path) -> None:
    """The error of one device's thread reaches the caller; no thread waits for ever."""
    network = api.load(cnn_path)
    plan = api.plan(
        network, "ultra96-v2+jetson-tx2", pins={"stem": "cpu", "left": "gpu", "*": "cpu"}
    )
    inputs = api.make_inputs(network, "random:1")
    workers = {"cpu": FailingWorker(), "gpu": CpuWorker(1)}
    with pytest.raises(RuntimeError, match="norm broke"):
        dispatch(plan, network, workers, quantize(network, [inputs]), inputs)


def test_wrong_network_and_missing_worker_are_refused(cnn_path: Path, tmp_path: Path) -> None:
    """A plan runs only its own network, and only with a worker per device."""
    network = api.load(cnn_path)
    plan = api.plan(network, "ultra96-v2", pins={"*": "cpu"})
    inputs = api.make_inputs(network, "random:1")
    with pytest.raises(InputError, match="'cpu', which has no worker"):
        dispatch(plan, network, {}, None, inputs)
