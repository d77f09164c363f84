"""The solver against brute force, and at the size of real networks."""

from random import Random

import pytest

from heterolith.errors import InfeasibleError
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.solve import solve
from heterolith.scheduler.timeline import evaluate

from .brute import best, carry_out, random_limits
from .instances import random_problem

LIMIT_SETS = (
    (),
    ("deadline_ns",),
    ("average_power_mw",),
    ("deadline_ns", "average_power_mw"),
    ("peak_power_mw",),
    ("memory_bytes",),
    ("deadline_ns", "peak_power_mw"),
    ("deadline_ns", "average_power_mw", "peak_power_mw", "memory_bytes"),
)


def cases() -> list[tuple[int, str, tuple[str, ...]]]:
    """Return seed, objective and limits of 208 instances, every combination several times."""
    rows = []
    for seed in range(208):
        objective = ("energy", "latency", "power", "scalenet")[seed % 4]
        names = LIMIT_SETS[seed // 4 % len(LIMIT_SETS)]
        if objective == "power" and "deadline_ns" not in names:
            names = ("deadline_ns", *names)
        rows.append((seed, objective, names))
    return rows


def make(seed: int, objective: str, names: tuple[str, ...]) -> Problem:
    """Return the random problem of a case."""
    return random_problem(seed, objective, random_limits(seed, names))


@pytest.mark.parametrize(("seed", "objective", "names"), cases())
def test_equals_brute_force(seed: int, objective: str, names: tuple[str, ...]) -> None:
    """The least objective over all placements is found and proved, or none exists."""
    problem = make(seed, objective, names)
    expected = best(problem)
    found = solve(problem)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found.objective == pytest.approx(expected, rel=1e-12)
    assert found.lower_bound == found.objective
    assert found.gap == 0


def test_the_cases_are_neither_all_feasible_nor_all_hopeless() -> None:
    """Among the random cases there are at least 20 infeasible and 100 feasible ones."""
    feasible = [best(make(*case)) is not None for case in cases()]
    assert feasible.count(True) >= 100
    assert feasible.count(False) >= 20


@pytest.mark.parametrize("seed", range(40))
def test_timeline_equals_the_plain_execution_model(seed: int) -> None:
    """Latency, energy, peak, memory and cost of random selections agree with the oracle."""
    problem, rng = random_problem(seed), Random(seed)
    for _ in range(10):
        selection = tuple(rng.randrange(len(task.choices)) for task in problem.tasks)
        expected = carry_out(problem, selection)
        if expected is None:
            continue
        timeline = evaluate(problem, selection)
        assert timeline.latency_ns == expected.latency_ns
        assert timeline.energy_pj == expected.energy_pj
        assert timeline.peak_power_mw == expected.peak_mw
        assert timeline.memory_bytes == expected.memory
        assert timeline.cost == pytest.approx(expected.cost)


def test_no_time_still_gives_a_plan_with_a_valid_bound() -> None:
    """With no time left the answer is a plan or a refusal; its bound never exceeds the optimum."""
    for seed in range(30):
        problem = random_problem(seed, "energy", Limits(deadline_ns=120))
        expected = best(problem)
        try:
            found = solve(problem, time_limit_s=0.0)
        except InfeasibleError:
            continue
        if found is None:
            assert expected is None
            continue
        assert expected is not None
        assert found.lower_bound <= expected <= found.objective
