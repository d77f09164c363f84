from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.scheduler.adaptive.model import Board, SystemPoint
from heterolith.scheduler.adaptive.powerup import PPM, STEPS, pareto, tables

from .fixtures import board

rows = st.lists(
    st.tuples(st.integers(1, PPM), st.integers(1, PPM), st.integers(0, 99)), min_size=1, max_size=30
)


@given(rows)
@settings(deadline=None)
def test_no_row_of_the_front_is_beaten_and_every_other_row_is(made):
    """No row of the front is beaten and every other row is."""
    kept = pareto(made)

    def beaten(row):
        return any(o[0] >= row[0] and o[1] <= row[1] and o[:2] != row[:2] for o in made)

    assert not any(beaten(row) for row in kept)
    assert all(beaten(row) or row[:2] in {k[:2] for k in kept} for row in made)


@given(st.integers(0, 2 * PPM))
@settings(deadline=None)
def test_the_lookup_finds_the_least_power_that_is_fast_enough(need):
    """The lookup finds the least power that is fast enough."""
    made = tables(board(points=5))
    point = made.point(0, need)
    rounded = -(-need * STEPS // PPM) * PPM / STEPS
    fit = [p for p in range(5) if made.speed_ppm[0][p] >= rounded]
    power = made.power_ppm[0]
    assert point == (min(fit, key=lambda p: power[p]) if fit else 0)


def test_power_of_a_row_is_that_of_the_whole_board():
    """Power of a row is that of the whole board."""
    points = (
        SystemPoint(name="a", idle_mw=1000, active_mw=(3000,), slowdown_ppm=(PPM,)),
        SystemPoint(name="b", idle_mw=500, active_mw=(1500,), slowdown_ppm=(2 * PPM,)),
    )
    made = tables(Board(name="x", resources=("gpu",), kinds=("k",), points=points))
    assert made.power_ppm == ((PPM, PPM // 2),)
    assert made.speed_ppm == ((PPM, PPM // 2),)
    assert made.idle_ppm == ((PPM // 4, PPM // 8),)


def test_a_point_that_is_slower_for_more_power_is_never_chosen():
    """A point that is slower for more power is never chosen."""
    points = (
        SystemPoint(name="a", idle_mw=100, active_mw=(900,), slowdown_ppm=(PPM,)),
        SystemPoint(name="b", idle_mw=100, active_mw=(950,), slowdown_ppm=(PPM * 3 // 2,)),
    )
    made = tables(Board(name="x", resources=("gpu",), kinds=("k",), points=points))
    assert set(made.lookup[0]) == {0}
