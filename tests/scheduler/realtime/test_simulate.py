import warnings
from dataclasses import replace
from math import lcm
from random import Random

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.realtime import Options, Point, Policy, policy, simulate
from heterolith.scheduler.realtime.arrivals import poisson, recorded, sporadic, uniform
from heterolith.scheduler.realtime.policies import FixedPriority
from heterolith.scheduler.realtime.simulate import BACKLOG

from .sets import random_set, task, taskset


def spans(result):
    """Spans."""
    return [(e.name, e.start_ns, e.end_ns) for e in result.trace.events]


def test_a_started_piece_is_not_interrupted_and_the_urgent_task_goes_next():
    """A started piece is not interrupted and the urgent task goes next."""
    made = taskset(task("hi", 10, 2, offset_ns=1), task("lo", 20, 5, 5))
    result = simulate(made, policy("fp"), 12, Options(trace_limit=9))
    assert spans(result) == [
        ("lo/0", 0, 5), ("hi/0", 5, 7), ("lo/1", 7, 12),
    ]  # fmt: skip


def test_the_end_of_a_piece_and_the_request_of_the_next_are_one_instant():
    """The end of a piece and the request of the next are one instant."""
    made = taskset(task("hi", 40, 2, 2, 2, offset_ns=1), task("lo", 50, 3, offset_ns=0))
    result = simulate(made, policy("fp"), 20, Options(trace_limit=9))
    assert [name for name, _, _ in spans(result)] == ["lo/0", "hi/0", "hi/1", "hi/2"]


def test_resources_work_side_by_side():
    """Resources work side by side."""
    made = taskset(task("a", 20, (0, 4), (1, 4)), task("b", 20, (1, 4), (0, 4)))
    result = simulate(made, policy("edf"), 20)
    assert [t.response_max_ns for t in result.tasks] == [8, 8]
    assert [r.busy_ns for r in result.resources] == [8, 8]


def test_a_late_job_is_a_miss_and_the_next_one_waits_for_it():
    """A late job is a miss and the next one waits for it."""
    result = simulate(taskset(task("a", 10, 15)), policy("edf"), 45)
    report = result.tasks[0]
    assert (report.released, report.completed, report.misses) == (5, 2, 2 + 2)
    assert report.response_max_ns == 20


def test_skip_drops_releases_and_abort_drops_late_jobs():
    """Skip drops releases and abort drops late jobs."""
    made = taskset(task("a", 10, 8, 8))
    skip = simulate(made, policy("edf"), 80, Options(overrun="skip")).tasks[0]
    assert (skip.released, skip.completed, skip.dropped) == (8, 4, 4)
    abort = simulate(made, policy("edf"), 80, Options(overrun="abort")).tasks[0]
    assert (abort.completed, abort.misses) == (2, 8)


def test_energy_counts_busy_idle_and_switches():
    """Energy counts busy idle and switches."""

    class Slow(Policy):
        def key(self, job, now_ns):
            return 0

        def on_release(self, machine, job):
            machine.set_point(0, 1)

    slow = Point(name="slow", slowdown_ppm=2_000_000, idle_mw=2, active_mw=5)
    points = (Point(idle_mw=1, active_mw=10), slow)
    made = taskset(task("a", 100, 10, offset_ns=40), points=points, switch_ns=3, switch_pj=7)
    result = simulate(made, Slow(), 100)
    # 40 ns idle at the first point, 23 ns busy (3 of them switching), 37 ns idle at the second
    assert result.resources[0].energy_pj == 40 * 1 + 7 + 23 * 5 + 37 * 2
    assert result.resources[0].switches == 1


def test_a_run_is_the_same_under_its_seed_and_differs_under_another():
    """A run is the same under its seed and differs under another."""
    made = random_set(Random(7))
    options = Options(arrival=sporadic(0.5), execution=uniform, seed=3)
    first = simulate(made, policy("llf"), 5000, options)
    assert simulate(made, policy("llf"), 5000, options) == first
    assert simulate(made, policy("llf"), 5000, replace(options, seed=4)) != first


def test_arrival_patterns_release_when_they_say():
    """Arrival patterns release when they say."""
    made = taskset(task("a", 10, 1))
    trace = recorded({"a": [0, 3, 50]})
    assert simulate(made, policy("edf"), 60, Options(arrival=trace)).tasks[0].released == 3
    many = simulate(made, policy("edf"), 100_000, Options(arrival=poisson(0.5))).tasks[0]
    assert 4500 < many.released < 5500


