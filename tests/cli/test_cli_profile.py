"""profile on the command line."""

import csv
import json
from pathlib import Path

import pytest

from heterolith import api
from heterolith.metrics import from_csv
from heterolith.metrics.models import network_samples

from .commands import call, refusal


def test_profile_writes_rows_that_plan_and_fit_read(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file serves as measured rows of a plan and as samples with their work."""
    out = tmp_path / "cpu.csv"
    arguments = ["--threads", 1, "--repetitions", 3, "--warmup", 0]
    assert call("profile", cnn_path, *arguments, "--out", out) == 0
    network = api.load(cnn_path)
    rows = from_csv(out.read_text())
    assert [row.layer for row in rows] == [layer.name for layer in network.layers]
    assert "3 passes" in capsys.readouterr().out
    table = list(csv.DictReader(out.read_text().splitlines()))
    macs = dict(zip(network_samples(network).labels["layer"],
                    network_samples(network).total("macs"), strict=True))  # fmt: skip
    assert all(float(row["macs"]) == macs[row["layer"]] for row in table)
    (pace,) = {row["reference_ns"] for row in table}
    assert int(pace) > 0
    assert not out.with_name("cpu.csv.partial").exists()


def test_profile_resumes_where_it_was_interrupted(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Ctrl-C after two passes keeps them; --resume makes the rest, for the same arguments."""
    from heterolith import metrics

    out, partial = tmp_path / "cpu.csv", tmp_path / "cpu.csv.partial"
    whole = metrics.passes

    def interrupted(*arguments: object) -> object:
        for count, times in enumerate(whole(*arguments)):  # type: ignore[arg-type]
            if count == 2:
                raise KeyboardInterrupt
            yield times

    monkeypatch.setattr(metrics, "passes", interrupted)
    arguments = ["--threads", 1, "--repetitions", 4, "--warmup", 0, "--out", out]
    assert call("profile", cnn_path, *arguments) == 130
    _, pace, first, _ = map(json.loads, partial.read_text().splitlines())
    assert min(pace["reference_ns"]) > 0
    assert len(from_csv(out.read_text())) == len(first)
    monkeypatch.undo()
    capsys.readouterr()
    assert call("profile", cnn_path, *arguments, "--resume", "--seed", 5) == 1
    assert "another model, sweep, seed" in refusal(capsys)
    whole_text = partial.read_text()
    head, _, *rest = whole_text.splitlines(keepends=True)
    partial.write_text(head + "".join(line for line in rest if line.startswith("[")))
    assert call("profile", cnn_path, *arguments, "--resume") == 1
    assert "of an earlier version" in refusal(capsys)
    partial.write_text(whole_text)
    assert call("profile", cnn_path, *arguments, "--resume") == 0
    assert "4 passes" in capsys.readouterr().out
    assert not partial.exists()
    assert call("profile", cnn_path, *arguments, "--resume") == 1
    assert "nothing to resume" in refusal(capsys)


def test_profile_never_mixes_runs(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Passes that another run has left are resumed whole, or gone; damage is told, not read."""
    from heterolith.cli import passes

    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    out, partial = tmp_path / "cpu.csv", tmp_path / "cpu.csv.partial"
    arguments = ["profile", cnn_path, "--threads", 1, "--repetitions", 3, "--out", out]
    network = api.load(cnn_path)
    key = json.dumps(f"{network.fingerprint()} 0 threads 1")
    passed = json.dumps([10**9] * len(network.layers))
    stale = "\n".join([key, json.dumps({"reference_ns": [10**6] * 5}), passed, passed, ""])
    monkeypatch.setattr(passes, "readings", interrupted)
    partial.write_text(stale + "[12, 3")  # a line that was cut off
    assert call(*arguments, "--resume") == 130
    assert partial.read_text() == stale
    assert call(*arguments) == 130
    assert not partial.exists()
    monkeypatch.undo()
    capsys.readouterr()
    partial.write_text(stale + "[12, 3\n" + passed + "\n")
    assert call(*arguments, "--resume") == 1
    assert "is damaged" in refusal(capsys)
    partial.write_text(stale)
    assert call(*arguments, "--resume") == 0
    assert "3 passes" in capsys.readouterr().out
    assert min(row.latency_ns for row in from_csv(out.read_text())) > 10**8


def test_profile_tells_the_machine_s_pace(
    cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the passes, in JSON; a short network is timed for a while if nothing is asked for."""
    assert call("profile", cnn_path, "--threads", 1, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passes"] > 10
    assert found["reference_ms"] > 0
    assert 0 <= found["reference_drift"] < 10


def test_a_change_of_pace_is_noted(
    cnn_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readings before and after that differ by a fifth are worth a line."""
    from heterolith.cli import passes

    paces = iter([[4_000_000] * 5, [4_800_000] * 5])
    monkeypatch.setattr(passes, "readings", lambda *_: next(paces))
    assert call("profile", cnn_path, "--threads", 1, "--repetitions", 3) == 0
    assert "pace changed by 9% meanwhile" in capsys.readouterr().out


def test_profile_sweeps_probes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Probes of two kinds are timed for a budget; at least five passes are made."""
    out = tmp_path / "sweep.csv"
    arguments = ["--sweep", "pool,elementwise", "--probes", 40, "--budget", "1ms", "--warmup", 0]
    assert call("profile", *arguments, "--threads", 1, "--out", out) == 0
    assert "5 passes" in capsys.readouterr().out
    ops = {row.op for row in from_csv(out.read_text())}
    assert {"MaxPool", "Softmax"} <= ops
    assert not {"Conv", "Gemm"} & ops


def test_profile_simulates_the_accelerator(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows are simulated, of the layers that the accelerator computes."""
    out = tmp_path / "fpga.csv"
    assert call("profile", cnn_path, "--device", "fpga", "--config", "ultra96", "--out", out) == 0
    rows = from_csv(out.read_text())
    assert {row.source for row in rows} == {"simulated"}
    assert {row.variant for row in rows} == {"int8"}
    assert "norm" not in {row.layer for row in rows}
    assert "does not compute: " in capsys.readouterr().out
    with out.open() as file:
        assert {row["backend"] for row in csv.DictReader(file)} == {"model"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either a MODEL.onnx or --sweep"),
        (["--sweep", "conv", "--resume"], "--resume needs --out"),
        (["--sweep", "convs"], "unknown kind of probe 'convs'"),
        (["--sweep", "conv", "--budget", "3"], "budget '3' has no known unit"),
        (["--sweep", "conv", "--device", "gpu"], "unknown device to measure 'gpu'"),
        (["--sweep", "conv", "--device", "fpga"], "probes are timed on the cpu"),
    ],
)
def test_wrong_profile_requests_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what to give instead."""
    assert call("profile", *arguments) == 1
    assert message in refusal(capsys)
