from dataclasses import replace
from itertools import product
from random import Random

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.adaptive.imprecise import Request, plan, predict, timely
from heterolith.scheduler.adaptive.imprecise_policy import (
    Imprecise,
    LeastConfidence,
    RoundRobin,
    mean_confidence,
)
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.run import evaluate

from .fixtures import board, network, scenario, task

MS = 10**6


def instance(rng):
    """Return up to six requests with growing times and rewards."""
    made = []
    for deadline in sorted(rng.randint(1, 100) for _ in range(rng.randint(1, 6))):
        total, reward = 0, rng.random() * rng.choice([0, 1])
        options = [(0, reward)]
        for _ in range(rng.randint(1, 3)):
            total += rng.randint(1, 30)
            reward += rng.random() * 0.4
            options.append((total, reward))
        made.append(Request(deadline_ns=deadline, options=tuple(options)))
    return made


def value(requests, choice):
    """Return the reward of a choice, None if a request that computes is late."""
    now, reward = 0, 0.0
    for request, option in zip(requests, choice, strict=True):
        spent, worth = request.options[option]
        now, reward = now + spent, reward + worth
        if spent and now > request.deadline_ns:
            return None
    return reward


def test_the_plan_is_within_its_bound_of_exhaustive_search():
    """On 500 random instances the plan is in time and within epsilon of the optimum."""
    rng = Random(5)
    for _ in range(500):
        requests, epsilon = instance(rng), rng.choice([0.01, 0.05, 0.1, 0.3])
        every = product(*(range(len(q.options)) for q in requests))
        best = max(v for v in (value(requests, c) for c in every) if v is not None)
        found = value(requests, plan(requests, epsilon))
        assert found is not None
        assert found >= (1 - epsilon) * best - 1e-9


def test_a_request_without_a_possible_option_has_no_plan():
    """What must be computed and cannot be in time makes the plan None."""
    assert plan([Request(deadline_ns=5, options=((6, 0.5),))]) is None
    assert plan([]) == ()


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -1.0])
def test_epsilon_is_between_0_and_1(epsilon):
    """An epsilon without meaning is refused."""
    with pytest.raises(InputError, match="epsilon"):
        plan([Request(deadline_ns=5, options=((0, 0.0),))], epsilon)


def test_requests_out_of_order_are_refused():
    """The recursion needs deadlines in order."""
    late, soon = (Request(deadline_ns=d, options=((0, 0.0), (1, 1.0))) for d in (9, 4))
    with pytest.raises(InputError, match="sorted by deadline"):
        plan([late, soon])


def test_most_requests_are_kept_in_time():
    """Moore and Hodgson: the longest of a late prefix goes."""
    assert timely([(4, 3), (4, 2), (9, 3)]) == (False, True, True)
    assert timely([(10, 3), (20, 3)]) == (True, True)


def test_predictions_follow_their_formulas():
    """Exp halves the doubt, max is certain, linear goes on, the oracle knows."""
    mean, true = (0.5, 0.7, 0.8), (0.4, 0.9, 0.95)
    assert predict("exp", (), mean, true) == mean
    assert predict("exp", (0.6,), mean, true) == pytest.approx((0.6, 0.8, 0.9))
    assert predict("max", (0.6,), mean, true) == (0.6, 1.0, 1.0)
    assert predict("linear", (0.6,), mean, true) == pytest.approx((0.6, 0.8, 0.9))
    assert predict("linear", (0.6, 0.7), mean, true) == pytest.approx((0.6, 0.7, 0.8))
    assert predict("oracle", (0.6,), mean, true) == true


def clients(count, low=20 * MS, high=300 * MS, horizon_ms=4000):
    """Return clients of a network with three stages of 8 ms."""
    net = network(8 * MS, 8 * MS, 8 * MS, exits=(0, 1, 2), count=1)
    tasks = [task(net, high, name=f"c{i}", deadline_low_ns=low, hard=False) for i in range(count)]
    return scenario(*tasks, horizon_ns=horizon_ms * MS)


def test_overload_costs_depth_and_not_deadlines():
    """With 12 clients EDF misses many deadlines, planning hardly any, at less depth."""
    made = clients(12)
    edf, planned = (evaluate("x", kind(made)) for kind in (AdaptivePolicy, Imprecise))
    assert edf.miss_rate > 0.2
    assert planned.miss_rate < 0.02
    assert planned.accuracy > edf.accuracy + 0.1


def test_light_load_is_computed_to_the_end():
    """One client alone gets all stages, whatever the policy."""
    made = clients(1, low=100 * MS)
    for kind in (RoundRobin, LeastConfidence):
        assert evaluate("x", kind(made)).mean_depth == 3
    assert evaluate("x", Imprecise(made, "max")).mean_depth > 2.7  # none after a sure answer


def test_dropped_requests_are_counted_under_hopeless_load():
    """Where mandatory stages alone exceed the capacity, admission drops some and keeps the rest."""
    row = evaluate("x", Imprecise(clients(40, high=160 * MS, horizon_ms=1000)))
    assert row.dropped > 0
    assert row.jobs - row.misses > 0.7 * 1000 / 8


def test_round_robin_serves_in_turn():
    """Three requests that arrive together get their first stages before any second one."""
    net = network(8 * MS, 8 * MS, exits=(0, 1), count=1)
    made = scenario(*[task(net, 100 * MS, 30 * MS, name=f"t{i}") for i in range(3)])
    assert evaluate("rr", RoundRobin(made)).mean_depth == 1.0
    assert evaluate("edf", AdaptivePolicy(made)).misses > 0


def test_mean_confidences_come_from_held_out_images():
    """The mean curve uses the first fifth, which no job sees."""
    net = network(MS, MS, exits=(0, 1))
    row = net.trace.row(["fp32", "fp32"], 1)
    held = net.trace.confidence[row, : net.trace.held_out, 1]
    assert mean_confidence(net)[1] == pytest.approx(float(held.mean()))


def test_exits_without_confidence_are_refused():
    """Stages are chosen by confidence, so exits without a trace are refused."""
    net = network(MS, MS, exits=(0, 1), trace=False)
    with pytest.raises(InputError, match="exits without confidence"):
        Imprecise(scenario(task(net, 10 * MS)))


def test_unknown_predictions_and_split_tasks_are_refused():
    """An unknown predictor and a task on two resources are refused with the reason."""
    net = network(MS, MS)
    with pytest.raises(InputError, match="utility prediction"):
        Imprecise(scenario(task(net, 10 * MS)), "guess")
    split = replace(net, layers=(net.layers[0], replace(net.layers[1], resource=1)))
    both = board(resources=("cpu", "gpu"))
    with pytest.raises(InputError, match="stages are planned for one resource"):
        Imprecise(scenario(task(split, 10 * MS), board=both))
