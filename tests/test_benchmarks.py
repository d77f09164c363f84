"""Benchmark scripts and committed results."""

import csv
import subprocess
import sys
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
