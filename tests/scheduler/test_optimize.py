"""The paths of the search that small problems do not reach by themselves."""

from dataclasses import replace
from importlib import import_module

import pytest

from heterolith.errors import InfeasibleError
from heterolith.scheduler import chain, optimize, pareto, search
from heterolith.scheduler.model import FULL
from heterolith.scheduler.objective import broken_limits
from heterolith.scheduler.problem import Problem
from heterolith.scheduler.solve import minimise, solve
from heterolith.scheduler.timeline import evaluate

from .brute import best, random_limits
from .instances import random_problem

# The package has a function of the same name.
solver = import_module("heterolith.scheduler.solve")

OBJECTIVES = ("energy", "latency", "power", "scalenet")
LIMIT_SETS = (
    ("deadline_ns",),
    ("deadline_ns", "average_power_mw"),
    ("deadline_ns", "peak_power_mw"),
    ("deadline_ns", "memory_bytes"),
    ("deadline_ns", "average_power_mw", "peak_power_mw", "memory_bytes"),
)


def problem_of(seed: int) -> Problem:
    """Return a random problem under some limits; every third one has none."""
    names = LIMIT_SETS[seed % len(LIMIT_SETS)]
    objective = OBJECTIVES[seed // 3 % 4]
    if seed % 3 == 0 and objective != "power":
        names = names[1:]
    return random_problem(seed + 1000, objective, random_limits(seed, names))


@pytest.fixture
def hard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat every module as one that needs bounds, narrow tables and dominance."""
    monkeypatch.setattr(optimize, "EASY", 0)
    monkeypatch.setattr(search, "NARROWEST", 3)
    monkeypatch.setattr(search, "FEW", 1)
    monkeypatch.setattr(pareto, "SMALL", 4)


@pytest.fixture
def starved(hard: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no effort, so that tables and labels stay narrow."""
    monkeypatch.setattr(optimize, "EFFORT", 1)
    monkeypatch.setattr(optimize, "LABELS", 1)
    monkeypatch.setattr(chain, "FEWEST", 2)
    monkeypatch.setattr(search, "NARROWEST", 2)


@pytest.mark.usefixtures("hard")
@pytest.mark.parametrize("early", [0, optimize.EARLY])
@pytest.mark.parametrize("seed", range(150))
def test_bounded_search_equals_brute_force(
    seed: int, early: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Narrow, sharpened (only without early cells) and widened tables give the proved optimum."""
    monkeypatch.setattr(optimize, "EARLY", early)
    problem = problem_of(seed)
    expected, found = best(problem), solve(problem)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found.objective == pytest.approx(expected, rel=1e-9)
    assert found.gap == 0


@pytest.mark.usefixtures("starved")
def test_narrow_tables_leave_a_valid_bound() -> None:
    """The objective is never better than the optimum, the lower bound never worse."""
    gaps = unproved = 0
    for seed in range(500):
        problem = problem_of(seed)
        expected = best(problem)
        try:
            found = solve(problem)
        except InfeasibleError:
            unproved += 1
            continue
        if found is None:
            assert expected is None
            continue
        assert expected is not None
        assert found.lower_bound <= expected * (1 + 1e-9)
        assert found.objective >= expected * (1 - 1e-9)
        assert found.method.startswith("beam") == (found.gap > 0)
        gaps += found.gap > 0
    assert gaps > 10
    assert unproved < 50


@pytest.mark.parametrize("seed", range(60))
def test_least_memory_equals_brute_force(seed: int) -> None:
    """The aim ``memory`` finds the smallest largest domain."""
    problem = random_problem(seed, "latency")
    found = minimise(problem, aim="memory")
    if best(problem) is None:
        assert found is None
        return
    assert found is not None
    use = max(evaluate(problem, found.selection).memory_bytes)
    for room, feasible in ((use, True), (use - 1, False)):
        limits = replace(problem.limits, memory_bytes=room)
        assert (best(replace(problem, limits=limits)) is not None) == feasible


def test_an_interrupt_returns_the_best_plan_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of the search yields a feasible plan with a valid bound."""

    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(optimize.Optimizer, "_compose", interrupted)
    problem = random_problem(5, "latency")
    expected, found = best(problem), solve(problem)
    assert found is not None
    assert expected is not None
    assert found.method.startswith("interrupted")
    assert found.lower_bound <= expected <= found.objective


def test_an_interrupt_without_a_plan_is_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is known yet Ctrl-C passes through."""

    def interrupted(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(optimize.Optimizer, "run", interrupted)
    infeasible = random_problem(5, "latency", random_limits(5, ("deadline_ns",)))
    with pytest.raises(KeyboardInterrupt):
        solve(replace(infeasible, limits=replace(infeasible.limits, deadline_ns=1)))


@pytest.mark.parametrize("seed", range(80))
def test_the_nearest_plan_to_the_limits_tells_whether_they_can_be_kept(seed: int) -> None:
    """The aim ``limits`` stays within them if and only if some plan keeps them."""
    names = ("deadline_ns", "average_power_mw", "memory_bytes")[: 1 + seed % 3]
    problem = random_problem(seed, "latency", random_limits(seed, names))
    found = solver._attempt(problem, "limits", lambda: False, concurrent=False)
    if best(problem) is None:
        assert found is None or found.lower_bound > FULL
    else:
        assert found is not None
        assert found.value <= FULL
        assert not broken_limits(problem, evaluate(problem, found.selection))


@pytest.mark.parametrize("seed", range(60))
def test_a_search_that_finds_nothing_looks_for_any_plan(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the first search neither finds a plan nor rules one out, the nearest plan decides."""
    monkeypatch.setattr(solver, "_seed", lambda model: optimize.Incumbent())
    whole = optimize.Optimizer.run
    searched: list[str] = []

    def first_in_vain(self: optimize.Optimizer) -> float:
        searched.append(self.model.aim)
        return 0.0 if searched == ["objective"] else whole(self)

    monkeypatch.setattr(optimize.Optimizer, "run", first_in_vain)
    problem = problem_of(seed)
    expected, found = best(problem), solve(problem)
    assert (found is None) == (expected is None)
    if found is not None:
        assert searched[:3] == ["objective", "limits", "objective"]
        assert found.objective == pytest.approx(expected, rel=1e-9)


def test_a_search_in_vain_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that is neither found nor ruled out is an error of its own."""
    monkeypatch.setattr(solver, "_seed", lambda model: optimize.Incumbent())
    monkeypatch.setattr(optimize.Optimizer, "run", lambda self: 0.0)
    with pytest.raises(InfeasibleError, match="was found, nor ruled out; relax a limit"):
        solve(random_problem(5, "latency"))
