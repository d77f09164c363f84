"""Operating points, streaming, energy budgets and accuracy: solver, timeline and checker agree."""

from dataclasses import replace
from random import Random

import pytest

from heterolith.errors import InputError
from heterolith.scheduler import modesearch
from heterolith.scheduler.assemble import to_plan
from heterolith.scheduler.check import check
from heterolith.scheduler.explain import explain_infeasible
from heterolith.scheduler.plan import Plan
from heterolith.scheduler.problem import Domain, Limits, Problem
from heterolith.scheduler.solve import Solution, solve
from heterolith.scheduler.timeline import PointsError, UnreachableError, evaluate

from .brute import best, carry_out, random_limits
from .instances import random_points

LIMITS = (
    (),
    ("deadline_ns",),
    ("period_ns",),
    ("energy_pj",),
    ("accuracy_loss_ppm",),
    ("deadline_ns", "accuracy_loss_ppm"),
    ("deadline_ns", "energy_pj"),
    ("period_ns", "average_power_mw"),
    ("period_ns", "energy_pj", "memory_bytes"),
    ("deadline_ns", "peak_power_mw"),
)
OBJECTIVES = ("energy", "latency", "period", "scalenet", "power")


def make(seed: int) -> Problem:
    """Return the problem of a seed; every combination of objective and limits comes up."""
    names = LIMITS[seed // 5 % len(LIMITS)]
    objective = OBJECTIVES[seed % 5]
    if objective == "power" and not {"deadline_ns", "period_ns"} & set(names):
        names = ("deadline_ns", *names)
    return random_points(seed, objective, random_limits(seed, names))


def assemble(problem: Problem, solution: Solution) -> Plan:
    """Return the plan of a solution."""
    return to_plan(
        problem,
        solution,
        fingerprint="x",
        platform="p",
        ops={task.name: "Conv" for task in problem.tasks},
        sources={
            (t.name, problem.devices[c.device]): "s" for t in problem.tasks for c in t.choices
        },
    )


@pytest.mark.parametrize("seed", range(500))
def test_equals_brute_force_and_passes_the_checker(seed: int) -> None:
    """The least objective is found and proved, and the plan that has it is sound."""
    problem = make(seed)
    expected, found = best(problem), solve(problem)
    if expected is None:
        assert found is None
        return
    assert found is not None
    # The integer program, which streaming problems go to, is exact to a relative 1e-6.
    slack = 3e-6 if found.method.startswith("integer program") else 0
    assert found.objective == pytest.approx(expected, rel=max(slack, 1e-12))
    assert found.gap <= slack
    assert check(problem, assemble(problem, found)) == ()


@pytest.mark.parametrize("seed", range(0, 500, 3))
def test_modes_searched_block_by_block_give_the_optimum(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Modes that bounds of paths rule out, and the order of the others, change nothing."""
    monkeypatch.setattr(modesearch, "BLOCK", 1 + seed % 3)
    test_equals_brute_force_and_passes_the_checker(seed)


def test_the_cases_are_neither_all_feasible_nor_all_alike() -> None:
    """Infeasible ones, changes of points, and both kinds of domain are among them."""
    solved = [(problem, solve(problem)) for problem in map(make, range(0, 500, 3))]
    plans = [evaluate(problem, found.selection) for problem, found in solved if found]
    assert 20 < len(plans) < len(solved) - 10
    assert sum(bool(plan.changes) for plan in plans) >= 3


@pytest.mark.parametrize("seed", range(60))
def test_timeline_equals_the_plain_execution_model(seed: int) -> None:
    """Latency, energy, loads and losses of random selections agree with the oracle."""
    problem, rng = make(seed), Random(seed)
    for _ in range(10):
        selection = tuple(rng.randrange(len(task.choices)) for task in problem.tasks)
        expected = carry_out(problem, selection)
        try:
            timeline = evaluate(problem, selection)
        except (PointsError, UnreachableError):
            assert expected is None
            continue
        assert expected is not None
        assert timeline.latency_ns == expected.latency_ns
        assert timeline.energy_pj == expected.energy_pj
        assert max(timeline.loads_ns) == max(expected.loads)
        assert timeline.accuracy_loss_ppm == expected.loss_ppm


def test_the_checker_rejects_a_plan_that_leaves_out_a_change() -> None:
    """A change of points without its time and energy is a violation."""
    for seed in range(500):
        problem = make(seed)
        found = solve(problem)
        if found is not None and evaluate(problem, found.selection).changes:
            plan = assemble(problem, found)
            assert any("changes" in text for text in check(problem, replace(plan, changes=())))
            moved = replace(plan.changes[0], end_ns=plan.changes[0].end_ns + 1)
            broken = replace(plan, changes=(moved, *plan.changes[1:]))
            assert any("not as it must be" in text for text in check(problem, broken))
            return
    pytest.fail("no plan changes points")


def test_contradictory_limits_are_refused() -> None:
    """Each message names the values and what to give instead."""
    with pytest.raises(InputError, match="deadline 9 ns is longer than the period 5 ns"):
        Limits(deadline_ns=9, period_ns=5)
    with pytest.raises(InputError, match="peak-power limit with a period"):
        Limits(peak_power_mw=9, period_ns=5)
    with pytest.raises(InputError, match="energy_pj is nan"):
        Limits(energy_pj=float("nan"))  # type: ignore[arg-type]


def test_domains_with_a_device_twice_or_unknown_are_refused() -> None:
    """The message names the problem."""
    problem = random_points(0)
    for domains in ((Domain(name="a", devices=(0, 0)),), (Domain(name="a", devices=(9,)),)):
        with pytest.raises(InputError, match="hold a device twice or an unknown one"):
            replace(problem, domains=domains)


def test_a_choice_that_is_not_a_number_is_refused() -> None:
    """NaN as a cost never reaches the solver."""
    problem = random_points(1, "scalenet")
    wrong = replace(problem.tasks[0].choices[0], cost=float("nan"))
    task = replace(problem.tasks[0], choices=(wrong,))
    with pytest.raises(InputError, match="cost is nan"):
        solve(replace(problem, tasks=(task, *problem.tasks[1:])))


def test_a_graph_with_a_cycle_is_refused() -> None:
    """A task that reads what it makes itself is named."""
    problem = random_points(2)
    task = replace(problem.tasks[0], inputs=problem.tasks[0].outputs)
    with pytest.raises(InputError, match="cycle"):
        replace(problem, tasks=(task, *problem.tasks[1:]))


@pytest.mark.parametrize("name", ["period_ns", "energy_pj", "accuracy_loss_ppm"])
def test_the_nearest_feasible_value_of_a_limit_is_exact(name: str) -> None:
    """What the explanation names is feasible, one less is not."""
    checked = 0
    for seed in range(200):
        free = replace(random_points(seed), limits=Limits())
        problem = replace(free, limits=Limits(**{name: 0}))
        if best(free) is None or best(problem) is not None:
            continue
        ((conflict, amount),) = explain_infeasible(problem).nearest
        assert conflict == name
        assert best(replace(free, limits=Limits(**{name: amount}))) is not None
        assert best(replace(free, limits=Limits(**{name: amount - 1}))) is None
        checked += 1
        if checked == 15:
            return
    pytest.fail("too few infeasible problems")
