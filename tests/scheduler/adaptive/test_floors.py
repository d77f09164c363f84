from itertools import pairwise, product
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.adaptive.floors import (
    Demand,
    fits,
    floors,
    knapsack,
    piece_limits,
    slack,
    staircase,
    sub_deadlines,
)
from heterolith.scheduler.realtime import Piece, Resource, Task, TaskSet, response_times
from heterolith.scheduler.realtime.demand import edf_demand

options = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=1, max_size=4)
layers = st.lists(options, min_size=1, max_size=5)


def demand(*degrees, period=100, deadline=None, name="t"):
    """Return a demand; a layer is a tuple of (time, loss)."""
    return Demand(
        name=name, period_ns=period, deadline_ns=deadline or period, layers=tuple(degrees)
    )


def random_demands(rng):
    """Return one to four demands around the edge of what fits."""
    made = []
    for index in range(rng.randint(1, 4)):
        degrees = tuple(
            tuple((time, 5 * d) for d, time in enumerate(sorted(rng.sample(range(1, 40), 3))[::-1]))
            for _ in range(rng.randint(1, 3))
        )
        period = rng.randint(40, 400)
        made.append(
            demand(*degrees, period=period, deadline=rng.randint(30, period), name=f"t{index}")
        )
    return made


def pieces_of(demands, chosen):
    """Return the same tasks for the analyses of `realtime`, most urgent deadline first."""
    order = sorted(range(len(demands)), key=lambda i: (demands[i].deadline_ns, i))
    return TaskSet(
        resources=(Resource(name="gpu"),),
        tasks=tuple(
            Task(
                name=d.name,
                period_ns=d.period_ns,
                deadline_ns=d.deadline_ns,
                priority=order.index(index),
                pieces=tuple(
                    Piece(resource=0, wcet_ns=layer[k][0], bcet_ns=1)
                    for layer, k in zip(d.layers, floor.degrees, strict=True)
                ),
            )
            for index, (d, floor) in enumerate(zip(demands, chosen, strict=True))
        ),
    )


@given(layers, st.integers(0, 200))
@settings(max_examples=200, deadline=None)
def test_the_knapsack_is_as_good_as_brute_force(made, budget):
    """The knapsack is as good as brute force."""
    found = knapsack(made, budget)
    losses = [
        sum(loss for _, loss in plan)
        for plan in product(*made)
        if sum(time for time, _ in plan) <= budget
    ]
    assert (found.loss_ppm if found else None) == min(losses, default=None)
    if found:
        picked = [layer[d] for layer, d in zip(made, found.degrees, strict=True)]
        assert found.time_ns == sum(t for t, _ in picked) <= budget
        assert found.longest_ns == max(t for t, _ in picked)


@given(layers)
@settings(deadline=None)
def test_along_the_staircase_time_rises_and_loss_falls(made):
    """Along the staircase time rises and loss falls."""
    steps = staircase(made)
    assert all(a.time_ns < b.time_ns and a.loss_ppm > b.loss_ppm for a, b in pairwise(steps))


@given(st.integers(1, 10**9), st.lists(st.integers(1, 10**6), min_size=1, max_size=9))
@settings(deadline=None)
def test_sub_deadlines_add_up_and_keep_proportion(deadline, times):
    """Sub deadlines add up and keep proportion."""
    shares = sub_deadlines(deadline, times)
    assert sum(shares) == deadline
    assert all(abs(s - deadline * t / sum(times)) <= 1 for s, t in zip(shares, times, strict=True))


