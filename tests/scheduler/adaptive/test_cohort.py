from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.scheduler.adaptive.cohort import (
    BEYOND,
    MODES,
    Choice,
    Member,
    Situation,
    choices,
    decide,
    degree_for,
    lag_ns,
    mode,
    needs,
    safe,
    slacks,
)
from heterolith.scheduler.adaptive.floors import sub_deadlines
from heterolith.scheduler.adaptive.powerup import PPM, tables

from .fixtures import board

TABLES = tables(board(points=4))
times = st.lists(st.integers(1, 10**6), min_size=1, max_size=8)


def member(left, exact, deepest=None, options=None):
    """Return a member whose next layer is all of its work, unless given."""
    options = options or (exact, deepest or exact)
    return Member(left, exact, deepest or exact, 0, tuple(options))


def situation(*members, **fields):
    """Return a situation on the toy board."""
    return Situation(tables=TABLES, members=members, **fields)


@given(times, st.integers(1, 10**9), st.integers(0, 10**9))
@settings(deadline=None)
def test_lag_is_positive_exactly_if_the_network_is_ahead(work, deadline, elapsed):
    """LAG is positive exactly if the network is ahead."""
    shares = sub_deadlines(deadline, work)
    for done, ideal in enumerate([0, *accumulate(shares)]):
        ahead = lag_ns(shares, done, elapsed)
        assert (ahead > 0) == (elapsed < ideal)
        assert ahead == ideal - elapsed


@given(times, st.integers(1, 10**9), st.integers(0, 10**9), st.integers(1, 10**6))
@settings(deadline=None)
def test_lag_falls_with_time_and_rises_with_work_done(work, deadline, elapsed, later):
    """LAG falls with time and rises with work done."""
    shares = sub_deadlines(deadline, work)
    lags = [lag_ns(shares, done, elapsed) for done in range(len(work) + 1)]
    assert lags == sorted(lags)
    assert lag_ns(shares, 1, elapsed + later) == lags[1] - later


@given(times, st.integers(1, 10**9), st.integers(0, 10**9))
@settings(deadline=None)
def test_shares_left_and_lag_are_the_time_to_the_deadline(work, deadline, elapsed):
    """Shares left and LAG are the time to the deadline."""
    shares = sub_deadlines(deadline, work)
    for done in range(len(work) + 1):
        assert sum(shares[done:]) + lag_ns(shares, done, elapsed) == deadline - elapsed


def test_a_network_on_schedule_at_half_load_needs_half_the_speed():
    """A network on schedule at half load needs half the speed."""
    assert needs(situation(member(200, 100))) == [PPM // 2]


def test_being_late_never_lowers_the_need():
    """Being late never lowers the need."""
    found = [needs(situation(member(left, 100)))[0] for left in range(300, 0, -10)]
    assert found == sorted(found)
    assert needs(situation(member(0, 100))) == [BEYOND]


def test_an_earlier_deadline_carries_the_need_of_a_later_one():
    """An earlier deadline carries the need of a later one."""
    assert needs(situation(member(400, 100), member(500, 400))) == [PPM, PPM]
    assert needs(situation(member(100, 50), member(500, 100))) == [PPM // 2, 300_000]


def test_work_that_will_arrive_counts_by_its_deadline():
    """Work that will arrive counts by its deadline."""
    base = (member(100, 50), member(400, 50))
    assert needs(situation(*base, due=((300, 100, 100),))) == [PPM // 2, PPM // 2]
    assert needs(situation(*base, due=((401, 100, 100),))) == [PPM // 2, PPM // 4]


def test_time_lost_to_a_change_of_the_point_raises_the_need():
    """Time lost to a change of the point raises the need."""
    assert needs(situation(member(300, 100)), 100) == [PPM // 2]


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=4), st.integers(1, 4 * PPM))
@settings(deadline=None)
def test_the_degree_is_the_first_that_is_fast_enough(options, need):
    """The degree is the first that is fast enough."""
    options = sorted(options, reverse=True)
    found = degree_for(options, need)
    enough = [d for d, t in enumerate(options) if t * need <= options[0] * PPM]
    assert found == (enough[0] if enough else len(options) - 1)


def test_one_network_alone_leaves_no_choice():
    """One network alone leaves no choice."""
    at = situation(member(200, 100))
    assert len(choices(at)) == 1
    assert len({decide(at, rule) for rule in MODES.values()}) == 1


def test_modes_order_power_and_need():
    """Modes order power and need."""
    at = situation(
        member(300, 100, 40), member(310, 120, 40), member(1000, 100, 40), member(4000, 100, 40)
    )
    points = {name: decide(at, rule)[0] for name, rule in MODES.items()}
    power = TABLES.power_ppm[0]
    assert power[points["min-energy"]] < power[points["max-accuracy"]]
    for name in ("balanced", "balanced-norm"):
        low, high = points["min-energy"], points["max-accuracy"]
        assert power[low] <= power[points[name]] <= power[high]


def test_regression_takes_the_point_below_the_line_and_norm_the_nearest():
    """Regression takes the point below the line and norm the nearest."""
    found = [
        Choice(point=p, power_ppm=x, needs_ppm=y, excess_ppm=y, degree=0)
        for p, (x, y) in enumerate([(100, 900), (300, 200), (600, 150), (900, 0)])
    ]
    assert MODES["balanced"](found).point == 1
    assert MODES["balanced-norm"](found).point == 1
    assert MODES["min-energy"](found).point == 0
    assert MODES["max-accuracy"](found).point == 3


def test_of_two_points_regression_takes_the_nearest_like_the_norm():
    """Every line through two points leaves no residual."""
    found = [
        Choice(point=p, power_ppm=x, needs_ppm=y, excess_ppm=y, degree=0)
        for p, (x, y) in enumerate([(800, 900), (900, 100)])
    ]
    assert MODES["balanced"](found).point == MODES["balanced-norm"](found).point == 1
    assert MODES["min-energy"](found).point == 0


def test_a_change_pays_only_until_the_deadline_of_the_one_that_runs():
    """What a slower point would save after that is for others to decide."""
    short, long = member(200, 100), member(100_000, 100)
    slow = decide(situation(short, long, switch_ns=0), mode("min-energy"))[0]
    assert slow > 0
    assert decide(situation(short, long, switch_ns=60), mode("min-energy"))[0] == 0


def test_no_choice_leaves_a_deadline_out_of_reach():
    """No choice leaves a deadline out of reach."""
    # the slow point that suffices for the first would take the second's last chance
    at = situation(member(400, 100), member(180, 90, 80), due=())
    point, degree = decide(at, mode("min-energy"))
    assert safe(at, slacks(at), point, degree)
    assert point == 0


def test_if_nothing_is_safe_the_fastest_point_and_the_deepest_degree_are_taken():
    """If nothing is safe the fastest point and the deepest degree are taken."""
    assert decide(situation(member(30, 100, 50), point=3), mode("balanced")) == (0, 1)


def test_a_change_that_costs_more_than_it_saves_is_not_made():
    """A change that costs more than it saves is not made."""
    ample = member(10_000, 100)
    assert decide(situation(ample, switch_ns=0), mode("min-energy"))[0] == 3
    assert decide(situation(ample, switch_ns=5000), mode("min-energy"))[0] == 0


def test_an_unknown_mode_is_refused_with_near_names():
    """An unknown mode is refused with near names."""
    with pytest.raises(InputError, match="unknown NeuOS mode 'min-enrgy'; did you mean min-energy"):
        mode("min-enrgy")
