"""The front against brute force; planning anew from it against solving anew."""

from dataclasses import replace
from itertools import product

import pytest

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.front import front
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.replan import cache, replan, without
from heterolith.scheduler.solve import solve
from heterolith.scheduler.timeline import evaluate

from .brute import carry_out, feasible
from .instances import random_points, random_problem


def brute_front(problem: Problem, accuracy: bool) -> set[tuple[int, ...]]:
    """Return the nondominated (latency, energy, loss) of all selections."""
    figures = set()
    for selection in product(*(range(len(task.choices)) for task in problem.tasks)):
        outcome = carry_out(problem, selection)
        if outcome is not None and feasible(problem, outcome):
            loss = (outcome.loss_ppm,) if accuracy else ()
            figures.add((outcome.latency_ns, outcome.energy_pj, *loss))
    return {
        row
        for row in figures
        if not any(
            other != row and all(a <= b for a, b in zip(other, row, strict=True))
            for other in figures
        )
    }


@pytest.mark.parametrize("accuracy", [False, True])
@pytest.mark.parametrize("seed", range(150))
def test_front_equals_brute_force(seed: int, accuracy: bool) -> None:
    """Every nondominated combination is there, nothing else, and each has a plan."""
    problem = random_points(seed) if seed % 3 else random_problem(seed)
    if seed % 2:
        problem = replace(problem, limits=Limits(memory_bytes=40))
    expected = brute_front(problem, accuracy)
    try:
        found = front(problem, accuracy=accuracy)
    except InfeasibleError:
        assert not expected
        return
    columns = [found.latency_ns, found.energy_pj, *([found.accuracy_loss_ppm] if accuracy else [])]
    assert set(zip(*(column.tolist() for column in columns), strict=True)) == expected
    assert len(found) == len(expected)
    assert found.complete
    for point in range(len(found)):
        timeline = evaluate(problem, found.selection(point))
        assert (timeline.latency_ns, timeline.energy_pj) == (
            found.latency_ns[point],
            found.energy_pj[point],
        )


@pytest.mark.parametrize("seed", range(150))
def test_front_of_modules_called_long_equals_brute_force(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost where modules are pruned by plans from narrow tables."""
    monkeypatch.setattr("heterolith.scheduler.front.LONG", 0)
    monkeypatch.setattr("heterolith.scheduler.front.NARROW", 0)
    monkeypatch.setattr("heterolith.scheduler.search.NARROWEST", 1 + seed % 5)
    test_front_equals_brute_force(seed, accuracy=False)


@pytest.mark.parametrize("seed", range(60))
def test_replanning_equals_solving_anew(seed: int) -> None:
    """For any deadline, power cap and lost device the energy is that of a new solution."""
    problem = replace(random_points(seed), limits=Limits())
    cached = cache(problem, peaks=True)
    for lost, deadline, cap in product(((), (1,), (2,)), (20, 60, 200), (None, 8, 30)):
        if set(lost) & {problem.home}:
            continue
        limits = Limits(deadline_ns=deadline, average_power_mw=cap)
        left = without(problem, lost)
        expected = None if left is None else solve(replace(left, limits=limits))
        found = replan(cached, limits, lost)
        if expected is None:
            assert found is None
            continue
        assert found is not None
        timeline = evaluate(*found)
        assert timeline.latency_ns <= deadline
        assert problem.idle_mw * deadline + timeline.energy_pj == expected.objective


def test_replanning_under_a_peak_cap_keeps_it() -> None:
    """The plan's peak power is within the cap, or there is none."""
    for seed in range(40):
        problem = random_points(seed)
        found = replan(cache(problem, peaks=True), Limits(peak_power_mw=30))
        if found is not None:
            assert evaluate(*found).peak_power_mw <= 30


def test_what_a_front_does_not_span_is_refused() -> None:
    """The message says what to do instead."""
    cached = cache(random_points(3))
    with pytest.raises(InputError, match="solve anew"):
        replan(cached, Limits(period_ns=5))
    with pytest.raises(InputError, match="cache more losses"):
        replan(cached, Limits(), lost=(0, 1, 2))
    with pytest.raises(InputError, match="peaks=True"):
        replan(cached, Limits(peak_power_mw=5))
