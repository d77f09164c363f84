"""The committed table of areas against the boards."""

import csv
from pathlib import Path

import pytest

from heterolith.boards import load
from heterolith.hw.config import CONFIGS

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "area.csv"
with RESULTS.open(encoding="utf-8") as file:
    ROWS = {row["config"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", list(CONFIGS))
def test_configuration_fits_its_part(name):
    """No resource is above the part's, LUTs stay below 85 %, and the shares are those of it."""
    row = ROWS[name]
    (fabric,) = [d.fabric for d in load(row["board"]).devices if d.array == name]
    assert row["part"] == fabric.part
    for field in ("lut", "ff", "dsp", "bram36"):
        used, there = float(row[field]), getattr(fabric, field)
        assert 0 < used <= there
        assert float(row[f"{field}_share"]) == pytest.approx(used / there, abs=5e-4)
    assert float(row["lut_share"]) <= 0.85
