import os
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.adaptive.apnet import ApNet
from heterolith.scheduler.adaptive.model import place
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.run import evaluate
from heterolith.scheduler.adaptive.sharing import Sharing

from .fixtures import board, network, scenario, task
from .random_sets import scenario as random_scenario

SOAK = bool(os.environ.get("HETEROLITH_SOAK"))
NET = network(1000, 2000, 1500, name="net")
SHARING = Sharing(
    once_ppm={"net": {(layer.name, d.name): 400_000 for layer in NET.layers for d in layer.degrees}}
)


def cameras(count, tight, **fields):
    """Return equal networks that start together, with a part of the time that they need exact."""
    period = round(count * NET.wcet_ns * tight)
    return scenario(
        *(task(NET, period, name=f"t{i}") for i in range(count)),
        horizon_ns=period * 60 + 1,
        **fields,
    )


def run(made, sharing=None):
    """Return policy and row."""
    policy = ApNet(made, sharing)
    return policy, evaluate("apnet", policy)


def test_no_admitted_task_ever_misses():
    """No admitted task ever misses."""
    wanted, jobs, shared, seed = (1_000_000 if SOAK else 50_000), 0, 0, 0
    while jobs < wanted:
        seed += 1
        made, sharing = random_scenario(Random(seed), seed)
        try:
            policy, row = run(made, sharing)
        except InfeasibleError:
            continue
        assert row.misses == 0, (seed, row)
        jobs += row.jobs
        shared += policy.tally.shared
    assert shared > jobs / 10


@given(st.randoms(use_true_random=False), st.integers(0, 10**6))
@settings(max_examples=300 if SOAK else 30, deadline=None)
def test_hypothesis_finds_no_miss(rng, seed):
    """Hypothesis finds no miss."""
    made, sharing = random_scenario(rng, seed)
    try:
        policy = ApNet(replace(made, horizon_ns=made.horizon_ns // 5), sharing)
    except InfeasibleError:
        return
    assert evaluate("apnet", policy).misses == 0


def test_nothing_is_approximated_when_there_is_time():
    """Nothing is approximated when there is time."""
    _, row = run(cameras(3, 1.0))
    assert (row.misses, row.mean_loss) == (0, 0.0)


def test_exact_networks_miss_where_apnet_does_not():
    """Exact networks miss where ApNet does not."""
    made = cameras(3, 0.8)
    assert evaluate("exact", AdaptivePolicy(made)).misses > 0
    _, row = run(made)
    assert row.misses == 0
    assert row.mean_loss > 0


def test_time_that_is_not_used_buys_accuracy():
    """Time that is not used buys accuracy."""
    worst = run(cameras(3, 0.75))[1].mean_loss
    assert run(cameras(3, 0.75, execution="uniform"))[1].mean_loss < worst


def test_sharing_buys_accuracy_and_is_reported():
    """Sharing buys accuracy and is reported."""
    alone, without = run(cameras(4, 0.7))
    policy, row = run(cameras(4, 0.7), SHARING)
    assert alone.tally.factor == 1.0
    assert policy.tally.factor == 4.0
    assert row.mean_loss < without.mean_loss
    assert row.misses == without.misses == 0


def test_a_batch_is_no_larger_than_allowed():
    """A batch is no larger than allowed."""
    policy, _ = run(cameras(4, 0.7), replace(SHARING, largest=2))
    assert policy.tally.factor == 2.0


def test_different_networks_share_by_the_co_run_factor():
    """Different networks share by the co run factor."""
    other = network(1000, 2000, 1500, name="other")
    tasks = [task(NET, 9000, name="a"), task(other, 9000, name="b")]
    policy, row = run(scenario(*tasks, horizon_ns=10**6), Sharing(corun_ppm=700_000))
    assert policy.tally.share > 0.5
    assert row.misses == 0


def test_no_layer_is_deeper_than_its_floor():
    """No layer is deeper than its floor."""

    class Watch(ApNet):
        def ended(self, view, machine):
            floor = self.floors[view.index].degrees
            assert all(d <= f for d, f in zip(view.degrees, floor, strict=True))

    assert evaluate("watch", Watch(cameras(4, 0.7, execution="uniform"), SHARING)).jobs > 100


def test_what_cannot_be_admitted_is_rejected_with_the_reason():
    """What cannot be admitted is rejected with the reason."""
    with pytest.raises(InfeasibleError, match=r"rejected: even at the deepest degrees"):
        ApNet(cameras(2, 0.3))


def test_several_resources_are_refused():
    """Several resources are refused."""
    net = network(1000, 2000, name="net", trace=False)
    moved = replace(net, layers=(net.layers[0], replace(net.layers[1], resource=1)))
    made = scenario(task(moved, 9000), board=board(resources=("gpu", "cpu")))
    with pytest.raises(InputError, match="use gpu, cpu; this policy decides for one resource"):
        ApNet(made)
    assert place(net, (0, 0), 0) == net


def test_deadlines_drawn_at_random_are_refused():
    """Deadlines drawn at random are refused."""
    client = task(NET, 9000, 9000, deadline_low_ns=8000)
    with pytest.raises(InputError, match="draws its deadlines at random"):
        ApNet(scenario(client))