def test_a_policy_may_end_move_and_drop_jobs():
    """A policy may end move and drop jobs."""

    class Exit(FixedPriority):
        def on_boundary(self, machine, job):
            if job.task.name == "a":
                machine.reroute(job, ())
            elif job.task.name == "b":
                machine.drop(job)

    made = taskset(task("a", 50, 5, 5), task("b", 50, 5, 5), task("c", 50, 5, 5))
    result = simulate(made, Exit(), 50)
    assert [t.completed for t in result.tasks] == [1, 0, 1]
    assert [t.dropped for t in result.tasks] == [0, 1, 0]
    assert result.resources[0].busy_ns == 20


def test_an_idle_resource_may_take_a_waiting_job():
    """An idle resource may take a waiting job."""

    class Steal(FixedPriority):
        def on_idle(self, machine, resource):
            other = machine.waiting(1 - resource)
            if other:
                job = other[-1]
                machine.reroute(job, (replace(job.pieces[job.index], resource=resource),))

    made = taskset(task("a", 50, 10), task("b", 50, 10), task("x", 50, (1, 1)))
    result = simulate(made, Steal(), 50)
    assert result.tasks[1].response_max_ns == 11


def test_the_backlog_of_an_overloaded_task_is_bounded():
    """The backlog of an overloaded task is bounded."""
    report = simulate(taskset(task("a", 1, 1000)), policy("edf"), 10_000).tasks[0]
    assert report.completed == 9
    assert report.misses == report.released == 10_000
    assert report.released - report.completed - report.dropped == BACKLOG + 1


@pytest.mark.parametrize(("rule", "ours"), [("EDF", "edf"), ("RM", "fp")])
def test_plain_policies_agree_with_simso(rule, ours):
    """Plain policies agree with simso."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from simso.configuration import Configuration
        from simso.core import Model

        rng = Random(11)
        for _ in range(6):
            # offsets that differ modulo 4 keep absolute deadlines apart: no ties to break
            periods = rng.sample([20, 24, 32, 40, 48, 60, 80], 3)
            works = [max(1, round(p * rng.uniform(0.1, 0.33))) for p in periods]
            tasks = [
                task(f"t{p}", p, w, offset_ns=i)
                for i, (p, w) in enumerate(zip(periods, works, strict=True))
            ]
            made = taskset(*tasks, rule="rm", chunk_ns=1)
            horizon = 2 * lcm(*periods)
            setup = Configuration()
            setup.cycles_per_ms, setup.duration = 1, horizon
            for number, item in enumerate(tasks, 1):
                setup.add_task(
                    name=item.name, identifier=number, period=item.period_ns,
                    activation_date=item.offset_ns,
                    wcet=item.wcet_ns, deadline=item.deadline_ns, abort_on_miss=False,
                )  # fmt: skip
            setup.add_processor(name="cpu", identifier=1)
            setup.scheduler_info.clas = f"simso.schedulers.{rule}"
            setup.check_all()
            model = Model(setup)
            model.run_model()
            theirs = {
                result.task.name: max(j.response_time for j in result.jobs if j.response_time)
                for result in model.results.tasks.values()
            }
            result = simulate(made, policy(ours), horizon)
            assert {t.name: t.response_max_ns for t in result.tasks} == theirs


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda made: simulate(made, policy("edf"), 0), "horizon"),
        (lambda made: simulate(made, policy("edff"), 9), "did you mean edf"),
        (lambda made: simulate(made, policy("edf"), 9, Options(overrun="wait")), "overrun"),
        (lambda made: sporadic(-1), "slack"),
        (lambda made: poisson(0), "load"),
        (lambda made: recorded({"a": [3, 1]}), "sorted"),
    ],
)
def test_wrong_input_is_refused_with_its_reason(make, words):
    """Wrong input is refused with its reason."""
    with pytest.raises(InputError, match=words):
        make(taskset(task("a", 10, 1)))


def test_a_running_job_cannot_be_dropped():
    """A running job cannot be dropped."""

    class Kill(FixedPriority):
        def on_release(self, machine, job):
            for running in machine.running:
                if running is not None:
                    machine.drop(running)

    made = taskset(task("a", 50, 20), task("b", 50, 5, offset_ns=3))
    with pytest.raises(InputError, match="boundary"):
        simulate(made, Kill(), 50)
