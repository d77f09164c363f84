"""fit and evaluate on the command line."""

import csv
import json
from pathlib import Path

import pytest

from .commands import call, refusal, write_samples


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
