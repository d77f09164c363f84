"""fit, evaluate, cost and profile on the command line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from heterolith import api
from heterolith.cli import main
from heterolith.metrics import from_csv
from heterolith.metrics.models import network_samples


def call(*arguments: object) -> int:
    """Run one command in this process."""
    return main([str(argument) for argument in arguments])


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was refused; it is one line and no traceback."""
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1, captured.err
    assert "Traceback" not in captured.err
    return captured.err


def write_samples(path: Path, count: int = 120, seed: int = 0) -> Path:
    """Write layers of six networks that obey one law with 3 % noise."""
    rng = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "network",
                "layer",
                "family",
                "shape",
                "device",
                "variant",
                "calls",
                "macs",
                "activation_elements",
                "latency_ns",
            ]
        )
        for index in range(count):
            macs, elements = (float(round(10 ** rng.uniform(4, 7))) for _ in range(2))
            latency = (1000 + 0.1 * macs + 0.3 * elements) * np.exp(rng.normal(0, 0.03))
            kernel = 1 + 2 * (index % 2)
            writer.writerow(
                [f"net{index % 6}", f"l{seed}-{index}", "conv", f"conv {kernel}", "cpu", "fp32", 1,
                 macs, elements, latency]
            )  # fmt: skip
    return path


def test_fit_writes_a_model_and_prints_its_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Coefficients with units, errors on networks and shapes left out, interval, picture."""
    data, out = write_samples(tmp_path / "cpu.csv"), tmp_path / "deep" / "cpu.cost.json"
    plot = tmp_path / "residuals.png"
    assert call("fit", data, "--metric", "latency", "--out", out, "--plot", plot) == 0
    text = capsys.readouterr().out
    for wanted in ("leave one network out", "leave one shape out", "ns per macs conv", "interval"):
        assert wanted in text
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert json.loads(out.read_text())["rows"] == 120
    assert call("fit", data, "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["errors"][0]["by"] == "network"
    assert content["errors"][0]["mape"] < 0.05


def test_evaluate_reports_error_and_coverage_on_other_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held-out rows: error, share in the interval; the fitted rows themselves are refused."""
    data, out = write_samples(tmp_path / "cpu.csv", 400), tmp_path / "cpu.cost.json"
    other = write_samples(tmp_path / "other.csv", 100, seed=1)
    assert call("fit", data, "--out", out) == 0
    capsys.readouterr()
    assert call("evaluate", out, other, "--json", "--extrapolate") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mape"] < 0.05
    assert 0.8 <= found["coverage"] <= 1
    assert len(found["samples"]) == 100
    assert call("evaluate", out, other, "--extrapolate") == 0
    assert "of rows lie in their 90% interval" in capsys.readouterr().out
    assert call("evaluate", out, data) == 1
    assert "fitted on exactly these samples" in refusal(capsys)


def test_rows_out_of_range_are_refused_without_extrapolate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row a thousand times larger than all fitted ones is named."""
    data, out = write_samples(tmp_path / "cpu.csv"), tmp_path / "cpu.cost.json"
    assert call("fit", data, "--out", out) == 0
    other = write_samples(tmp_path / "other.csv", 10, seed=1)
    rows = list(csv.reader(other.read_text().splitlines()))
    rows[3][7] = "1e12"
    with other.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    capsys.readouterr()
    assert call("evaluate", out, other) == 1
    text = refusal(capsys)
    assert "other.csv" in text
    assert "--extrapolate" in text


def other_unit(path: Path, column: str, scale: float) -> None:
    """Scale one cell of the third row as if it were in another unit."""
    rows = list(csv.reader(path.read_text().splitlines()))
    place = rows[0].index(column)
    rows[2][place] = repr(float(rows[2][place]) * scale)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("latency_ns", "duration", "line 1: no column latency_ns"),
        ("macs,", "work,", "line 1: column"),
        ("device", "latency_ms", "latency_ms and latency_ns both give latency"),
        ("cpu,fp32,1,", "cpu,fp32,-1,", "line 2, column calls: '-1' is negative; correct"),
        ("cpu,fp32,1,", "cpu,fp32,nan,", "line 2, column calls: 'nan' is not finite; correct"),
        ("cpu,fp32,1,", "cpu,fp32,1 us,", "line 2, column calls: '1 us' is no number; write it"),
        ("l0-1,", "l0-7,", "repeats bad.csv, line 3"),
        ("net0,l0-0,", "net0,", "line 2 has 9 cells, the header has 10"),
    ],
)
def test_wrong_samples_are_one_line_exit_one_and_no_output(
    old: str, new: str, named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, row and column are named, with what to do; nothing is written."""
    path, out = write_samples(tmp_path / "bad.csv"), tmp_path / "bad.cost.json"
    text = path.read_text()
    if new == "l0-7,":
        text = text.replace("net1,l0-1,", "net1,l0-7,")
    elif new == "work,":
        text = text.replace("macs,activation_elements", "work,activations").replace("calls", "n")
        named = "line 1: no column says how much work"
    else:
        text = text.replace(old, new, 1)
    path.write_text(text)
    assert call("fit", path, "--out", out) == 1
    message = refusal(capsys)
    assert "bad.csv" in message
    assert named in message
    assert not out.exists()


