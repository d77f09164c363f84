"""``heterolith run --repeat`` and whether CPU layers are compiled for it."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from heterolith.cli import main
from heterolith.cli.repeat import TRIED_FROM_RUNS, repeated
from heterolith.errors import InputError

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"
ON_CPU = ["--platform", "ultra96-v2", "--pin", "*=cpu", "--input", "random:0", "--threads", "1"]


class Timed:
    """A runner whose times are given: milliseconds of single and of compiled layers."""

    def __init__(self, single: float, compiled: float) -> None:
        self.times, self.compiled = (single, compiled), False
        self.asked: list[bool] = []

    def compile_cpu(self, wanted: bool = True) -> None:
        """Switch."""
        self.compiled = wanted
        self.asked.append(wanted)

    def run(self, inputs):
        """Return what was given."""
        return {"y": self.compiled}, SimpleNamespace(latency_ns=self.times[self.compiled] * 1e6)


@pytest.mark.parametrize(
    ("times", "runs", "wish", "asked", "kept"),
    [
        ((5, 2), TRIED_FROM_RUNS - 1, None, [], "one by one"),
        ((5, 2), TRIED_FROM_RUNS, None, [True], "compiled"),
        ((2, 5), TRIED_FROM_RUNS, None, [True, False], "one by one"),
        ((5, 2), TRIED_FROM_RUNS, False, [], "one by one"),
        ((2, 5), 1, True, [True], "compiled"),
    ],
)
def test_the_faster_is_kept_if_there_are_enough_runs(times, runs, wish, asked, kept):
    """Both are measured from `TRIED_FROM_RUNS` on; a wish is followed without measuring."""
    runner = Timed(*times)
    outputs, _, found = repeated(runner, {}, runs, wish)
    assert (runner.asked, found.kept, outputs["y"]) == (asked, kept, kept == "compiled")
    data = found.data()
    assert data["runs"] == runs
    assert data["host_time_ms"] == times[kept == "compiled"]
    assert (data["cpu_compile_ms"] is None) == (asked == [])
    text = " ".join(found.lines("measured"))
    assert f"{times[kept == 'compiled']:.1f} ms (" in text
    assert ("the faster was kept" in text) == (wish is None and runs >= TRIED_FROM_RUNS)


def test_no_runs_are_refused():
    """There is nothing to return without a run."""
    with pytest.raises(InputError, match="0 runs compute nothing"):
        repeated(Timed(1, 1), {}, 0, None)


def test_run_compiles_cpu_layers_on_request(tmp_path, capsys):
    """Outputs agree within the paths' rounding, and the backend names what was compiled."""
    outputs = []
    for flag in ("--compile-cpu", "--no-compile-cpu"):
        out = tmp_path / f"{flag}.npy"
        given = [*ON_CPU, "--repeat", "2", flag, "--json", "--out", str(out)]
        assert main(["run", str(DIGITS), *given]) == 0
        data = json.loads(capsys.readouterr().out)
        assert data["runs"] == 2
        assert ("layers compiled into 1" in data["backends"]["cpu"]) == (flag == "--compile-cpu")
        outputs.append(np.load(out))
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)


def test_a_bundle_compiles_cpu_layers_on_request(tmp_path, capsys):
    """What runs on a board can be compiled there too."""
    bundle = tmp_path / "net.hlb"
    pins = ["--pin", "conv*=fpga", "--pin", "*=cpu"]
    assert main(["compile", str(DIGITS), "--platform", "ultra96-v2", *pins, "-o", str(bundle)]) == 0
    outputs = []
    for flag in ("--compile-cpu", "--no-compile-cpu"):
        out = tmp_path / f"{flag}.npy"
        given = ["--input", "random:0", "--device", "golden", "--repeat", "2", "--out", str(out)]
        assert main(["run", str(bundle), *given, flag]) == 0
        text = capsys.readouterr().out
        assert ("CPU layers were compiled in" in text) == (flag == "--compile-cpu")
        outputs.append(np.load(out))
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-5)
