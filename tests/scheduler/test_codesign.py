"""Co-design: what it returns fits, keeps the limits, and has the figures of any plan."""

from dataclasses import replace

import numpy as np
import pytest

from heterolith import api, boards, hw, metrics
from heterolith.errors import InfeasibleError, InputError
from heterolith.hw.area import area
from heterolith.metrics.design import build_power_w, offer
from heterolith.scheduler import Limits, Request, build_problem, solve
from heterolith.scheduler import codesign as module
from heterolith.scheduler.codesign import Goal, codesign, fpga_of, space
from heterolith.scheduler.codesign_screen import front_of, pool, screen, spread

BOARD = boards.load("ultra96-v2")
FPGA = fpga_of(BOARD)


@pytest.fixture(scope="module")
def network(cnn_path):
    """The small CNN."""
    return api.load(cnn_path)


@pytest.fixture
def few(monkeypatch):
    """Every fortieth configuration, at two clocks."""
    monkeypatch.setattr(module, "space", lambda fabric: list(space(fabric))[::40])
    return replace(
        BOARD,
        devices=tuple(
            replace(d, clocks_mhz=(99.999, 299.997)) if d.fabric else d for d in BOARD.devices
        ),
    )


def test_space_has_hundreds_of_builds_that_fit():
    """Every configuration is one the RTL elaborates and the part holds."""
    configs = list(space(FPGA.fabric))
    assert len(configs) * len(FPGA.clocks_mhz) >= 500
    assert len({config.fingerprint() for config in configs}) == len(configs)
    for config in configs[::10]:
        shares = area(config, "xcup").shares(FPGA.fabric)
        assert max(shares.values()) <= 1
        assert shares["lut"] <= module.LUT_FILL


def test_the_boards_own_build_costs_what_estimate_says(network):
    """An offer built with the board's configuration at its clock is the estimate itself."""
    made = offer(network, BOARD, FPGA)
    own = replace(hw.config(FPGA.array), clock_mhz=FPGA.mhz)
    assert build_power_w(own, FPGA, FPGA.mhz) == pytest.approx(FPGA.active_w)
    assert made.build(own) == metrics.estimate(network, BOARD)
    screened = made.screened_ns(own, (FPGA.mhz,))[0]
    assert screened == pytest.approx([row.latency_ns for row in made.rows], abs=1)


def test_pooled_placements_cost_what_the_front_says(network):
    """On the board's own build the pool holds the fastest plan and the least energy."""
    made = offer(network, BOARD, FPGA)
    rows = np.array([[row.latency_ns for row in made.rows]], float)
    found = screen(made, pool(made), (rows, np.array([FPGA.active_w])), Limits())
    for objective, value in (("latency", found.latency_ns), ("energy", found.energy_pj)):
        problem = build_problem(network, made.profile, BOARD, Request(objective=objective))
        assert value[0] == pytest.approx(solve(problem).objective, rel=0.02)


def test_points_keep_the_limits_and_none_beats_another(few, network):
    """The front: no point is matched in latency, energy and area; figures are solve's."""
    limits = Limits(deadline_ns=3_000_000, average_power_mw=4500)
    found = codesign(
        [Goal(network=network, deadline_ns=3_000_000)], few, power_mw=limits.average_power_mw
    )
    figures = np.array([[p.latency_ns, p.energy_pj, p.share] for p in found.points])
    assert len(front_of(figures)) == len(found.points) > 0
    assert found.screened >= 2 * len(list(module.space(FPGA.fabric)))
    made = offer(network, few, fpga_of(few))
    for point in found.points:
        assert point.latency_ns <= limits.deadline_ns
        assert point.energy_pj <= limits.average_power_mw * limits.deadline_ns
        request = Request(objective=point.objective, limits=limits)
        again = solve(build_problem(network, made.build(point.config), few, request))
        best = point.latency_ns if point.objective == "latency" else point.energy_pj
        assert again.objective == best


def test_several_networks_share_one_configuration(few, network):
    """Each keeps its own deadline; energies add up by weight, the longest latency counts."""
    goals = [
        Goal(network=network, deadline_ns=3_000_000, weight=2.0),
        Goal(network=network, deadline_ns=5_000_000),
    ]
    for point in codesign(goals, few).points:
        first, second = point.served
        assert first.latency_ns <= 3_000_000
        assert second.latency_ns <= 5_000_000
        assert point.energy_pj == 2 * first.energy_pj + second.energy_pj
        assert point.latency_ns == max(first.latency_ns, second.latency_ns)


def test_impossible_deadline_names_the_nearest(few, network):
    """The fastest configuration says what it reaches."""
    with pytest.raises(InfeasibleError, match=r"no configuration keeps the limits.*fastest plan"):
        codesign([Goal(network=network, deadline_ns=1000)], few)


def test_part_that_holds_nothing_is_refused(network):
    """A part too small for the least array has no configuration."""
    tiny = replace(FPGA.fabric, lut=5000)
    small = replace(
        BOARD,
        devices=tuple(replace(d, fabric=tiny) if d.fabric else d for d in BOARD.devices),
    )
    with pytest.raises(InfeasibleError, match="no configuration fits xczu3eg"):
        codesign([Goal(network=network)], small)


@pytest.mark.parametrize("name", ["jetson-tx2", "ultra96-v2+arty-a7-35t"])
def test_platform_without_exactly_one_fpga_is_refused(name, network):
    """There must be one FPGA to build in."""
    with pytest.raises(InputError, match="FPGAs; co-design needs exactly one"):
        codesign([Goal(network=network)], boards.load(name))


def test_front_of_random_points_equals_pairwise_comparison():
    """A row is kept if no other is at most as large everywhere; equals are kept once."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (200, 3)).astype(float)
    expected = {
        tuple(row) for row in values if not ((values <= row).all(1) & (values < row).any(1)).any()
    }
    assert sorted(map(tuple, values[front_of(values)])) == sorted(expected)
    assert set(spread(values, 5)) <= set(range(200))
    assert 1 <= len(spread(values, 5)) <= 5
