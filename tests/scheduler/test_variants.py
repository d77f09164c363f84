"""Plans with low ranks: chosen only on request, within a bound on losses, and run as planned."""

import numpy as np
import pytest

from heterolith import api, boards
from heterolith.errors import InfeasibleError, InputError
from heterolith.metrics.variants import variant_costs
from heterolith.scheduler.variants import plannable, realized
from heterolith.sw import execute

BOARD = "ultra96-v2"


@pytest.fixture(scope="module")
def network(exit_nets):
    """Return a network wide enough for low ranks to be faster on a CPU."""
    return exit_nets.network(width=64, size=32)


@pytest.fixture(scope="module")
def rows(network):
    """Return rows of one low rank with losses."""
    losses = {(layer.name, "lowrank:0.5"): 0.01 for layer in network.layers}
    return variant_costs(network, boards.load(BOARD), ["lowrank:0.5"], losses)


def plan(network, rows, **limits):
    """Return the fastest plan on the CPU alone."""
    return api.plan(network, BOARD, objective="latency", profile=rows, pins={"*": "cpu"}, **limits)


def test_low_ranks_are_chosen_only_on_request_and_within_the_loss(network, rows):
    """Without the request none; with it the faster ones; a bound of 1 % allows one of 1 %."""
    assert {row.variant for row in plan(network, rows).assignments} == {"fp32"}
    fast = plan(network, rows, variants=True)
    low = [row.layer for row in fast.assignments if row.variant == "lowrank:0.5"]
    assert len(low) == len(rows) >= 2
    assert fast.metrics.accuracy_loss_ppm == 10_000 * len(low)
    bound = plan(network, rows, variants=True, accuracy_loss="1%")
    assert bound.metrics.accuracy_loss_ppm == 10_000
    exact = plan(network, rows).metrics.latency_ns
    assert fast.metrics.latency_ns < bound.metrics.latency_ns < exact


def test_a_plan_with_low_ranks_runs_both_factors(network, rows):
    """The run's results are those of the rewritten network, not of the exact one."""
    made = plan(network, rows, variants=True)
    rng = np.random.default_rng(0)
    inputs = {"image": rng.standard_normal((1, 3, 32, 32)).astype(np.float32)}
    split, cut = realized(made, network)
    assert sum(layer.macs for layer in cut.layers) < sum(layer.macs for layer in network.layers)
    assert sum(row.energy_pj for row in split.assignments) == sum(
        row.energy_pj for row in made.assignments
    )
    expected, exact = execute(cut, inputs), execute(network, inputs)
    outputs = api.run(made, network, inputs, threads=1).outputs
    for name in network.outputs:
        assert np.allclose(outputs[name], expected[name], atol=1e-4)
    assert max(np.abs(expected[name] - exact[name]).max() for name in network.outputs) > 1e-3


def test_plans_without_low_ranks_are_left_alone(network):
    """Plan and network come back as the same objects."""
    made = plan(network, ())
    assert realized(made, network) == (made, network)


def test_float16_rows_are_no_choice(network):
    """Rows in float16 stay out of plans; a row of an unknown device is still refused."""
    rows = variant_costs(network, boards.load("jetson-tx2"), ["fp16"])
    assert rows
    assert plannable(rows, boards.load("jetson-tx2"), True) == ()
    with pytest.raises(InputError, match="device"):
        plan(network, rows)


@pytest.mark.parametrize("text", ["1", "101%", "-1%", "one"])
def test_losses_are_percentages(network, text):
    """A bound without a percent sign or outside 0..100 is refused."""
    with pytest.raises(InputError, match="no percentage in 0"):
        plan(network, (), accuracy_loss=text)


def test_a_bound_that_binds_is_named(network, rows):
    """A deadline that only low ranks meet, with no loss allowed, is infeasible."""
    fast = plan(network, rows, variants=True).metrics.latency_ns
    with pytest.raises(InfeasibleError):
        plan(network, rows, variants=True, accuracy_loss="0.5%", deadline=f"{fast}ns")
