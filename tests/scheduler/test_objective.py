"""Objectives, periods and limits from totals."""

from dataclasses import replace

import pytest

from heterolith.scheduler.objective import broken_limits, period_ns, value
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.timeline import Totals

from .instances import random_problem

FIGURES = Totals(latency_ns=100, energy_pj=700, cost=2.5, peak_power_mw=40, memory_bytes=(30, 60))


def problem(objective: str = "energy", **limits: int) -> Problem:
    """Return a problem with 10 mW of idle power."""
    made = random_problem(0, "energy", Limits(**limits))
    return replace(made, idle_mw=10, objective=objective)


def test_values_of_the_four_objectives() -> None:
    """The window is the latency, or the deadline if there is one."""
    assert value(problem("latency"), FIGURES) == 100
    assert value(problem("energy"), FIGURES) == 10 * 100 + 700
    assert value(problem("energy", deadline_ns=250), FIGURES) == 10 * 250 + 700
    assert value(problem("power", deadline_ns=200), FIGURES) == 10 + 700 / 200
    assert value(problem("scalenet"), FIGURES) == 2.5


def test_idling_stretches_the_period_to_keep_the_average() -> None:
    """700 pJ at 3 mW above idle take 234 ns; a deadline fixes the period instead."""
    assert period_ns(problem(), FIGURES) == 100
    assert period_ns(problem(average_power_mw=13), FIGURES) == 234
    assert period_ns(problem(average_power_mw=90), FIGURES) == 100
    assert period_ns(problem(average_power_mw=13, deadline_ns=150), FIGURES) == 150


@pytest.mark.parametrize(
    ("limits", "broken"),
    [
        ({}, ()),
        ({"deadline_ns": 100}, ()),
        ({"deadline_ns": 99}, ("deadline_ns",)),
        ({"deadline_ns": 100, "average_power_mw": 17}, ()),
        ({"deadline_ns": 100, "average_power_mw": 16}, ("average_power_mw",)),
        ({"average_power_mw": 11}, ()),
        ({"average_power_mw": 10}, ("average_power_mw",)),
        ({"average_power_mw": 9}, ("average_power_mw",)),
        ({"peak_power_mw": 40}, ()),
        ({"peak_power_mw": 39}, ("peak_power_mw",)),
        ({"memory_bytes": 60}, ()),
        ({"memory_bytes": 59}, ("memory_bytes",)),
        ({"deadline_ns": 1, "memory_bytes": 1}, ("deadline_ns", "memory_bytes")),
    ],
)
def test_limits_are_inclusive(limits: dict[str, int], broken: tuple[str, ...]) -> None:
    """A figure may equal its limit; one more breaks it."""
    assert broken_limits(problem(**limits), FIGURES) == broken


def test_a_full_memory_domain_is_a_limit_of_its_own() -> None:
    """Capacity holds without any request."""
    small = replace(problem(), memory_capacity_bytes=(1000, 59))
    assert broken_limits(small, FIGURES) == ("memory_capacity_bytes",)


def test_idle_power_alone_keeps_a_limit_it_equals() -> None:
    """Without dynamic energy the average is the idle power."""
    still = replace(FIGURES, energy_pj=0)
    assert broken_limits(problem(average_power_mw=10), still) == ()
    assert broken_limits(problem(average_power_mw=9), still) == ("average_power_mw",)
