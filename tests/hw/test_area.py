"""The area model: counts are exact, the fitted part is near Yosys where it was not fitted."""

import csv
import json
import sys
from pathlib import Path

import pytest

from heterolith.boards import load
from heterolith.hw import area as model
from heterolith.hw.config import CONFIGS
from heterolith.hw.geometry import geometry

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def rows(name):
    """Return the lines of a table of results."""
    with (RESULTS / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


NAMED = rows("area.csv")


@pytest.fixture(scope="module")
def fitting():
    """The script that fits the model."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import area_model

        yield area_model
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.mark.parametrize("row", NAMED, ids=[row["config"] for row in NAMED])
def test_named_configurations_are_within_a_tenth_of_yosys(row):
    """None of them was fitted on; DSP slices and block RAMs are counted exactly."""
    found = model.area(CONFIGS[row["config"]], row["family"])
    assert found.lut == pytest.approx(float(row["lut"]), rel=0.1)
    assert found.ff == pytest.approx(float(row["ff"]), rel=0.1)
    assert found.dsp == int(row["dsp"])
    assert found.bram36 == float(row["bram36"])


def test_every_sample_has_the_counted_slices_and_blocks(fitting):
    """DSP and block RAM of every synthesized configuration follow from its sizes."""
    for sample in fitting.samples():
        g = geometry(sample.config)
        assert model.dsp(g) == sample.total["dsp"], sample.name
        assert model.bram36(g) == sample.total["bram36"], sample.name


def test_committed_coefficients_are_those_of_the_committed_samples(fitting):
    """Fitting again gives the file; none is negative."""
    committed = json.loads(model.COEFFICIENTS.read_text(encoding="utf-8"))
    fitted, _ = fitting.report()
    for resource in ("lut", "ff"):
        assert committed[resource] == pytest.approx(fitted[resource], abs=0.01)
        assert min(committed[resource].values()) >= 0
    assert committed["element"] == fitted["element"]


@pytest.mark.parametrize(
    ("width", "words", "blocks"),
    [(64, 512, 1), (36, 512, 0.5), (64, 1024, 2), (128, 512, 2), (128, 4096, 15), (1, 65536, 2)],
)
def test_memories_take_the_blocks_of_their_best_shape(width, words, blocks):
    """A half block serves what is left of a width up to 2048 words."""
    assert model.block_rams(width, words) == blocks


def test_shares_are_of_the_part():
    """Used over available, resource by resource."""
    (device,) = [d for d in load("ultra96-v2").devices if d.fabric is not None]
    used = model.area(CONFIGS["ultra96"], model.family(device.fabric))
    assert used.shares(device.fabric)["dsp"] == pytest.approx(313 / 360)
