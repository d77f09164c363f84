from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.scheduler.adaptive import reserve
from heterolith.scheduler.adaptive.floors import Demand
from heterolith.scheduler.adaptive.reserve import Room


def make(name, period, deadline):
    """Return a task; its work stands beside it."""
    return Demand(name=name, period_ns=period, deadline_ns=deadline, layers=(((1, 0),),))


def plain(now, active, future, horizon=4000):
    """Return the least room of all by looking at every instant."""
    rooms = []
    for end in range(now, now + horizon):
        work = sum(w for d, w in active if d <= end)
        for task, w, arrival in future:
            first = max(now, arrival) + task.deadline_ns
            if end >= first:
                work += ((end - first) // task.period_ns + 1) * w
        rooms.append(end - now - work)
    return min(rooms)


active_jobs = st.lists(st.tuples(st.integers(110, 400), st.integers(0, 60)), min_size=1, max_size=4)
tasks = st.lists(
    st.tuples(st.integers(20, 300), st.floats(0.3, 1), st.floats(0.05, 0.25), st.integers(0, 500)),
    min_size=1,
    max_size=4,
)


def arrivals(made):
    """Return tasks with a utilization of at most 1."""
    return [
        (make(f"t{i}", period, max(1, int(period * part))), int(period * share), arrival)
        for i, (period, part, share, arrival) in enumerate(made)
    ]


@given(active_jobs, tasks, st.integers(0, 3), st.integers(-30, 200))
@settings(max_examples=100, deadline=None)
def test_a_change_is_borne_only_if_every_room_stays(active, made, index, grown):
    """A change is borne only if every room stays."""
    future = arrivals(made)
    deadline, work = active[index % len(active)]
    grown = max(grown, -work)
    if Room(100, active, future).bears([(deadline, grown)]):
        changed = [(d, w + grown * (i == index % len(active))) for i, (d, w) in enumerate(active)]
        assert plain(100, changed, future) >= 0


@given(active_jobs, tasks, st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_looking_at_fewer_jobs_never_allows_more(active, made, grown):
    """Looking at fewer jobs never allows more."""
    future, change = arrivals(made), [(active[0][0], grown)]
    whole = Room(100, active, future).bears(change)
    with patch.object(reserve, "JOBS", 3):
        assert whole or not Room(100, active, future).bears(change)


def test_a_job_alone_may_take_all_the_time_that_it_does_not_need():
    """A job alone may take all the time that it does not need."""
    room = Room(0, [(100, 30)], [(make("a", 100, 100), 30, 100)])
    assert room.bears([(100, 70)])
    assert not room.bears([(100, 71)])


def test_what_a_later_deadline_gives_back_is_not_spent_on_an_earlier_one():
    """What a later deadline gives back is not spent on an earlier one."""
    room = Room(0, [(50, 30), (100, 40)], [])
    assert room.bears([(50, 20), (100, -20)])
    assert not room.bears([(50, 21), (100, -40)])
