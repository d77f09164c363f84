import os
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.scheduler.realtime import policy, response_times, simulate
from heterolith.scheduler.realtime.attack import attacks
from heterolith.scheduler.realtime.contention import with_contention

from .sets import random_set, task, taskset, tight_set

SOAK = bool(os.environ.get("HETEROLITH_SOAK"))


def breaches_of(made, seed, runs, horizon):
    """Simulate runs that try to break the bounds; return jobs and breaches."""
    bounds = {r.task: r.bound_ns for r in response_times(made)}
    jobs, breaches = 0, []
    for attacked, options in attacks(made, runs, seed):
        result = simulate(attacked, policy("fp"), horizon, options)
        jobs += result.jobs
        breaches += [
            (t.name, t.response_max_ns, bounds[t.name])
            for t in result.tasks
            if t.response_max_ns > bounds[t.name] or t.misses
        ]
    return jobs, breaches


def test_no_job_of_an_accepted_set_is_later_than_its_bound():
    """No job of an accepted set is later than its bound."""
    wanted, jobs, seed = (1_000_000 if SOAK else 50_000), 0, 0
    while jobs < wanted:
        seed += 1
        made = random_set(Random(seed))
        if all(r.schedulable for r in response_times(made)):
            done, breaches = breaches_of(made, seed, 8, 20_000)
            assert not breaches, (seed, breaches)
            jobs += done


def test_no_counterexample_near_capacity():
    """Sets near capacity, where a job may delay the next of its task, hold their bounds too."""
    accepted = 0
    for seed in range(4000 if SOAK else 400):
        made = tight_set(Random(seed))
        if all(r.schedulable for r in response_times(made)):
            accepted += 1
            # half a clock beyond: a job that ends with the horizon, at its deadline, counts as late
            horizon = 60 * max(t.period_ns for t in made.tasks) + 5
            _, breaches = breaches_of(made, seed, 4, horizon)
            assert not breaches, (seed, breaches)
    assert accepted > 100


def test_a_job_that_delays_the_next_of_its_task_is_seen():
    """The refuted CAN analysis accepts this set, whose second job of c is late (Davis 2007)."""
    made = taskset(
        task("a", 250, 100), task("b", 350, 100, deadline=325), task("c", 350, 100, deadline=325)
    )
    assert sum(t.misses for t in simulate(made, policy("fp"), 10_000).tasks) > 0
    assert [r.schedulable for r in response_times(made)] == [True, True, False]


@given(st.randoms(use_true_random=False), st.integers(0, 10**6))
@settings(max_examples=400 if SOAK else 60, deadline=None)
def test_hypothesis_finds_no_counterexample(rng, seed):
    """Hypothesis finds no counterexample."""
    made = random_set(rng)
    if all(r.schedulable for r in response_times(made)):
        _, breaches = breaches_of(made, seed, 4, 6000)
        assert not breaches


def test_runs_start_together_then_block_or_draw_offsets():
    """Runs start together, then draw offsets or let a less urgent task go first."""
    made = random_set(Random(3))
    offsets = [[t.offset_ns for t in attacked.tasks] for attacked, _ in attacks(made, 8, 0)]
    assert set(offsets[0]) == {0}
    assert max(offsets[1] + offsets[2]) > 1
    for late in (offsets[3], offsets[4], offsets[7]):
        first = [t.priority for t, offset in zip(made.tasks, late, strict=True) if not offset]
        rest = [t.priority for t, offset in zip(made.tasks, late, strict=True) if offset == 1]
        assert len(first) + len(rest) == len(late)
        assert max(rest) < min(first, default=len(late))
    again = [[t.offset_ns for t in attacked.tasks] for attacked, _ in attacks(made, 8, 0)]
    assert again == offsets


def test_the_bound_of_a_task_alone_is_its_work():
    """The bound of a task alone is its work."""
    answer = response_times(taskset(task("a", 50, (0, 5), (1, 7), (0, 3))))[0]
    assert (answer.bound_ns, answer.terms[0]) == (15, ("work", 15))


def test_textbook_example_on_one_resource():
    """Textbook example on one resource."""
    # pieces as short as the clock; a piece of 1 ns blocks the first two
    made = taskset(task("a", 4, 1), task("b", 6, 2), task("c", 13, 3), chunk_ns=1)
    assert [r.bound_ns for r in response_times(made)] == [2, 4, 10]


def test_the_dominant_term_names_who_is_to_blame():
    """The dominant term names who is to blame."""
    made = taskset(task("busy", 100, 20), task("slow", 200, 20), task("long", 900, 60))
    answers = {r.task: r for r in response_times(made)}
    assert answers["busy"].dominant == "blocking"
    assert answers["slow"].dominant == "blocking"
    assert answers["long"].dominant == "work"


def test_without_a_bound_the_reason_is_given():
    """Without a bound the reason is given."""
    answers = response_times(taskset(task("a", 10, 9), task("b", 20, 9), task("c", 30, 1)))
    assert answers[0].bound_ns is None
    assert "exceeds the period" in answers[0].reason
    assert "'a' has no bound" in answers[2].reason


def test_utilization_over_capacity_is_named_with_its_resource():
    """Utilization over capacity is named with its resource."""
    pieces = [(1, 1)] * 9
    answers = response_times(taskset(task("a", 10, (0, 1), (1, 6)), task("b", 20, *pieces)))
    assert answers[0].schedulable
    assert "utilization 1.050 of 'r1' is over its capacity of 1" in answers[1].reason


def test_jitter_of_an_urgent_task_delays_the_others():
    """Jitter of an urgent task delays the others."""
    bounds = [
        response_times(taskset(task("a", 18, 3, jitter_ns=late), task("b", 100, 7, 7)))[1].bound_ns
        for late in (0, 8)
    ]
    assert bounds == [17, 20]


def test_contention_stretches_the_memory_part_alone():
    """Contention stretches the memory part alone."""
    made = taskset(task("a", 100, (0, 10), (1, 10)), task("b", 100, (2, 4)))
    slow = with_contention(made, ["r0", "r1"], {"a/0": 3})
    assert [p.wcet_ns for p in slow.tasks[0].pieces] == [13, 20]
    assert slow.tasks[1] == made.tasks[1]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: response_times(taskset(task("a", 10, 1, deadline=12))), "beyond the period"),
        (
            lambda: response_times(
                replace(
                    taskset(task("a", 10, 1), task("b", 10, 1)),
                    tasks=(task("a", 10, 1), task("b", 10, 1)),
                )
            ),
            "share priority",
        ),
        (lambda: with_contention(taskset(task("a", 9, 4)), ["r0"], {"a/0": 5}), "memory time"),
    ],
)
def test_wrong_input_is_refused_with_its_reason(make, words):
    """Wrong input is refused with its reason."""
    with pytest.raises(InputError, match=words):
        make()
