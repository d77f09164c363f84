"""The committed figures of the accelerator against what they must reach."""

import csv
import json
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
UTILIZATION = {
    "resnet18": 0.75,
    "resnet50": 0.70,
    "squeezenet": 0.65,
    "vgg19": 0.90,
    "mobilenetv2": 0.45,
}


def rows(name):
    """Return the lines of a results file."""
    with (RESULTS / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "row", rows("nngen_cases.csv"), ids=lambda r: f"{r['case']}, {r['memory']}"
)
def test_nngen_cases_reach_their_target(row):
    """MACs per cycle and DSP slice, by the slices of the model and by those of Yosys."""
    rate = int(row["macs"]) / int(row["cycles"])
    for dsp, figure in (
        ("dsp", "macs_per_cycle_per_dsp"),
        ("dsp_synthesized", "macs_per_cycle_per_dsp_synthesized"),
    ):
        assert float(row[figure]) == pytest.approx(rate / int(row[dsp]), abs=1e-3)
        assert float(row[figure]) >= float(row["target"])


def test_the_stack_of_32_input_channels_has_the_published_macs():
    """The stack as published has 25,690,112 MACs; 64 input channels make 40,140,800."""
    macs = {row["case"]: int(row["macs"]) for row in rows("nngen_cases.csv")}
    assert macs["mix, 32 input channels"] == 25_690_112
    assert macs["mix, 64 input channels"] == 40_140_800


@pytest.mark.parametrize("network", sorted(UTILIZATION))
def test_networks_keep_the_array_busy(network):
    """The array's utilization is above its target, and above the DPU's."""
    (row,) = [
        x for x in rows("accelerator.csv") if (x["network"], x["config"]) == (network, "ultra96")
    ]
    utilization = float(row["utilization"])
    assert utilization == pytest.approx(int(row["macs"]) / int(row["cycles"]) / 512, abs=1e-4)
    assert utilization >= UTILIZATION[network]
    assert utilization > float(row["dpu_b1600_utilization_measured"])


def test_codes_are_within_one_of_onnxruntime():
    """QLinearConv differs in fewer than one code in a thousand, by one."""
    report = json.loads((RESULTS / "qlinear_conv.json").read_text(encoding="utf-8"))
    assert report["max_difference"] <= 1
    assert report["share"] == report["different"] / report["outputs"] < 1e-3


def test_the_functional_device_is_fast_enough():
    """Half a GMAC a second on one core, whatever the layer."""
    report = json.loads((RESULTS / "functional_speed.json").read_text(encoding="utf-8"))
    assert min(report["gmacs_per_second"].values()) >= report["target_gmacs_per_second"] == 0.5


def test_the_cycle_model_is_close_on_shapes_it_was_not_developed_on():
    """At least three held-out seeds of 200 shapes: mean error below 1 %, worst below 3 %."""
    report = json.loads((RESULTS / "cycle_model.json").read_text(encoding="utf-8"))
    seeds = [row for row in report["seeds"] if row["held_out"] and row["shapes"] >= 200]
    assert len(seeds) >= 3
    assert len(seeds) == len(report["seeds"])
    assert all(row["mean_error"] <= 0.01 and row["worst_error"] <= 0.03 for row in seeds)
    assert report["worst_error"] == max(row["worst_error"] for row in seeds)