@given(st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_demand_test_agrees_with_the_one_of_realtime(rng):
    """The demand test agrees with the one of realtime."""
    demands = random_demands(rng)
    chosen = [rng.choice(staircase(d.layers)) for d in demands]
    made = fits(demands, [f.time_ns for f in chosen], [f.longest_ns for f in chosen])
    assert made == edf_demand(pieces_of(demands, chosen)).schedulable


@given(st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_what_response_times_accept_the_demand_test_accepts(rng):
    """What response times accept the demand test accepts."""
    demands = random_demands(rng)
    chosen = [staircase(d.layers)[0] for d in demands]
    if all(r.schedulable for r in response_times(pieces_of(demands, chosen))):
        assert fits(demands, [f.time_ns for f in chosen], [f.longest_ns for f in chosen])


def none_can_be_raised(demands, chosen):
    """Check that floors fit and that no better step of one task fits with the others' floors."""
    work, longest = [f.time_ns for f in chosen], [f.longest_ns for f in chosen]
    assert fits(demands, work, longest)
    for index, task in enumerate(demands):
        for better in staircase(task.layers):
            if better.time_ns > work[index] and better.longest_ns >= longest[index]:
                raised = [better.time_ns if i == index else w for i, w in enumerate(work)]
                pieces = [better.longest_ns if i == index else p for i, p in enumerate(longest)]
                assert not fits(demands, raised, pieces)


@given(st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_floors_fit_and_none_can_be_raised_alone(rng):
    """Floors fit and none can be raised alone."""
    demands = random_demands(rng)
    try:
        chosen = floors(demands)
    except InfeasibleError:
        deepest = [staircase(d.layers)[0] for d in demands]
        assert not fits(demands, [f.time_ns for f in deepest], [f.longest_ns for f in deepest])
        return
    none_can_be_raised(demands, chosen)


def test_a_step_with_a_shorter_longest_layer_than_one_before_it_is_not_overlooked():
    """The second task's steps of 23 have longest layers of 18 to 22, that of 24 has 19: it fits."""
    small = ((3, 0), (2, 5), (1, 10))
    wide = (((22, 0), (5, 5), (4, 10)), ((19, 0), (18, 5), (1, 10)))
    demands = [
        demand(small, small, small, period=40, deadline=30, name="t0"),
        demand(*wide, period=40, deadline=33, name="t1"),
    ]
    none_can_be_raised(demands, floors(demands))
    assert min(step.longest_ns for step in staircase(wide) if step.time_ns == 23) == 18


def test_one_task_alone_gets_the_knapsack():
    """One task alone gets the knapsack."""
    for seed in range(40):
        rng = Random(seed)
        made = random_demands(rng)[0]
        best = knapsack(made.layers, made.deadline_ns)
        if best is None:
            with pytest.raises(InfeasibleError):
                floors([made])
        else:
            assert floors([made])[0].loss_ppm == best.loss_ppm


def test_the_piece_limit_is_the_longest_that_still_fits():
    """The piece limit is the longest that still fits."""
    tasks = [demand(((10, 0),), period=30, name="a"), demand(((20, 0),), period=100, name="b")]
    free, limit = piece_limits(tasks, [10, 20])
    assert limit == 20
    assert free > 10**9  # nothing is more urgent than a
    assert fits(tasks, [10, 20], [10, limit])
    assert not fits(tasks, [10, 20], [10, limit + 1])


def test_a_rejection_names_what_is_missing():
    """A rejection names what is missing."""
    with pytest.raises(InfeasibleError, match=r"rejected: .* utilization is 1\.600; 'big' needs"):
        floors([demand(((60, 0),), name="small"), demand(((100, 0),), name="big")])


def test_full_utilization_is_accepted_and_one_more_is_not():
    """Full utilization is accepted and one more is not."""
    tasks = [demand(((50, 0),), name="a"), demand(((50, 0),), name="b")]
    assert slack(tasks, [50, 50], [50, 50])[0] == 0
    assert slack(tasks, [50, 51], [50, 51]) is None


def test_a_deadline_beyond_the_period_is_refused():
    """A deadline beyond the period is refused."""
    with pytest.raises(InputError, match=r"must be in 1\.\.100"):
        demand(((5, 0),), period=100, deadline=101)
