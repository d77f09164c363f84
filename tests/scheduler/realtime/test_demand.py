from random import Random

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.realtime import policy, simulate
from heterolith.scheduler.realtime.demand import edf_demand
from heterolith.scheduler.realtime.utilization import hyperbolic, liu_layland, necessary

from .sets import task, taskset


def random_single(rng):
    """Random single."""
    tasks = []
    for number in range(rng.randrange(2, 5)):
        period = rng.choice([8, 10, 12, 15, 20, 24])
        works = [rng.randrange(1, 4) for _ in range(rng.randrange(1, 3))]
        deadline = rng.randrange(max(2, period // 2), period + 1)
        tasks.append(task(f"t{number}", period, *works, deadline=deadline))
    return taskset(*tasks)


def test_accepted_sets_meet_every_deadline_under_edf():
    """Accepted sets meet every deadline under edf."""
    accepted = 0
    for seed in range(300):
        made = random_single(Random(seed))
        if edf_demand(made).schedulable:
            accepted += 1
            assert simulate(made, policy("edf"), 2000).misses == 0
    assert accepted > 30


def test_with_fine_chunks_the_test_is_exact():
    """With fine chunks the test is exact."""
    for seed in range(150):
        tasks = random_single(Random(seed)).tasks
        fine = taskset(*[task(t.name, t.period_ns * 50, *[p.wcet_ns * 50 for p in t.pieces],
                              deadline=t.deadline_ns * 50) for t in tasks], chunk_ns=1)  # fmt: skip
        late = simulate(fine, policy("edf"), 120 * 50 * 2).misses
        assert edf_demand(fine).schedulable or late or blocking_only(fine)


def blocking_only(made):
    """Whether one nanosecond of blocking decides: the test then errs on the safe side."""
    answer = edf_demand(made)
    return answer.demand_ns <= answer.interval_ns


def test_the_answer_names_the_interval_and_what_fills_it():
    """The answer names the interval and what fills it."""
    answer = edf_demand(taskset(task("a", 10, 6), task("b", 20, 9)))
    assert not answer.schedulable
    assert answer.demand_ns + answer.blocking_ns > answer.interval_ns
    assert answer.dominant in {"a", "b", "blocking"}


def test_utilization_above_one_is_refused_at_once():
    """Utilization above one is refused at once."""
    assert not edf_demand(taskset(task("a", 10, 6), task("b", 10, 5))).schedulable
    verdict = necessary(taskset(task("a", 10, 6), task("b", 10, 5)))
    assert (verdict.schedulable, verdict.dominant) == (False, "r0")


def test_classic_bounds_hold_on_their_model_alone():
    """Classic bounds hold on their model alone."""
    light = taskset(task("a", 10, 2), task("b", 20, 5), rule="rm")
    assert liu_layland(light).schedulable is True
    assert hyperbolic(light).schedulable is True
    two = taskset(task("a", 10, (0, 1), (1, 1)), task("b", 20, 5))
    assert liu_layland(two).schedulable is None
    tight = taskset(task("a", 10, 5), task("b", 30, 10), rule="rm")
    assert liu_layland(tight).schedulable is None
    assert hyperbolic(tight).schedulable is True


def test_several_resources_are_refused():
    """Several resources are refused."""
    with pytest.raises(InputError, match="2 resources"):
        edf_demand(taskset(task("a", 10, (0, 1), (1, 1))))
