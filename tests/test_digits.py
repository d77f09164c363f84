"""The trained network of examples/digits, run in int8 on the FPGA with GPU and CPU."""

import json
import subprocess
import sys
from pathlib import Path

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
