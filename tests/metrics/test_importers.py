"""Importers of public measurements."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics.importers import lalarand, qutibench, topologies
from heterolith.metrics.models import CostModel

SAMPLE = Path(__file__).with_name("qutibench_sample.csv")
"""17 rows of RCL-lab/QutibenchWeb, Apache-2.0."""
BESIDE = Path(__file__).parents[3] / "shared" / "data" / "measured" / "qutibench_full974.csv"
TABLE = Path(os.environ.get("HETEROLITH_QUTIBENCH", BESIDE))

PUBLISHED = [
    ("MLP", 12.5, 0.0007, 0.33),
    ("MLP", 100.0, 0.02, 10.01),
    ("CNV", 25.0, 0.03, 0.39),
    ("CNV", 50.0, 0.12, 1.54),
    ("CNV", 100.0, 0.47, 6.16),
    ("GoogLeNetv1", 100.0, 3.1, 6.0),
    ("MobileNetv1", 100.0, 1.1, 4.2),
    ("ResNet-50", 100.0, 7.7, 25.5),
]
"""Network, percent of channels, GOPs, million parameters, of QuTiBench's topology table."""


@pytest.mark.parametrize(("name", "percent", "gops", "millions"), PUBLISHED)
def test_topologies_have_the_published_work(
    name: str, percent: float, gops: float, millions: float
) -> None:
    """Operations within 7 % and parameters within 17 %: both are published rounded."""
    layers = qutibench.layers_of(name, percent, gops)
    assert layers is not None
    assert 2e-9 * sum(layer.macs for layer in layers) == pytest.approx(gops, rel=0.07)
    assert 1e-6 * sum(layer.weights for layer in layers) == pytest.approx(millions, rel=0.17)


@pytest.mark.parametrize("gops", [6.5, 3.8, 2.5])
def test_pruned_resnets_have_the_published_operations(gops: float) -> None:
    """The share of inner channels is found from the operations."""
    layers = topologies.pruned_resnet50(gops)
    assert 2e-9 * sum(layer.macs for layer in layers) == pytest.approx(gops, rel=0.01)


def test_rows_carry_work_clocks_units_and_lines() -> None:
    """Milliseconds become ns, batches multiply the work, a mode becomes clocks."""
    samples = qutibench.read(SAMPLE, "tx2").samples
    first = samples.take(np.array([0]))
    assert first.targets["latency"][0] == pytest.approx(202_777)
    assert first.targets["power"][0] == pytest.approx(8.873)
    assert first.clocks["core_mhz"][0] == 1300.5
    assert first.lines[0] == 2
    macs = samples.total("macs") / samples.total("images")
    assert macs[0] == pytest.approx(334_336)


def test_networks_without_known_layers_are_named_not_guessed() -> None:
    """EfficientNet has no layer table here; it is left out by name."""
    assert "EfficientNet-S" not in qutibench.FULL_WIDTH
    assert qutibench.layers_of("EfficientNet-S", 100.0, 4.7) is None


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    """Missing file, other columns, a word for a number, an unknown platform."""
    with pytest.raises(InputError, match="cannot read"):
        qutibench.read(tmp_path / "absent.csv", "tx2")
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column 'NN_Topology'"):
        qutibench.read(other, "tx2")
    rows = list(csv.reader(SAMPLE.read_text().splitlines()))
    rows[2][rows[0].index("lat-comp")] = "fast"
    broken = tmp_path / "broken.csv"
    with broken.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    with pytest.raises(InputError, match="line 3, column lat-comp: 'fast' is no number"):
        qutibench.read(broken, "tx2")
    with pytest.raises(InputError, match="'tx3' is not one of dpu"):
        qutibench.read(SAMPLE, "tx3")


@pytest.mark.skipif(
    not TABLE.is_file(), reason=f"the published table is not at {TABLE} (HETEROLITH_QUTIBENCH)"
)
def test_a_network_left_out_is_predicted_on_the_dpu() -> None:
    """Fitted on the other networks of the whole table, ResNet-50 comes within 10 %."""
    samples = qutibench.read(TABLE, "dpu").samples
    held = samples.labels["network"] == "ResNet-50-100.0"
    model = CostModel().fit(samples.take(~held))
    test = samples.take(held)
    ratio = model.physics_.predict(test) / test.targets["latency"]
    assert np.abs(ratio - 1).mean() < 0.10


def test_lalarand_rows_have_their_units(tmp_path: Path) -> None:
    """10 us per unit in V2, 1 us per transfer; indices are the layers' names."""
    path = tmp_path / "systems.json"
    path.write_text(
        '{"lalarand_dev_profiles": {"V2": {"rnn": {"gpu": [130, 4], "cpu": [113, 2]}},'
        ' "G2C": {"rnn": [1518]}, "C2G": {"rnn": [308]}}}'
    )
    rows = lalarand.read(path)["rnn"]
    assert [(row.device, row.layer, row.latency_ns) for row in rows] == [
        ("cpu", "0", 1_130_000),
        ("cpu", "1", 20_000),
        ("gpu", "0", 1_300_000),
        ("gpu", "1", 40_000),
    ]
    assert all(row.source == "measured" for row in rows)
    there, back = lalarand.read_transfers(path)["rnn"]
    assert (there.origin, there.latency_ns, back.latency_ns) == ("gpu", 1_518_000, 308_000)
    with pytest.raises(InputError, match="no table 'V9'"):
        lalarand.read(path, "V9")
    path.write_text("{")
    with pytest.raises(InputError, match="is no JSON"):
        lalarand.read(path)
