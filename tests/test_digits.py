"""The trained network of examples/digits, run in int8 on the FPGA with GPU and CPU."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from heterolith import api
from heterolith.sw import quantize
from heterolith.sw.int8 import linear_parameters

FOLDER = Path(__file__).parents[1] / "examples" / "digits"


def test_int8_accuracy_equals_float_on_held_out_digits() -> None:
    """Mixed int8 accuracy is within 0.5 points of float32, top-1 equal, on all kinds of device."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / "evaluate.py"), "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["images"] == 600
    assert report["float32_accuracy"] > 0.98
    for plan in ("mixed", "all that fits on fpga"):
        assert abs(report[plan]["accuracy"] - report["float32_accuracy"]) <= 0.005
        assert report[plan]["top1_equal"] == 1.0
    assert set(report["mixed"]["devices"]) == {"fpga", "gpu", "cpu"}


def test_model_is_small() -> None:
    """The committed model is below 300 KB."""
    assert (FOLDER / "digits.onnx").stat().st_size < 300_000


def test_int8_accuracy_equals_onnxruntime_on_the_same_codes(tmp_path: Path) -> None:
    """Scales and weights written as a QDQ model: every engine is as accurate, none disagrees."""
    model = tmp_path / "qdq.onnx"
    command = [sys.executable, str(FOLDER / "qdq.py"), "--json", "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["images"] == 600
    engines = report["engines"]
    assert len(engines) == 4
    assert len({row["accuracy"] for row in engines.values()}) == 1
    assert min(row["accuracy"] for row in engines.values()) > 0.98
    assert all(row["top1_differs"] == 0 for row in engines.values())
    # What was written are the accelerator's own codes.
    written = {x.name: numpy_helper.to_array(x) for x in onnx.load(model).graph.initializer}
    quantized = quantize(api.load(FOLDER / "digits.onnx"))
    compared = 0
    for layer in quantized.network.layers:
        if layer.op in ("Conv", "Gemm"):
            codes = written[f"{layer.inputs[1]}:codes"]
            own = linear_parameters(quantized, layer).weights
            np.testing.assert_array_equal(own.reshape(codes.shape), codes)
            compared += 1
    assert compared == 4
