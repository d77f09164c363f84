"""cost on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from .commands import call, refusal, write_samples


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
