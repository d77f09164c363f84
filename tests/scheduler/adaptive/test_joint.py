import os
from dataclasses import fields, replace
from random import Random

import pytest

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.adaptive.joint import Joint, heterolith, pricings
from heterolith.scheduler.adaptive.joint_place import choose, placements
from heterolith.scheduler.adaptive.joint_plan import Mechanisms, plan_tasks, services
from heterolith.scheduler.adaptive.joint_soft import Drops, SoftJoint, expected_confidence
from heterolith.scheduler.adaptive.model import KnobNetwork, Place
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.rehearse import stage
from heterolith.scheduler.adaptive.run import evaluate

from .fixtures import board, degrees, network, scenario, task

MS = 10**6


def spread(net, rng, move_ns=50_000):
    """Return a network whose blocks can also run on a second resource, faster or slower."""
    layers = []
    for layer in net.layers:
        there = degrees(round(layer.degrees[0].wcet_ns * rng.uniform(0.4, 1.5)), count=2)
        layers.append(
            replace(
                layer, places=(Place(resource=1, kind=1, degrees=there),),
                move_ns=((0, move_ns), (move_ns, 0)),
            )
        )  # fmt: skip
    return KnobNetwork(name=net.name, layers=tuple(layers), exits=net.exits, trace=net.trace)


