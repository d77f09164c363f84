"""``heterolith compile`` and ``heterolith run net.hlb``."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from heterolith import hw
from heterolith.sw import Array

from .commands import call

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits.onnx"
BARE = """
import sys

ALLOWED = set(sys.stdlib_module_names) | {"numpy", "heterolith"}


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in ALLOWED and not name.startswith("__editable__"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Refuse())
from heterolith.cli import main

sys.exit(main(sys.argv[1:]))
"""


def bare(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run one command in an interpreter that has numpy and the standard library alone."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BARE, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the digits network, compiled."""
    path = tmp_path_factory.mktemp("digits") / "digits.hlb"
    assert call("compile", DIGITS, "--platform", "ultra96-v2", "--out", path) == 0
    return path


def test_a_plan_becomes_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``compile plan.json`` tells the predicted cycles and runs to the plan's own output."""
    plan, out = tmp_path / "plan.json", tmp_path / "net.hlb"
    pins = ["--pin", "softmax=cpu", "--pin", "*=fpga"]
    assert call("plan", DIGITS, "--platform", "ultra96-v2", *pins, "--out", plan) == 0
    capsys.readouterr()
    assert call("compile", plan, "-o", out, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["calibration"] == "synthetic"
    assert data["bytes"] == out.stat().st_size
    assert data["predicted_cycles"] == sum(data["segments"].values()) > 1000
    first, second = tmp_path / "a.npy", tmp_path / "b.npy"
    assert call("run", plan, "--input", "random:0", "--out", first) == 0
    assert call("run", out, "--input", "random:0", "--out", second, "--device", "golden") == 0
    np.testing.assert_array_equal(np.load(first), np.load(second))


@pytest.mark.parametrize("device", ["golden", "functional"])
def test_a_bundle_runs_with_numpy_alone(device: str, bundle: Path, tmp_path: Path) -> None:
    """Without typer, rich, onnx, scipy: the same figures and the same output file."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((1, 1, 8, 8), dtype=np.float32))
    run = ["run", bundle, "--input", tmp_path / "x.npy", "--device", device]
    assert call(*run, "--out", tmp_path / "a.npy") == 0
    done = bare(*run, "--out", tmp_path / "b.npy", "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["backends"].keys() == {"fpga", "cpu"}
    assert data["predicted_cycles"] > 1000
    assert data["bit_exact"] is (True if device == "functional" else None)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    text = bare(*run)
    assert text.returncode == 0
    assert "top-1" in text.stdout


def test_other_commands_name_what_is_missing() -> None:
    """A board has no typer; the message says what runs there."""
    done = bare("plan", "x.onnx")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "heterolith run net.hlb" in done.stderr


def test_rtl_runs_a_whole_network_bit_for_bit(capsys: pytest.CaptureFixture[str]) -> None:
    """The digits network in one command stream: cycles, predicted cycles, equal codes."""
    run = ["run", DIGITS, "--platform", "ultra96-v2", "--device", "rtl", "--input", "random:0"]
    assert call(*run, "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["bit_exact"] is True
    assert data["calibration"] == "synthetic"
    (segment,) = data["segments"]
    assert segment["layers"] == 7
    assert data["cycles"] == segment["cycles"]
    assert abs(data["predicted_cycles"] / data["cycles"] - 1) < 0.03
    assert abs(data["predicted_fpga_latency_ms"] / data["fpga_latency_ms"] - 1) < 0.03
    assert "every layer that the accelerator computes" in data["notes"][-1]


def test_a_network_with_wishes_is_planned(capsys: pytest.CaptureFixture[str]) -> None:
    """With an objective, limit or pin, --device says what computes FPGA layers, not where."""
    run = ["run", DIGITS, "--platform", "ultra96-v2", "--device", "functional", "--input"]
    assert call(*run, "random:0", "--pin", "*=cpu", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["devices_used"] == ["cpu"]
    assert data["cycles"] is data["bit_exact"] is None


def refused(arguments: Sequence[object], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a command line was refused."""
    capsys.readouterr()
    assert call(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    return captured.err


def test_bad_command_lines_are_refused_in_one_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong inputs, devices, files and names; nothing is written."""
    wrong, out, damaged = tmp_path / "w.npy", tmp_path / "out.npy", tmp_path / "w.hlb"
    damaged.write_bytes(bundle.read_bytes()[:5000])
    np.save(wrong, np.zeros((1, 1, 9, 8), np.float32))
    run = ["run", bundle, "--out", out]
    cases = {
        "is float32 of shape (1, 1, 9, 8)": [*run, "--input", wrong],
        "cannot read": [*run, "--input", tmp_path / "missing.npy"],
        "neither an .npy": [*run, "--input", "random:x", "--device", "golden"],
        "--input": run,
        "invalid choice": [*run, "--input", "random:0", "--device", "gpu"],
        "no number above 0": [*run, "--input", "random:0", "--threads", "0"],
        "no whole bundle": ["run", damaged, "--input", "random:0"],
        "does not end in .hlb": ["compile", DIGITS, "--platform", "ultra96-v2", "-o", out],
        "needs --platform": ["compile", DIGITS, "-o", tmp_path / "x.hlb"],
        "has no FPGA": ["compile", DIGITS, "--platform", "jetson-tx2", "-o", tmp_path / "x.hlb"],
        "cannot read plan": ["compile", tmp_path / "p.json", "-o", tmp_path / "x.hlb"],
    }
    for expected, arguments in cases.items():
        assert expected in refused(arguments, capsys), expected
    assert not out.exists()
    assert not (tmp_path / "x.hlb").exists()


def test_a_device_that_differs_from_the_golden_model_writes_nothing(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrong code is an error, from a network as from a bundle, and no output file."""
    run = hw.FunctionalDevice.run_job

    def wrong(self: hw.FunctionalDevice, job: hw.Job, memory: Array) -> object:
        counters = run(self, job, memory)
        memory[: job.command_offset] ^= 1
        return counters

    monkeypatch.setattr(hw.FunctionalDevice, "run_job", wrong)
    out = tmp_path / "out.npy"
    given = ["--input", "random:0", "--device", "functional", "--out", out]
    assert "differ" in refused(["run", DIGITS, "--platform", "ultra96-v2", *given], capsys)
    assert "differ" in refused(["run", bundle, *given], capsys)
    assert not out.exists()
