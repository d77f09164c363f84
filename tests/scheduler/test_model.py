"""What the solver's numbers keep of a problem."""

from dataclasses import replace

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.model import LARGEST, build_model
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.solve import solve

from .instances import random_problem


def problem(objective: str = "energy", **limits: int) -> Problem:
    """Return a random problem with 10 mW of idle power."""
    return replace(random_problem(4, objective, Limits(**limits)), idle_mw=10)


def criteria(made: Problem, **options: str) -> list[tuple[dict[str, int], int, int]]:
    """Return form, limit and scale of every criterion."""
    model = build_model(made, **options)  # type: ignore[arg-type]
    names = ("time", *model.names)
    forms = [
        {name: factor for name, factor in zip(names, form, strict=True) if factor}
        for form in model.forms.tolist()
    ]
    return list(zip(forms, model.limits, model.scales, strict=True))


def test_only_criteria_that_can_matter_are_carried() -> None:
    """One for the value, and one per limit that some plan can break."""
    assert criteria(problem("latency")) == [({"time": 1}, LARGEST, 1)]
    assert criteria(problem("energy")) == [({"time": 10, "energy": 1}, LARGEST, 1)]
    assert criteria(problem("scalenet")) == [({"cost": 1}, LARGEST, 1)]
    assert criteria(problem("energy", deadline_ns=10**6)) == [({"energy": 1}, LARGEST, 1)]
    assert criteria(problem("energy", deadline_ns=20)) == [
        ({"energy": 1}, LARGEST, 1),
        ({"time": 1}, 20, 0),
    ]
    assert criteria(problem("latency", deadline_ns=20, average_power_mw=13)) == [
        ({"time": 1}, 20, 1),
        ({"energy": 1}, 60, 0),
    ]


def test_without_time_in_any_criterion_nothing_takes_time() -> None:
    """Timelines that cannot matter are not enumerated."""
    model = build_model(problem("scalenet"))
    assert {int(x) for options in model.options for o in options for x in o.latency_ns} == {0}


def test_choices_above_a_limit_or_beaten_on_their_device_are_dropped() -> None:
    """What remains can be part of a best feasible plan."""
    made = problem("latency", peak_power_mw=25, memory_bytes=12)
    model = build_model(made)
    for task, options in zip(made.tasks, model.options, strict=True):
        for option in options:
            choice = task.choices[option.index[0]]
            assert choice.power_mw <= 15
            assert choice.weight_bytes + made.activation_bytes <= 12
    slower = replace(made.tasks[0].choices[0], latency_ns=10**6, point="slow")
    task = replace(made.tasks[0], choices=(*made.tasks[0].choices, slower))
    model = build_model(replace(problem("latency"), tasks=(task, *made.tasks[1:])))
    assert len(task.choices) - 1 not in {option.index[0] for option in model.options[0]}


def test_totals_that_overflow_are_refused() -> None:
    """The error has the total, the bound and the remedy."""
    made = problem("energy")
    huge = replace(made.tasks[0].choices[0], energy_pj=2**62)
    task = replace(made.tasks[0], choices=(huge,))
    with pytest.raises(InputError, match=r"add up to 4\.61e\+18 .* bound is 4\.61e\+18; check"):
        solve(replace(made, tasks=(task, *made.tasks[1:])))


def test_negative_costs_are_refused() -> None:
    """The error names the task."""
    made = problem("energy")
    wrong = replace(made.tasks[0].choices[0], latency_ns=-1)
    task = replace(made.tasks[0], choices=(wrong,))
    with pytest.raises(InputError, match=r"'task0': .* below zero"):
        solve(replace(made, tasks=(task, *made.tasks[1:])))
