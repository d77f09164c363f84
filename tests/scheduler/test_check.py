"""The checker accepts the solver's plans and catches changed ones."""

from dataclasses import replace
from random import Random

import pytest

from heterolith.scheduler.assemble import to_plan
from heterolith.scheduler.check import check
from heterolith.scheduler.plan import Plan
from heterolith.scheduler.problem import Problem
from heterolith.scheduler.solve import solve

from .brute import random_limits
from .instances import random_problem

OBJECTIVES = ("energy", "latency", "power", "scalenet")


def planned(seed: int) -> tuple[Problem, Plan] | None:
    """Return a random problem with a deadline and its plan, if it has one."""
    names = ("deadline_ns",) if seed % 3 else ("deadline_ns", "average_power_mw", "memory_bytes")
    problem = random_problem(seed, OBJECTIVES[seed % 4], random_limits(seed, names))
    solution = solve(problem)
    if solution is None:
        return None
    names_of = {task.name: "Conv" for task in problem.tasks}
    sources = {(t.name, device): "simulated" for t in problem.tasks for device in problem.devices}
    plan = to_plan(problem, solution, fingerprint="f", platform="p", ops=names_of, sources=sources)
    return problem, plan


def plans() -> list[tuple[Problem, Plan]]:
    """Return some fifty plans."""
    return [pair for seed in range(80) if (pair := planned(seed)) is not None]


def mutate(plan: Plan, rng: Random) -> Plan:
    """Return the plan with one figure changed."""
    step = rng.choice((-7, -1, 1, 3, 50))
    kind = rng.choice(("assignment", "transfer", "metrics", "certificate", "drop", "limits"))
    if kind == "assignment" or (kind == "transfer" and not plan.transfers):
        rows = list(plan.assignments)
        at = rng.randrange(len(rows))
        field = rng.choice(("start_ns", "end_ns", "energy_pj", "both"))
        if field == "both":
            moved = {"start_ns": rows[at].start_ns + step, "end_ns": rows[at].end_ns + step}
            rows[at] = replace(rows[at], **moved)
        else:
            rows[at] = replace(rows[at], **{field: getattr(rows[at], field) + step})
        return replace(plan, assignments=tuple(rows))
    if kind == "transfer":
        hops = list(plan.transfers)
        at = rng.randrange(len(hops))
        field = rng.choice(("start_ns", "end_ns", "energy_pj", "bytes"))
        hops[at] = replace(hops[at], **{field: getattr(hops[at], field) + step})
        return replace(plan, transfers=tuple(hops))
    if kind == "metrics":
        field = rng.choice(
            (
                "latency_ns",
                "period_ns",
                "energy_pj",
                "idle_energy_pj",
                "average_power_mw",
                "peak_power_mw",
            )
        )
        value = getattr(plan.metrics, field) + step
        return replace(plan, metrics=replace(plan.metrics, **{field: value}))
    if kind == "certificate":
        field, sign = rng.choice((("objective", 1), ("lower_bound", 1), ("gap", 1)))
        value = getattr(plan.certificate, field) + sign * abs(step)
        return replace(plan, certificate=replace(plan.certificate, **{field: value}))
    if kind == "drop":
        if plan.transfers and rng.random() < 0.5:
            return replace(plan, transfers=plan.transfers[1:])
        return replace(plan, assignments=plan.assignments[1:])
    name, value = plan.limits[0]
    return replace(plan, limits=((name, value + step), *plan.limits[1:]))


def test_every_plan_of_the_solver_is_sound() -> None:
    """Nothing is wrong with any plan, whatever objective and limits."""
    pairs = plans()
    assert len(pairs) > 40
    for problem, plan in pairs:
        assert check(problem, plan) == ()


@pytest.mark.parametrize("seed", range(5))
def test_every_changed_plan_is_caught(seed: int) -> None:
    """One changed figure anywhere in a plan is found."""
    rng = Random(seed)
    for problem, plan in plans():
        for _ in range(10):
            changed = mutate(plan, rng)
            assert check(problem, changed), (problem.name, changed)


def test_a_device_swap_is_caught() -> None:
    """A layer that claims another device without that device's costs is found."""
    for problem, plan in plans():
        row = plan.assignments[0]
        other = next(name for name in problem.devices if name != row.device)
        rows = (replace(row, device=other), *plan.assignments[1:])
        changed = replace(plan, assignments=rows)
        known = {
            (problem.devices[c.device], c.point, c.latency_ns, c.energy_pj)
            for c in problem.tasks[0].choices
        }
        if (other, row.point, row.end_ns - row.start_ns, row.energy_pj) not in known:
            assert any(row.layer in line for line in check(problem, changed))


def test_plan_json_round_trip() -> None:
    """A plan survives its JSON form."""
    for _, plan in plans()[:10]:
        assert Plan.from_json(plan.to_json()) == plan
