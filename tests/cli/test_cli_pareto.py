"""explain, pareto and compare: what they print and write, and what they refuse."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from .commands import call

BOTH = "ultra96-v2+jetson-tx2"


def data(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, list[dict]]:  # type: ignore[type-arg]
    """Run a command with --json and return what it prints."""
    assert call(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_explain_gives_a_reason_for_every_layer(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each layer has its alternatives and the limits they break."""
    plan = tmp_path / "plan.json"
    assert call("plan", cnn_path, "--platform", BOTH, "--deadline", "5ms", "--out", plan) == 0
    capsys.readouterr()
    found = data(capsys, "explain", plan)
    layers = [row["layer"] for row in json.loads(plan.read_text())["assignment"]]
    assert [row["layer"] for row in found["layers"]] == layers
    assert all(row["why"] for row in found["layers"])
    assert call("explain", plan) == 0
    assert "next best" in capsys.readouterr().out


def test_explain_refuses_what_is_no_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names the file."""
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    assert call("explain", wrong) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_pareto_writes_a_front_that_descends(
    cnn_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Latencies rise and energies fall from row to row; the picture is a PNG."""
    out, plot = tmp_path / "front.csv", tmp_path / "front.png"
    arguments: Sequence[object] = ("pareto", cnn_path, "--platform", BOTH)
    assert call(*arguments, "--out", out, "--plot", plot) == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    latencies = [float(row["latency_ms"]) for row in rows]
    energies = [float(row["dynamic_mj"]) for row in rows]
    assert latencies == sorted(latencies)
    assert energies == sorted(energies, reverse=True)
    assert plot.read_bytes().startswith(b"\x89PNG")
    capsys.readouterr()
    whole = data(capsys, *arguments)
    part = data(capsys, *arguments, "--deadline-range", f"{latencies[0]}ms:{latencies[0]}ms")
    assert whole["complete"]
    assert len(whole["points"]) == len(rows)
    assert len(part["points"]) == 1


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [("5ms", 1, "not LOW:HIGH"), ("9ms:5ms", 1, "backwards"), ("1ns:2ns", 2, "fastest takes")],
)
def test_pareto_refuses_a_range(
    cnn_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: int, said: str
) -> None:
    """The message says what a range looks like, or how fast the fastest plan is."""
    arguments = ("pareto", cnn_path, "--platform", BOTH, "--deadline-range", text)
    assert call(*arguments) == code
    assert said in capsys.readouterr().err


def test_compare_puts_the_best_plan_first(
    cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every rule has a row; none that keeps to the network's order is better."""
    found = data(capsys, "compare", cnn_path, "--platform", BOTH, "--deadline", "20ms")
    rules = [row["rule"] for row in found["rows"]]
    assert rules[0] == "heterolith"
    expected = {"cpu only", "fpga only", "gpu only", "best single", "HEFT", "greedy"}
    assert expected | {"PEFT", "largest subgraph"} <= set(rules)
    ordered = [row for row in found["rows"] if row["rule"] not in ("HEFT", "PEFT")]
    assert all(row["above_best"] is None or row["above_best"] >= 0 for row in ordered)


def test_compare_says_why_there_is_no_plan(
    cnn_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An impossible deadline ends with the nearest feasible one."""
    assert call("compare", cnn_path, "--platform", BOTH, "--deadline", "1us") == 2
    assert "fastest plan takes" in capsys.readouterr().err
