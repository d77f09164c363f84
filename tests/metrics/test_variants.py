"""Variants as rows of a profile: sums of factors, only where they are faster."""

import pytest

from heterolith import boards
from heterolith.metrics import estimate, from_csv, to_csv
from heterolith.metrics.estimate import layer_cost
from heterolith.metrics.variants import variant_costs
from heterolith.sw.variants import lowrank, rank_for

PLATFORM = "ultra96-v2+jetson-tx2"
NAMES = ("int8", "fp16", "lowrank:0.5", "lowrank:0.3", "int8+lowrank:0.5")


@pytest.fixture(scope="module")
def network(exit_nets):
    """Return the network with two exits, wide enough to be worth cutting."""
    return exit_nets.network(width=64, size=32)


def test_every_variant_that_is_priced_is_faster_than_its_layer(network):
    """No row is as slow as the layer itself on that device: such a rank is never offered."""
    platform = boards.load(PLATFORM)
    rows = variant_costs(network, platform, NAMES)
    layers = {layer.name: layer for layer in network.layers}
    assert {row.variant for row in rows} >= {"fp16", "lowrank:0.5"}
    for row in rows:
        exact = layer_cost(network, layers[row.layer], platform, platform.device(row.device))
        assert row.latency_ns < exact.latency_ns


def test_a_low_rank_costs_the_sum_of_its_factors(network):
    """On a CPU: latency, energy and weights of both layers of the rewritten network."""
    platform = boards.load("ultra96-v2")
    layers = {layer.name: layer for layer in network.layers}
    rows = [row for row in variant_costs(network, platform, ["lowrank:0.5"]) if row.device == "cpu"]
    assert rows
    for row in rows:
        rank = rank_for(network, layers[row.layer], 0.5)
        made = lowrank(network, {row.layer: rank})
        parts = [x for x in made.layers if x.name.startswith(f"{row.layer}.")]
        costs = [layer_cost(made, x, platform, platform.device("cpu")) for x in parts[:2]]
        assert row.latency_ns == sum(cost.latency_ns for cost in costs)
        assert row.energy_pj == sum(cost.energy_pj for cost in costs)
        assert row.weight_bytes == sum(cost.weight_bytes for cost in costs)


def test_only_measured_variants_are_rows_once_losses_are_given(network):
    """Losses pick the rows and stand in them, those of int8 layers on the FPGA among them."""
    losses = {("one", "int8"): 0.001, ("one", "lowrank:0.5"): 0.02, ("two", "fp16"): 0.0}
    rows = variant_costs(network, boards.load(PLATFORM), NAMES, losses)
    found = {(row.layer, row.variant): row.accuracy_loss for row in rows}
    assert found.items() <= losses.items()
    assert ("one", "int8") in found
    assert from_csv(to_csv(rows)) == rows


def test_a_profile_takes_variants_as_further_rows(network):
    """Rows in the device's own variant replace the model's, the others join them."""
    platform = boards.load("ultra96-v2")
    rows = variant_costs(network, platform, ["int8", "lowrank:0.5"],
                         {("one", "int8"): 0.001, ("one", "lowrank:0.5"): 0.02})  # fmt: skip
    made = estimate(network, platform, rows).costs_of("one")
    assert [
        (row.device, row.variant, row.accuracy_loss) for row in made if row.device == "fpga"
    ] == [("fpga", "int8", 0.001)]
    assert [row.variant for row in made if row.device == "cpu"] in (
        ["fp32", "lowrank:0.5"],
        ["fp32"],
    )
    assert len(estimate(network, platform).costs_of("one")) == 2
