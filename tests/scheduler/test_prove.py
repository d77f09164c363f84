"""Relaxations per system of operating points, and the process that raises their bounds."""

import time
from dataclasses import replace

import numpy as np

from heterolith.scheduler.model import in_units
from heterolith.scheduler.problem import Domain, Limits, Problem
from heterolith.scheduler.solve import solve
from heterolith.scheduler.solvers.climb import Climber, Placement
from heterolith.scheduler.solvers.formulate import formulate
from heterolith.scheduler.solvers.milp import solve_milp
from heterolith.scheduler.solvers.prove import Finding
from heterolith.scheduler.solvers.relaxations import Relaxation, Relaxations

from .test_solvers import joint_problem


def with_points(seed: int) -> Problem:
    """Return three networks with two points per device: slower for less energy."""
    base = joint_problem(seed)
    tasks = tuple(
        replace(
            task,
            choices=tuple(
                replace(
                    choice,
                    point=point,
                    latency_ns=part * choice.latency_ns + 1,
                    energy_pj=choice.energy_pj // part,
                )
                for choice in task.choices
                for point, part in (("fast", 1), ("slow", 2))
            ),
        )
        for task in base.tasks
    )
    domains = tuple(Domain(name=f"d{k}", devices=(k,)) for k in range(len(base.devices)))
    free = replace(base, tasks=tasks, domains=domains, objective="energy")
    fastest = solve(replace(free, objective="latency"), time_limit_s=0.3)
    assert fastest is not None
    return replace(free, limits=Limits(deadline_ns=2 * int(fastest.objective)))


def test_bounds_by_points_hold_and_are_no_lower_than_that_of_one_program() -> None:
    """They lie between the program that chooses points and the plan that is found."""
    problem = with_points(0)
    rows = Relaxations(problem)
    assert len(rows.rows) > 1
    rows.solve(lambda: 10.0)
    whole = formulate(problem)
    assert whole is not None
    together = solve_milp(whole.program, time_limit_s=10, relaxed=True).bound
    assert rows.bound >= together * (1 - 1e-5)
    found = solve(problem, time_limit_s=0.5)
    assert found is not None
    assert whole.in_units(rows.bound) <= found.objective


def test_a_second_process_raises_bounds_and_ends_when_told() -> None:
    """No plan is below its bounds; what an integer program chose comes with them."""
    problem = with_points(0)
    rows = Relaxations(problem)
    rows.solve(lambda: 10.0)
    linear = rows.bound
    rows.start(60.0)
    try:
        found: list[tuple[Relaxation, Finding]] = []
        until_s = time.monotonic() + 60
        while not found and time.monotonic() < until_s:
            # What linear programs give comes first, without choices.
            found = [(row, finding) for row, finding in rows.news() if finding.selection]
            time.sleep(0.05)
    finally:
        rows.stop()
    assert found
    row, finding = found[0]
    assert rows.bound >= linear
    assert len(finding.selection) == len(problem.tasks)
    assert finding.bound <= row.bound
    plan = solve(problem, time_limit_s=0.5)
    assert plan is not None
    assert in_units(rows.model, rows.bound) <= plan.objective


def test_the_fastest_choices_leave_the_program_as_it_was() -> None:
    """They take no longer than those of least energy; the program's goal stays the energy."""
    problem = with_points(0)
    row = Relaxations(problem).rows[0]
    program, latency = row.formulation.program, row.formulation.latency
    before = solve_milp(program, time_limit_s=10, relaxed=True)
    fastest = row.fastest(10.0)
    assert fastest is not None
    assert len(fastest) == len(problem.tasks)
    after = solve_milp(program, time_limit_s=10, relaxed=True)
    assert after.bound == before.bound
    program.goal = latency
    assert solve_milp(program, time_limit_s=10, relaxed=True).bound <= before.values[latency] + 1e-3


def test_lateness_is_the_largest_part_of_a_deadline_that_is_used() -> None:
    """A network's own deadline counts like that of all; without any, nothing is late."""
    problem = joint_problem(0)
    found = solve(problem, time_limit_s=0.4)
    assert found is not None
    picks, order = np.array(found.selection), np.array(found.order)
    placement = Placement(picks, order, 0.0, feasible=True)
    latency_ns = int(found.objective)
    assert Climber(problem, 1.0, 0).lateness(placement) == 0.0
    late = replace(problem, limits=Limits(deadline_ns=latency_ns // 2))
    assert Climber(late, 1.0, 0).lateness(placement) == latency_ns / (latency_ns // 2)
    first = replace(late.members[0], deadline_ns=1)
    both = replace(late, members=(first, *late.members[1:]))
    assert Climber(both, 1.0, 0).lateness(placement) > 2
