from dataclasses import replace

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.adaptive.neuos import MaxFrequency, NeuOS, PredJoule, RaceToIdle
from heterolith.scheduler.adaptive.run import evaluate

from .fixtures import board, network, scenario, task

NET = network(100_000, 200_000, 150_000, name="net")
PERIODS = (1.3, 1.4, 1.9, 2.6)


def cohort(count=4, tight=1.0, **fields):
    """Return networks with different deadlines that load the resource to about a half."""
    whole = count * NET.wcet_ns * tight
    return scenario(
        *(task(NET, round(whole * p), name=f"t{i}") for i, p in enumerate(PERIODS[:count])),
        horizon_ns=round(whole * 200),
        execution="uniform",
        **fields,
    )


def row(policy):
    """Return the outcome of a policy."""
    return evaluate("p", policy)


def test_energy_rises_and_loss_falls_from_mode_to_mode():
    """Energy rises and loss falls from mode to mode."""
    modes = ("min-energy", "balanced", "max-accuracy")
    rows = [row(NeuOS(cohort(), goal)) for goal in modes] + [row(MaxFrequency(cohort()))]
    assert [r.energy_mj for r in rows] == sorted(r.energy_mj for r in rows)
    assert [r.mean_loss for r in rows] == sorted((r.mean_loss for r in rows), reverse=True)
    assert rows[0].energy_mj < 0.9 * rows[-1].energy_mj
    assert [r.misses for r in rows] == [0, 0, 0, 0]


def test_an_overload_is_met_by_approximation():
    """An overload is met by approximation."""
    made = cohort(tight=0.35)
    assert row(MaxFrequency(made)).miss_rate > 0.1
    found = row(NeuOS(made, "balanced"))
    assert found.miss_rate <= 0.0325
    assert found.mean_loss > 0


def test_predjoule_approximates_nothing_and_slows_a_network_alone():
    """PredJoule approximates nothing and slows a network alone."""
    made = cohort(1, 1.5)
    found, quick = row(PredJoule(made)), row(MaxFrequency(made))
    assert (found.mean_loss, found.misses) == (0.0, 0)
    assert found.energy_mj < quick.energy_mj


def test_race_to_idle_rests_at_the_least_idle_power():
    """Race to idle rests at the least idle power."""
    made = cohort(1, 4.0)
    found, stays = row(RaceToIdle(made)), row(MaxFrequency(made))
    assert found.energy_mj < stays.energy_mj
    assert found.switches > found.jobs


def test_changes_are_fewer_the_more_they_cost():
    """Changes are fewer the more they cost."""
    free, dear = (
        row(NeuOS(cohort(tight=0.6, board=board(switch_ns=ns)), "min-energy")) for ns in (0, 50_000)
    )
    assert dear.switches < free.switches
    assert dear.misses == 0


def test_lag_is_recorded_from_release_to_end():
    """LAG is recorded from release to end."""
    made = cohort(1, 1.5)
    policy = NeuOS(made, "balanced", record=True)
    jobs = row(policy).jobs
    first = [entry for entry in policy.lags if entry[1] == 0]
    deadline = made.tasks[0].deadline_ns
    assert [entry[2] for entry in first] == sorted(entry[2] for entry in first)
    assert len(first) == len(NET.layers) + 1
    assert first[0][3] == 0  # on schedule when released
    assert first[-1][3] == deadline - first[-1][2]
    assert len(policy.lags) >= jobs * (len(NET.layers) + 1)
    assert all(own == clock for *_, clock, own in first)  # alone, a job never waits


def test_lag_by_execution_leaves_out_the_time_that_others_take():
    """In a cohort the clock runs on while a job waits; its own layers' time does not."""
    policy = NeuOS(cohort(), "balanced", record=True)
    row(policy)
    gaps = [own - clock for *_, clock, own in policy.lags]
    assert min(gaps) == 0
    assert max(gaps) > 0


def test_unknown_modes_and_several_resources_are_refused():
    """Unknown modes and several resources are refused."""
    with pytest.raises(InputError, match="unknown NeuOS mode 'eco'"):
        NeuOS(cohort(), "eco")
    net = network(1000, 2000, name="net", trace=False)
    moved = replace(net, layers=(net.layers[0], replace(net.layers[1], resource=1)))
    with pytest.raises(InputError, match="decides for one resource"):
        NeuOS(scenario(task(moved, 9000), board=board(resources=("gpu", "cpu"))))
