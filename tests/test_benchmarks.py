"""Benchmark scripts and committed results."""

import csv
import importlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_explains_itself(script: str) -> None:
    """Every benchmark answers --help."""
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Run: python benchmarks/" in done.stdout.replace("\n", " ")


def test_a_table_that_was_cut_off_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Finished steps are not taken again, half a line is dropped, the whole table is written."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    table = importlib.import_module("table")
    monkeypatch.setattr(table, "SIDE", tmp_path / "side")
    path, taken = tmp_path / "study.csv", []

    def step(name: str) -> list[dict[str, object]]:
        taken.append(name)
        if taken == ["a", "b"]:
            raise KeyboardInterrupt
        return [{"name": name, "value": 0.5}]

    steps = {name: partial(step, name) for name in "abc"}
    with pytest.raises(SystemExit, match="130"):
        list(table.grow(path, "x", steps))
    assert not path.exists()
    with (tmp_path / "side" / "study-x.part").open("a") as side:
        side.write('["b", [{"na')
    assert [row["name"] for row in table.grow(path, "x", steps, only="[ac]")] == ["a", "c"]
    assert not path.exists()
    assert len(list(table.grow(path, "x", steps))) == 3
    assert taken == ["a", "b", "c", "b"]
    assert path.read_text() == "name,value\na,0.5\nb,0.5\nc,0.5\n"
    assert not any((tmp_path / "side").iterdir())


def test_committed_placements_meet_their_deadline_and_are_proved() -> None:
    """The table in the README comes from plans with gap 0 within 100 ms."""
    with (ROOT / "benchmarks" / "results" / "placement.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    for row in rows:
        assert float(row["gap"]) == 0
        assert float(row["latency_ms"]) <= 100


def test_readme_table_repeats_the_committed_results() -> None:
    """Every energy in the README's placement table is the one in the results file."""
    readme = (ROOT / "README.md").read_text()
    with (ROOT / "benchmarks" / "results" / "placement.csv").open() as file:
        for row in csv.DictReader(file):
            (line,) = [x for x in readme.splitlines() if x.startswith(f"| {row['network']} ")]
            assert f"{float(row['energy_mj']):.0f}" in line
            assert f"{float(row['latency_ms']):.1f}" in line
