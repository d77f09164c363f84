import pytest

from heterolith.errors import InputError
from heterolith.scheduler.realtime import Point, Resource, TaskSet, with_priorities
from heterolith.scheduler.realtime.tasks import chunked, segments

from .sets import task, taskset


def test_segments_join_neighbours_on_one_resource():
    """Segments join neighbours on one resource."""
    made = segments(task("a", 100, (0, 3), (0, 4), (1, 5), (0, 6)))
    assert [(s.resource, s.wcet_ns) for s in made] == [(0, 7), (1, 5), (0, 6)]


def test_rate_and_deadline_monotonic_order_differ():
    """Rate and deadline monotonic order differ."""
    tasks = (task("slow", 100, 1, deadline=20), task("fast", 50, 1))
    assert [t.priority for t in with_priorities(tasks, "rm")] == [1, 0]
    assert [t.priority for t in with_priorities(tasks, "dm")] == [0, 1]


def test_chunks_keep_the_work_and_fit_the_limit():
    """Chunks keep the work and fit the limit."""
    cut = chunked(taskset(task("a", 100, (0, 10, 5), 3), chunk_ns=4)).tasks[0].pieces
    assert [p.wcet_ns for p in cut] == [4, 4, 2, 3]
    assert all(1 <= p.bcet_ns <= p.wcet_ns for p in cut)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: task("a", 0, 1), "period"),
        (lambda: task("a", 10.5, 1), "whole number"),
        (lambda: task("a", 10), "no pieces"),
        (lambda: task("a", 10, (0, 2, 3)), "BCET"),
        (lambda: task("a", 10, 2, jitter_ns=10), "jitter"),
        (lambda: taskset(task("a", 10, 1), task("a", 10, 1)), "named twice"),
        (
            lambda: TaskSet(resources=(Resource(name="r"),), tasks=(task("a", 9, (1, 1)),)),
            "does not",
        ),
        (lambda: Resource(name="r", points=()), "operating point"),
        (lambda: Point(slowdown_ppm=0), "slowdown"),
        (lambda: taskset(task("a", 10, 1)).resource("r1"), "did you mean r0"),
        (lambda: with_priorities((), "rn"), "did you mean rm"),
    ],
)
def test_wrong_input_is_refused_with_its_reason(make, words):
    """Wrong input is refused with its reason."""
    with pytest.raises(InputError, match=words):
        make()
