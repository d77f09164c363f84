"""Integer programs agree with dynamic programming; heuristics and joint plans are sound."""

from dataclasses import replace

import pytest

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.check import check
from heterolith.scheduler.members import together
from heterolith.scheduler.objective import broken_limits, value
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.solve import Solution, solve
from heterolith.scheduler.solvers import heuristics
from heterolith.scheduler.solvers.formulate import formulate
from heterolith.scheduler.solvers.milp import solve_milp
from heterolith.scheduler.timeline import evaluate

from .brute import random_limits
from .instances import random_points, random_problem
from .test_points import assemble

LIMITS = (
    (),
    ("deadline_ns",),
    ("energy_pj",),
    ("accuracy_loss_ppm", "deadline_ns"),
    ("memory_bytes",),
    ("deadline_ns", "memory_bytes"),
    ("period_ns",),
)


def make(seed: int) -> Problem:
    """Return a problem that the exact integer program holds."""
    objective = ("energy", "latency", "scalenet", "period")[seed % 4]
    limits = random_limits(seed, LIMITS[seed // 4 % len(LIMITS)])
    problem = (random_points if seed % 2 else random_problem)(seed, objective, limits)
    domains = tuple(replace(domain, switch_ns=None) for domain in problem.domains)
    return replace(problem, domains=domains)


@pytest.mark.parametrize("seed", range(112))
def test_integer_programs_agree_with_dynamic_programming(seed: int) -> None:
    """The exact program has the same optimum, the relaxation none above it."""
    problem = make(seed)
    expected = solve(problem)
    exact, relaxed = formulate(problem, exact=True), formulate(problem)
    if exact is None or relaxed is None:
        assert expected is None
        return
    found = solve_milp(exact.program, time_limit_s=20)
    assert found.proved
    bound = solve_milp(relaxed.program, time_limit_s=20).bound
    if expected is None:
        assert not found.values
        return
    selection = exact.selection(found.values)
    timeline = evaluate(problem, selection)
    assert broken_limits(problem, timeline) == ()
    assert value(problem, timeline) == pytest.approx(expected.objective, rel=1e-6)
    assert relaxed.in_units(bound) <= expected.objective * (1 + 1e-5) + 1e-3


@pytest.mark.parametrize("seed", range(0, 112, 4))
def test_cp_sat_agrees_with_dynamic_programming(seed: int) -> None:
    """A second solver of another kind finds the same optimum."""
    pytest.importorskip("ortools")
    from heterolith.scheduler.solvers.cpsat import solve_cpsat

    problem = make(seed + seed // 4 % 4)
    expected, exact = solve(problem), formulate(problem, exact=True)
    if exact is None:
        assert expected is None
        return
    found = solve_cpsat(exact.program, time_limit_s=20, workers=1)
    assert found.proved
    if expected is None:
        assert not found.values
        return
    timeline = evaluate(problem, exact.selection(found.values))
    assert value(problem, timeline) == pytest.approx(expected.objective, rel=1e-6)


def test_what_the_exact_program_cannot_hold_is_refused() -> None:
    """The message names it."""
    with pytest.raises(InputError, match="peak-power"):
        formulate(random_problem(1, "energy", Limits(peak_power_mw=50)), exact=True)


@pytest.mark.parametrize("seed", range(40))
def test_heuristics_are_feasible_plans_and_never_beat_the_optimum(seed: int) -> None:
    """In the network's own order nothing is below the proved optimum."""
    problem = random_points(seed, "energy", Limits(deadline_ns=150))
    problem = replace(problem, domains=tuple(replace(d, switch_ns=None) for d in problem.domains))
    best = solve(problem)
    found = [
        heuristics.heft(problem),
        heuristics.heft(problem, optimistic=True),
        heuristics.greedy(problem),
        heuristics.best_single(problem),
        heuristics.largest_subgraph(problem),
    ]
    for row in filter(None, found):
        if row.objective is None:
            assert row.broken
        elif not row.order:
            assert best is not None
            assert best.objective <= row.objective


def joint_problem(seed: int) -> Problem:
    """Return three small networks on one platform."""
    parts = [
        random_problem(number) for number in range(200) if len(random_problem(number).tasks) > 2
    ]
    base = parts[seed]
    alike = [
        replace(p, home=base.home, idle_mw=base.idle_mw, memory_capacity_bytes=(10**6, 10**6))
        for p in (base, parts[seed + 1], parts[seed + 2])
    ]
    return together(alike, objective="latency")


@pytest.mark.parametrize("seed", range(8))
def test_a_joint_plan_passes_the_checker_and_its_bound_holds(seed: int) -> None:
    """Whatever its order of dispatch, the checker recomputes every figure."""
    problem = joint_problem(seed)
    try:
        found = solve(problem, time_limit_s=0.4)
    except InfeasibleError:  # a network whose tensors cannot travel
        return
    if found is None:
        return
    assert found.lower_bound <= found.objective
    plan = assemble(problem, found)
    assert check(problem, plan) == ()
    late = replace(plan, members=tuple((name, at + 1) for name, at in plan.members))
    assert any("recomputed" in text for text in check(problem, late))


def test_a_joint_deadline_is_kept() -> None:
    """Each network ends by its own deadline."""
    free = joint_problem(0)
    fast = solve(free, time_limit_s=0.4)
    assert isinstance(fast, Solution)
    members = tuple(replace(member, deadline_ns=2 * int(fast.objective)) for member in free.members)
    problem = replace(free, members=members, objective="energy")
    found = solve(problem, time_limit_s=0.4)
    assert found is not None
    plan = assemble(problem, found)
    assert all(at <= 2 * fast.objective for _, at in plan.members)


def test_networks_of_different_platforms_are_refused() -> None:
    """The message names what differs."""
    one = random_problem(1)
    with pytest.raises(InputError, match="differ in idle_mw"):
        together([one, replace(one, idle_mw=one.idle_mw + 1)])
