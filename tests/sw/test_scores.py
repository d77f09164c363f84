"""Scores of a softmax that outgrow float32."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from heterolith import api
from heterolith.sw import CpuWorker, execute, load_onnx
from heterolith.sw.scores import LARGEST, score_layers, widen

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def test_layers_on_the_way_to_a_softmax_make_scores(cnn_path: Path) -> None:
    """Classifier and what hands its input on count; convolutions before the pooling do too."""
    assert score_layers(api.load(cnn_path)) == {"classify"}
    squeezenet = load_onnx(LIGHT / "light_squeezenet.onnx")
    last = [layer.name for layer in squeezenet.layers[-3:-1]]
    assert score_layers(squeezenet) == set(last)


def test_small_scores_stay_in_float32() -> None:
    """Below the bound the layer is computed once, in float32."""
    calls = []

    def double(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        calls.append(arrays["x"].dtype)
        return (arrays["x"] * 2,)

    widen(double, {"x": np.ones(3, np.float32)})  # type: ignore[arg-type]
    assert calls == [np.float32]
    (wide,) = widen(double, {"x": np.full(3, LARGEST, np.float32)})  # type: ignore[arg-type]
    assert calls == [np.float32, np.float32, np.float64]
    assert wide.dtype == np.float32


@pytest.mark.parametrize("threads", [1, 2])
def test_equal_kernels_give_equal_probabilities(threads: int) -> None:
    """Squeezenet of the onnx wheel, whose scores are near 1e10, meets its shipped reference."""
    network = load_onnx(LIGHT / "light_squeezenet.onnx")
    shape = network.tensors[network.inputs[0]].shape
    size = int(np.prod(shape))
    values = {network.inputs[0]: (np.arange(size) / size).astype(np.float32).reshape(shape)}
    stored = onnx.TensorProto()
    stored.ParseFromString((LIGHT / "light_squeezenet_output_0.pb").read_bytes())
    expected = numpy_helper.to_array(stored)
    (output,) = network.outputs
    found = execute(network, values, threads=threads)[output]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-7)
    worker = CpuWorker(threads)
    try:
        for layer in network.layers:
            worker.load(network, layer)
            values.update(zip(layer.outputs, worker.run(layer, values), strict=True))
    finally:
        worker.close()
    np.testing.assert_allclose(values[output], expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64])
def test_other_dtypes_are_left_alone(dtype) -> None:
    """Only float32 scores are widened; infinities of float16 stay float16."""
    large = np.array([6e4, np.inf] if dtype == np.float16 else [2**30, 0]).astype(dtype)
    (found,) = widen(lambda arrays: (arrays["x"],), {"x": large})
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, large)
