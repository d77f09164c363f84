"""From a selection to a plan: every field is that of the timeline, scaled where it says so."""

from dataclasses import replace

import pytest

from heterolith.scheduler.assemble import to_plan
from heterolith.scheduler.plan import Plan
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.solve import Solution, solve
from heterolith.scheduler.timeline import Timeline, evaluate

from .instances import random_problem


def planned(problem: Problem) -> tuple[Solution, Timeline, Plan]:
    """Return solution, timeline and plan of a problem that has one."""
    solution = solve(problem)
    assert solution is not None
    plan = to_plan(
        problem,
        solution,
        fingerprint="abc",
        platform="board+module",
        ops={task.name: f"Op{index}" for index, task in enumerate(problem.tasks)},
        sources={(t.name, d): f"{t.name}@{d}" for t in problem.tasks for d in problem.devices},
    )
    return solution, evaluate(problem, solution.selection), plan


def feasible(seed: int, objective: str = "energy", **limits: int) -> Problem:
    """Return the first random problem from a seed on that has a plan under the limits."""
    while True:
        problem = random_problem(seed, objective, Limits(**limits))
        if solve(problem) is not None:
            return problem
        seed += 1


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_those_of_the_timeline(seed: int) -> None:
    """Assignments are in task order with times, energy, operator and source; crossings follow."""
    problem = feasible(seed)
    solution, timeline, plan = planned(problem)
    assert (plan.network, plan.fingerprint, plan.platform) == (problem.name, "abc", "board+module")
    for index, (task, row) in enumerate(zip(problem.tasks, plan.assignments, strict=True)):
        choice = task.choices[solution.selection[index]]
        device = problem.devices[choice.device]
        assert (row.layer, row.op, row.device) == (task.name, f"Op{index}", device)
        assert (row.point, row.variant) == (choice.point, choice.variant)
        assert (row.start_ns, row.end_ns) == (timeline.start_ns[index], timeline.end_ns[index])
        assert (row.energy_pj, row.source) == (choice.energy_pj, f"{task.name}@{device}")
        assert len(row.alternatives) == len(task.choices) - 1
    assert len(plan.transfers) == len(timeline.crossings)
    for hop, crossing in zip(plan.transfers, timeline.crossings, strict=True):
        assert hop.tensor == problem.tensors[crossing.tensor].name
        assert hop.link == problem.links[crossing.hop.link]
        assert (hop.start_ns, hop.end_ns) == (crossing.start_ns, crossing.end_ns)
        assert (hop.bytes, hop.energy_pj) == (crossing.hop.bytes, crossing.hop.energy_pj)


@pytest.mark.parametrize(
    ("objective", "unit", "scale"),
    [("latency", "ms", 1e6), ("energy", "mJ", 1e9), ("power", "W", 1e3), ("scalenet", "1", 1.0)],
)
def test_certificates_are_in_user_units(objective: str, unit: str, scale: float) -> None:
    """Objective and bound are scaled alike; a proved optimum has no gap."""
    solution, _, plan = planned(feasible(0, objective, deadline_ns=200))
    certificate = plan.certificate
    assert certificate.unit == unit
    assert certificate.objective == solution.objective / scale
    assert certificate.lower_bound == certificate.objective
    assert certificate.gap == 0
    assert certificate.method == solution.method
    assert certificate.runtime_s == solution.runtime_s


def test_metrics_are_over_the_period() -> None:
    """With a deadline the period is the deadline; only limits that are set are listed."""
    problem = feasible(3, deadline_ns=200)
    problem = replace(problem, idle_mw=7)
    _, timeline, plan = planned(problem)
    metrics = plan.metrics
    assert plan.limits == (("deadline_ns", 200),)
    assert metrics.period_ns == 200
    assert metrics.idle_energy_pj == 1400
    assert metrics.energy_pj == 1400 + timeline.energy_pj
    assert metrics.average_power_mw == metrics.energy_pj / 200
    assert metrics.latency_ns == timeline.latency_ns
    assert metrics.peak_power_mw == timeline.peak_power_mw
    assert dict(metrics.memory_bytes) == dict(
        zip(problem.memories, timeline.memory_bytes, strict=True)
    )


def test_the_period_is_stretched_to_keep_the_average_power() -> None:
    """Without a deadline the average over the period is just below the limit."""
    problem = replace(feasible(3), idle_mw=7)
    problem = replace(problem, limits=Limits(average_power_mw=8))
    _, timeline, plan = planned(problem)
    assert plan.metrics.period_ns == max(timeline.latency_ns, timeline.energy_pj)
    assert plan.metrics.average_power_mw <= 8
