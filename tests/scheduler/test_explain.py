"""Alternatives of a plan, and why a request has none."""

from dataclasses import replace

import pytest

from heterolith.scheduler.explain import alternatives, explain_infeasible
from heterolith.scheduler.objective import UNITS
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.solve import solve

from .brute import best, carry_out, feasible, objective, random_limits
from .instances import random_problem

FIELDS = ("deadline_ns", "average_power_mw", "peak_power_mw", "memory_bytes")


@pytest.mark.parametrize("seed", range(60))
def test_alternatives_equal_the_plan_with_one_choice_changed(seed: int) -> None:
    """Objective and broken limits of each alternative are those of the whole changed plan."""
    kind = ("energy", "latency", "power", "scalenet")[seed % 4]
    problem = random_problem(seed, kind, random_limits(seed, ("deadline_ns", "peak_power_mw")))
    solution = solve(problem)
    if solution is None:
        return
    rows = alternatives(problem, solution.selection)
    for index, task in enumerate(problem.tasks):
        others = [k for k in range(len(task.choices)) if k != solution.selection[index]]
        assert len(rows[index]) == len(others)
        for pick, found in zip(others, rows[index], strict=True):
            changed = list(solution.selection)
            changed[index] = pick
            outcome = carry_out(problem, tuple(changed))
            if outcome is None:
                assert found.objective is None
                assert found.blocked == "no route"
                continue
            value = objective(problem, outcome) / UNITS[kind][1]
            assert found.objective == pytest.approx(value)
            assert (found.blocked == "") == feasible(problem, outcome)


def infeasible_cases() -> list[Problem]:
    """Return random problems that no plan solves under their limits, though one does without."""
    problems = []
    for seed in range(300):
        names = FIELDS[: 1 + seed % 4] if seed % 2 else (FIELDS[seed // 2 % 4],)
        problem = random_problem(seed, "latency", random_limits(seed, names))
        if best(problem) is None and best(replace(problem, limits=Limits())) is not None:
            problems.append(problem)
    return problems


def test_conflicts_are_minimal_and_nearest_values_exact() -> None:
    """Every conflict is infeasible, any part of it is feasible, and nearest values are tight."""
    problems = infeasible_cases()
    assert len(problems) > 20
    for problem in problems:
        found = explain_infeasible(problem)
        kept = {name: getattr(problem.limits, name) for name in found.conflict}
        assert best(replace(problem, limits=Limits(**kept))) is None
        for name in found.conflict:
            rest = {other: value for other, value in kept.items() if other != name}
            assert best(replace(problem, limits=Limits(**rest))) is not None
        for name, value in found.nearest:
            relaxed, tighter = {**kept, name: value}, {**kept, name: value - 1}
            assert best(replace(problem, limits=Limits(**relaxed))) is not None, (name, found)
            assert best(replace(problem, limits=Limits(**tighter))) is None, (name, found)
        assert "cannot be met" in found.message


def test_message_of_a_missed_deadline_names_layers() -> None:
    """The message has the deadline, the fastest plan and its slowest layers."""
    problem = random_problem(3, "energy", Limits(deadline_ns=1))
    message = explain_infeasible(problem).message
    assert message.startswith("deadline 1e-06 ms cannot be met: fastest plan takes")
    assert " on cpu " in message or " on gpu " in message or " on fpga " in message