def random_scenario(number, jobs):
    """Return hard tasks on two resources under one operating point, lightly to heavily loaded."""
    rng = Random(number)
    made = board(
        points=4, resources=("cpu", "gpu"), kinds=("cpu", "gpu"),
        switch_ns=rng.choice([0, 100_000, 300_000]),
    )  # fmt: skip
    tasks = []
    count = rng.randint(1, 4)
    load = rng.uniform(0.4, 2.4)
    for index in range(count):
        times = [rng.randint(MS // 5, 2 * MS) for _ in range(rng.randint(1, 3))]
        exits = tuple(range(len(times))) if rng.random() < 0.6 else ()
        net = spread(network(*times, exits=exits, images=60, seed=index), rng)
        period = round(sum(times) * count / load * rng.uniform(0.6, 1.6))
        deadline = round(period * rng.choice([1, 1, 0.8, 0.6]))
        offset = rng.choice([0, rng.randrange(period)])
        tasks.append(task(net, period, deadline, name=f"t{index}", offset_ns=offset))
    rate = sum(1 / t.period_ns for t in tasks)
    return scenario(
        *tasks, board=made, horizon_ns=round(jobs / rate), seed=number,
        execution=rng.choice(["wcet", "uniform", "extremes"]),
        arrival=rng.choice(["periodic", "sporadic"]),
    )  # fmt: skip


def guaranteed(made, mechanisms=None, points=None):
    """Return the guaranteed policy without rehearsal, None if it does not fit."""
    mechanisms = mechanisms or Mechanisms()
    costs = pricings(made, 1.0, mechanisms)
    placed = choose(made, costs, mechanisms)
    try:
        services(placed, plan_tasks(placed.tasks, mechanisms))
    except InfeasibleError:
        return None
    return Joint(placed, costs, mechanisms, points or (3, 2, 1, 0))


def test_hard_deadlines_hold_over_many_random_jobs():
    """No guaranteed job misses, over random sets, points, degrees, placements and arrivals.

    HETEROLITH_SOAK=1 runs 1,000,000 jobs.
    """
    wanted = 1_000_000 if os.environ.get("HETEROLITH_SOAK") else 50_000
    jobs = number = slow = 0
    while jobs < wanted:
        number += 1
        made = random_scenario(number, 400)
        policy = guaranteed(made)
        if policy is None:
            continue
        row = evaluate("heterolith", policy)
        assert row.hard_misses == 0, f"set {number}: {row}"
        jobs += row.jobs
        slow += row.switches > 0
    assert slow > number / 10, "the operating point was hardly ever changed"


def test_the_joint_policy_needs_less_energy_than_full_speed_at_equal_accuracy():
    """On a light set the joint policy saves energy and loses no accuracy worth mentioning."""
    net = network(2 * MS, 2 * MS, count=1, images=300)
    made = scenario(task(net, 20 * MS), horizon_ns=4000 * MS)
    full, ours = evaluate("edf", AdaptivePolicy(made)), evaluate("joint", heterolith(made))
    assert ours.hard_misses == 0
    assert ours.accuracy == full.accuracy
    assert ours.energy_mj < 0.95 * full.energy_mj


@pytest.mark.parametrize("off", [field.name for field in fields(Mechanisms)])
def test_a_mechanism_that_is_off_is_not_used(off):
    """Each mechanism can be switched off and then leaves no trace in what ran."""
    rng = Random(2)
    net = spread(network(2 * MS, 2 * MS, 2 * MS, exits=(0, 1, 2), images=100), rng)
    both = board(resources=("cpu", "gpu"), kinds=("cpu", "gpu"), switch_ns=100_000)
    made = scenario(task(net, 20 * MS), board=both, horizon_ns=2000 * MS)
    row_policy = heterolith(made, 0.001, replace(Mechanisms(), **{off: False}))
    row = evaluate("joint", row_policy)
    used = {
        "placement": any(x.resource for x in row_policy.scenario.tasks[0].network.layers),
        "points": row.switches > 0,
        "degrees": row.mean_loss > 0,
        "exits": row.mean_depth < 3,
    }
    assert not used[off]


def test_worth_moves_the_policy_along_its_front():
    """The more accuracy is worth, the more of it there is, and the more energy is spent."""
    net = network(2 * MS, 2 * MS, 2 * MS, exits=(0, 1, 2), images=400)
    made = scenario(task(net, 20 * MS), horizon_ns=8000 * MS)
    rows = [evaluate("joint", heterolith(made, worth)) for worth in (0.003, 10.0)]
    assert rows[0].energy_mj < rows[1].energy_mj
    assert rows[0].accuracy < rows[1].accuracy


@pytest.mark.parametrize("worth", [0.0, -1.0, float("inf"), float("nan")])
def test_a_worth_without_meaning_is_refused(worth):
    """Worth must be above 0 and finite."""
    with pytest.raises(InputError, match="worth"):
        heterolith(scenario(task(network(MS), 10 * MS)), worth)


def test_what_cannot_be_guaranteed_is_served_by_best_effort():
    """Overload beyond the floors and clients get the planner without a guarantee."""
    net = network(8 * MS, 8 * MS, exits=(0, 1), count=1)
    heavy = scenario(*[task(net, 20 * MS, name=f"t{i}") for i in range(4)], horizon_ns=500 * MS)
    assert isinstance(heterolith(heavy), SoftJoint)
    client = scenario(
        task(net, 200 * MS, deadline_low_ns=50 * MS, hard=False), horizon_ns=2000 * MS
    )
    policy = heterolith(client)
    assert isinstance(policy, SoftJoint)
    assert evaluate("joint", policy).misses == 0


def test_placements_are_on_one_resource_or_two_with_one_change():
    """Three blocks on two resources: two whole, four cut; blocks without a place stay."""
    net = spread(network(MS, MS, MS), Random(1))
    assert len(placements(net, 2)) == 6
    stuck = replace(net, layers=(replace(net.layers[0], places=()), *net.layers[1:]))
    assert {p[0] for p in placements(stuck, 2)} == {0}


def test_rehearsal_shows_held_out_images_alone():
    """The images of a rehearsal are the held-out ones, again and again."""
    net = network(MS, MS, images=100)
    trace = stage(scenario(task(net, 10 * MS))).tasks[0].network.trace
    held = net.trace.held_out
    assert trace.images == 5 * held
    assert (trace.confidence[:, held : 2 * held] == net.trace.confidence[:, :held]).all()


def test_expected_confidences_are_means_of_held_out_images():
    """The expected confidence of an exit grows with the one seen, on the made-up trace."""
    look = expected_confidence(network(MS, MS, exits=(0, 1), images=2000))
    assert look(0, 0.2)[1] < look(0, 0.95)[1]


def test_degrees_are_judged_at_the_exit_that_their_blocks_end_with():
    """What a mix loses is counted on held-out images at that exit, not added up from the last."""
    net = network(MS, MS, exits=(0, 1), images=2000)
    trace, drops = net.trace, Drops(net)
    right = trace.correct[:, : trace.held_out].mean(axis=1)
    for exit_, chosen in ((0, (2,)), (1, (2, 0)), (1, (1, 2))):
        names = [layer.degrees[d].name for layer, d in zip(net.layers, chosen, strict=False)]
        exact = [layer.degrees[0].name for layer in net.layers]
        lost = right[trace.row(exact, exit_), exit_] - right[trace.row(names, exit_), exit_]
        assert drops.at(chosen, exit_) == pytest.approx(lost)
    assert drops.at((0, 0), 1) == 0
    bare = replace(net, trace=None)
    parts = (net.layers[0].degrees[2].loss, net.layers[1].degrees[1].loss)
    assert Drops(bare).at((2, 1), 1) == sum(parts)


def test_time_left_beside_mandatory_work_counts_when_tasks_are_placed():
    """Where not all stages fit on one resource, a second one is used if accuracy is worth it."""
    net = spread(network(2 * MS, 2 * MS, 2 * MS, exits=(0, 1, 2), images=400), Random(3))
    both = board(resources=("cpu", "gpu"), kinds=("cpu", "gpu"), points=1)
    dear = tuple(replace(p, active_mw=(p.active_mw[0], 4 * p.active_mw[1])) for p in both.points)
    both = replace(both, points=dear)
    clients = [
        task(net, 10 * MS, 20 * MS, deadline_low_ns=10 * MS, hard=False, name=f"t{i}")
        for i in range(4)
    ]
    made = scenario(*clients, board=both, horizon_ns=2000 * MS)
    used = {}
    for worth in (1e-6, 10.0):
        placed = choose(made, pricings(made, worth, Mechanisms()), Mechanisms())
        used[worth] = {layer.resource for t in placed.tasks for layer in t.network.layers}
    assert len(used[1e-6]) == 1
    assert len(used[10.0]) == 2
