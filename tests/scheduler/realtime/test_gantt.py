"""Pictures of simulations: what is written down of the jobs, and that a picture is drawn."""

from heterolith.scheduler.realtime import Options, policy, simulate
from heterolith.scheduler.realtime.gantt import Watched, picture

from .sets import task, taskset


def test_jobs_are_written_down_with_deadline_and_end():
    """Jobs are written down with arrival, deadline and end, and whether they missed."""
    made = taskset(task("a", 10, 3, deadline=8), task("b", 20, 9, deadline=10))
    watched = Watched(policy("fp"))
    simulate(made, watched, 40)
    jobs = {(j.task, j.arrival_ns): (j.end_ns, j.deadline_ns, j.missed) for j in watched.jobs}
    assert jobs["a", 0] == (3, 8, False)
    assert jobs["b", 0] == (12, 10, True)
    assert jobs["a", 10] == (15, 18, False)


def test_a_dropped_job_is_a_miss():
    """A dropped job is written down as a miss."""
    made = taskset(task("a", 10, 4, 4), task("b", 10, 4, 4, deadline=9))
    watched = Watched(policy("fp"))
    result = simulate(made, watched, 100, Options(overrun="abort"))
    assert sum(t.dropped for t in result.tasks) == sum(j.dropped for j in watched.jobs) > 0


def test_watching_changes_nothing():
    """A watched policy decides as it does alone."""
    made = taskset(task("a", 10, 3, (1, 2)), task("b", 20, (1, 5), 4), task("c", 30, 6))
    for name in ("edf", "fp", "llf", "fifo"):
        alone = simulate(made, policy(name), 600, Options(trace_limit=50))
        assert simulate(made, Watched(policy(name)), 600, Options(trace_limit=50)) == alone


def test_the_picture_is_a_png():
    """The picture is a PNG, also of a run in which nothing happened."""
    made = taskset(task("a", 10, 3, deadline=8), task("b", 20, 9, deadline=10))
    for horizon in (40, 1):
        watched = Watched(policy("fp"))
        result = simulate(made, watched, horizon, Options(trace_limit=40 * (horizon > 1)))
        data = picture(made, result.trace, watched.jobs, "t")
        assert data.startswith(b"\x89PNG")
