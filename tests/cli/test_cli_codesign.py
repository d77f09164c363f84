"""codesign: what it prints and writes, and what it refuses."""

import csv
import json
from pathlib import Path

import pytest

from heterolith.cli import main
from heterolith.hw.area import area
from heterolith.hw.config import ArrayConfig
from heterolith.hw.geometry import geometry
from heterolith.scheduler import codesign as module

SPACE = module.space


def call(*arguments: object) -> int:
    """Run ``heterolith codesign`` for the Ultra96-V2 in this process."""
    return main(["codesign", *(str(argument) for argument in arguments), "--board", "ultra96-v2"])


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sixtieth configuration."""
    monkeypatch.setattr(module, "space", lambda fabric: list(SPACE(fabric))[::60])


def test_json_has_configuration_and_plan_of_every_point(
    cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A configuration can be built from what is printed, and its area is the model's."""
    assert call(cnn_path, "--deadline", "3ms", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["screened"] >= found["placed"] >= 1
    for point in found["points"]:
        config = ArrayConfig(**point["config"])
        assert point["rtl_parameters"]["NPe"] == geometry(config).n_pe
        assert point["lut"] == round(area(config, "xcup").lut)
        (plan,) = point["plans"]
        assert plan["latency_ms"] == point["latency_ms"] <= 3
        assert sum(plan["layers"].values()) == len(plan["devices"])


def test_front_is_written_as_csv_and_picture(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line per point; the picture is a PNG; the table says what is assumed."""
    out, plot = tmp_path / "front.csv", tmp_path / "front.png"
    assert call(cnn_path, "--deadline", "3ms", "--out", out, "--plot", plot) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    latencies = [float(row["latency_ms"]) for row in rows]
    assert latencies == sorted(latencies)
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert "assumed" in capsys.readouterr().out


def test_two_models_take_a_deadline_each(
    cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every point serves both within their own deadlines."""
    assert call(cnn_path, cnn_path, "--deadline", "2ms", "--deadline", "4ms", "--json") == 0
    for point in json.loads(capsys.readouterr().out)["points"]:
        first, second = point["plans"]
        assert first["latency_ms"] <= 2
        assert second["latency_ms"] <= 4


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--deadline", "1us"], 2, "fastest"),
        (["--deadline", "3ms", "--power", "1W"], 2, "average power"),
        (["--deadline", "3ms", "--deadline", "4ms"], 1, "given 2 times for 1 models"),
        (["--weight", "0"], 1, "above 0"),
        (["--weight", "nan"], 1, "above 0"),
        (["--deadline", "3"], 1, "no known unit"),
        (["--out", "/dev/null/front.csv"], 1, "cannot"),
    ],
)
def test_wrong_or_impossible_requests_are_one_line(
    options: list[str], code: int, message: str, cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong input leaves with 1, an impossible request with 2 and the nearest value."""
    assert call(cnn_path, *options) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not captured.out


def test_board_without_fpga_is_refused(cnn_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A Jetson has nothing to build in."""
    assert main(["codesign", str(cnn_path), "--board", "jetson-tx2"]) == 1
    assert "exactly one" in capsys.readouterr().err
