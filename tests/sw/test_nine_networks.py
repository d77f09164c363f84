"""The nine networks of the onnx wheel, layer by layer on the CPU worker."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from heterolith.sw import Array, CpuWorker, Network, load_onnx

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from networks import paths, ramp, randomize

NAMES = tuple(paths())


def run_on_worker(network: Network, inputs: dict[str, Array]) -> Array:
    """Return the network's output as a CPU worker with two threads computes it."""
    worker, values = CpuWorker(2), dict(inputs)
    try:
        for layer in network.layers:
            worker.load(network, layer)
            values.update(zip(layer.outputs, worker.run(layer, values), strict=True))
    finally:
        worker.close()
    return values[network.outputs[0]]


@pytest.mark.parametrize("name", NAMES)
def test_reference_output_shipped_beside_the_model(name: str) -> None:
    """The official input gives the shipped output at the official tolerance."""
    path = paths()[name]
    network = load_onnx(path)
    stored = onnx.TensorProto()
    stored.ParseFromString(path.with_name(f"{path.stem}_output_0.pb").read_bytes())
    inputs = {key: ramp(network.tensors[key].shape) for key in network.inputs}
    rtol = 2e-3 if name == "densenet121" else 1e-3
    expected = numpy_helper.to_array(stored)
    np.testing.assert_allclose(run_on_worker(network, inputs), expected, rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_random_weights_agree_with_onnxruntime(name: str, tmp_path: Path) -> None:
    """With seeded random weights the largest error is below 1e-3 of the largest output."""
    path = tmp_path / f"{name}.onnx"
    onnx.save(randomize(paths()[name], 1), path)
    network = load_onnx(path)
    rng = np.random.default_rng(1)
    (key,) = network.inputs
    inputs = {key: rng.standard_normal(network.tensors[key].shape).astype(np.float32)}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, inputs)
    path.unlink()
    found = run_on_worker(network, inputs)
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()
    assert len(np.unique(expected)) > 500
