"""Operating points by kind of piece, and the hooks that act once per instant and before a start."""

from dataclasses import replace

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.realtime import Options, Piece, Point, TaskSet, simulate
from heterolith.scheduler.realtime.policies import FixedPriority

from .sets import task, taskset

SLOW = Point(name="slow", slowdown_ppm=(2_000_000, 3_000_000), idle_mw=2, active_mw=(5, 7))


class At(FixedPriority):
    """Changes the point at given times."""

    def __init__(self, *changes):
        self.changes = dict(changes)

    def on_instant(self, machine):  # noqa: D102 - as in Policy
        if machine.now_ns in self.changes:
            machine.set_point(0, self.changes[machine.now_ns])


def of_kinds(made):
    """Return a set whose pieces have kinds 0, 1, 0, 1 ..."""
    tasks = []
    for entry in made.tasks:
        pieces = tuple(replace(p, kind=i % 2) for i, p in enumerate(entry.pieces))
        tasks.append(replace(entry, pieces=pieces))
    return replace(made, tasks=tuple(tasks))


def test_a_point_acts_on_each_kind_in_its_own_way():
    """Slowdown and power follow the kind of the piece."""
    fast = Point(idle_mw=1, active_mw=(10, 20))
    made = of_kinds(taskset(task("a", 100, 10, 10), points=(fast, SLOW)))
    result = simulate(made, At((0, 1)), 100)
    assert result.resources[0].busy_ns == 20 + 30
    assert result.resources[0].energy_pj == 20 * 5 + 30 * 7 + 50 * 2
    result = simulate(made, FixedPriority(), 100)
    assert result.resources[0].energy_pj == 10 * 10 + 10 * 20 + 80 * 1


def test_a_piece_keeps_speed_and_power_of_the_point_at_which_it_started():
    """A change in mid-piece waits for its end; what lies beyond the horizon is not charged."""
    points = (Point(idle_mw=1, active_mw=10), Point(slowdown_ppm=2_000_000, active_mw=5))
    made = taskset(task("a", 100, 10, 10), task("b", 50, (1, 1), offset_ns=4), points=points)
    result = simulate(made, At((4, 1)), 25)
    assert result.resources[0].energy_pj == 10 * 10 + 15 * 5


def test_a_switch_that_ended_while_idle_delays_nothing():
    """Switch time counts from the change, so idle time absorbs it."""
    points = (Point(), Point(name="same"))
    made = taskset(
        task("a", 100, 5, offset_ns=20), task("b", 100, (1, 1)), points=points, switch_ns=8
    )
    result = simulate(made, At((0, 1)), 100)
    assert result.tasks[0].response_max_ns == 5
    late = simulate(made, At((20, 1)), 100)
    assert late.tasks[0].response_max_ns == 5 + 8


def test_a_piece_may_be_replaced_right_before_it_starts():
    """`on_start` sees the job before its piece is drawn."""

    class Shorter(FixedPriority):
        def on_start(self, machine, job):
            short = replace(job.pieces[job.index], wcet_ns=2, bcet_ns=2)
            job.pieces = (*job.pieces[: job.index], short, *job.pieces[job.index + 1 :])

    result = simulate(taskset(task("a", 50, 10, 10)), Shorter(), 50)
    assert result.tasks[0].response_max_ns == 4


def test_a_waiting_job_rides_along():
    """A rider's piece ends with the piece it shares; neither can be dropped meanwhile."""

    class Together(FixedPriority):
        def on_start(self, machine, job):
            for other in machine.waiting(0):
                machine.ride(other, 0)
                with pytest.raises(InputError, match="runs"):
                    machine.drop(other)

    made = taskset(task("a", 50, 10), task("b", 50, 10))
    result = simulate(made, Together(), 50, Options(trace_limit=9))
    assert [t.response_max_ns for t in result.tasks] == [10, 10]
    assert result.resources[0].busy_ns == 10


def test_a_kind_that_the_points_do_not_know_is_refused():
    """Every point needs figures for every kind in use."""
    made = of_kinds(taskset(task("a", 100, 10, 10)))
    few = replace(made.resources[0], points=(Point(active_mw=(3,)),))
    with pytest.raises(InputError, match="no kind 1"):
        TaskSet(resources=(few,), tasks=made.tasks)
    with pytest.raises(InputError, match="slowdown"):
        Point(slowdown_ppm=(1_000_000, 0))
    assert Piece(resource=0, wcet_ns=1, bcet_ns=1).kind == 0