def test_a_row_in_another_unit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Microseconds among nanoseconds are a thousand times too small."""
    path, out = write_samples(tmp_path / "bad.csv"), tmp_path / "bad.cost.json"
    other_unit(path, "latency_ns", 1e-3)
    assert call("fit", path, "--out", out) == 1
    message = refusal(capsys)
    assert "bad.csv, line 3" in message
    assert "another unit?" in message
    assert not out.exists()


@pytest.mark.parametrize("wrong", [b"", b"a,b\n1,2\n", b"\x00\x01", bytes(range(256)) * 4096])
def test_files_that_are_no_samples_write_nothing(
    wrong: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty, another table, garbage; a gigabyte of it is refused at its first line too."""
    path, out = tmp_path / "bad.csv", tmp_path / "bad.cost.json"
    path.write_bytes(wrong)
    assert call("fit", path, "--out", out) == 1
    assert "bad.csv" in refusal(capsys)
    assert not out.exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [({"schema": 9}, "has schema 9, this version reads 4"), ({"sha256": "0"}, "its sha256")],
)
def test_a_wrong_model_file_is_refused(
    change: dict[str, object], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A newer schema and a hash that does not fit; the plot is not written."""
    data, model = write_samples(tmp_path / "cpu.csv"), tmp_path / "cpu.cost.json"
    assert call("fit", data, "--out", model) == 0
    model.write_text(json.dumps({**json.loads(model.read_text()), **change}))
    capsys.readouterr()
    plot = tmp_path / "plot.png"
    assert call("evaluate", model, data, "--plot", plot) == 1
    message = refusal(capsys)
    assert "cpu.cost.json" in message
    assert named in message
    assert not plot.exists()


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


def test_evaluate_shows_errors_at_the_samples_pace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column by network and a line; JSON has them apart from the errors as predicted."""
    data, other = write_samples(tmp_path / "a.csv", 400), write_samples(tmp_path / "b.csv", 60, 1)
    for path, pace in ((data, 4e6), (other, 5e6)):
        header, *rows = path.read_text().splitlines()
        text = "\n".join([f"{header},reference_ns", *(f"{row},{pace}" for row in rows)])
        path.write_text(text + "\n")
    model = tmp_path / "a.cost.json"
    assert call("fit", data, "--out", model) == 0
    capsys.readouterr()
    assert call("evaluate", model, other, "--extrapolate", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pace"]["slower"] == 1.25
    assert 1 + found["pace"]["bias"] == pytest.approx(1.25 * (1 + found["bias"]))
    assert call("evaluate", model, other, "--extrapolate") == 0
    text = capsys.readouterr().out
    assert "the machine took 1.250 times as long as in the fit" in text
    assert "at their pace" in text


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


def test_cost_shows_layers_devices_and_points(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Data-sheet figures at the nominal point, as table, JSON, CSV and arrays."""
    assert call("cost", cnn_path, "--platform", "ultra96-v2+jetson-tx2") == 0
    assert "data-sheet" in capsys.readouterr().out
    out = tmp_path / "cost.csv"
    assert (
        call("cost", cnn_path, "--platform", "jetson-tx2", "--points", 3, "--out", out, "--json")
        == 0
    )
    data = json.loads(capsys.readouterr().out)
    shape = (len(data["layers"]), len(data["devices"]), 3)
    assert np.array(data["latency_ns"], dtype=float).shape == shape
    assert len(out.read_text().splitlines()) == 1 + np.prod(shape)
    arrays = tmp_path / "cost.npz"
    assert call("cost", cnn_path, "--platform", "jetson-tx2", "--out", arrays) == 0
    assert np.load(arrays)["latency_ns"].shape == (len(data["layers"]), 2, 1)


def test_cost_takes_fitted_models_and_refuses_to_extrapolate(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model of other shapes is refused by layer; with --extrapolate figures are flagged."""
    folder = tmp_path / "models"
    data = write_samples(tmp_path / "gpu.csv")
    assert call("fit", data, "--out", folder / "gpu.cost.json") == 0
    capsys.readouterr()
    where = ["--platform", "jetson-tx2", "--models", folder]
    assert call("cost", cnn_path, *where) == 1
    assert "--extrapolate" in refusal(capsys)
    assert call("cost", cnn_path, *where, "--extrapolate", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sources"] == {"gpu": "fitted", "cpu": "data-sheet"}
    (folder / "gpu.cost.json").rename(folder / "npu.cost.json")
    assert call("cost", cnn_path, *where) == 1
    assert "named after no device of jetson-tx2" in refusal(capsys)
    assert call("cost", cnn_path, "--platform", "jetson-tx2", "--models", tmp_path) == 1
    assert "has no file *.cost.json" in refusal(capsys)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("gpu=1", "no operating point has gpu=1"),
        ("npu=5", "has no domain 'npu'"),
        ("fast", "neither nominal, all"),
    ],
)
def test_wrong_points_are_refused(
    points: str, message: str, cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clock domains and their steps are the platform's."""
    assert call("cost", cnn_path, "--platform", "jetson-tx2", "--points", points) == 1
    assert message in refusal(capsys)
