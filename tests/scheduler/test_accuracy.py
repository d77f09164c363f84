"""Several variants per layer and device under an accuracy floor: exact, whatever else binds."""

from dataclasses import replace
from random import Random

import pytest

from heterolith.scheduler.objective import broken_limits
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.solve import solve
from heterolith.scheduler.timeline import evaluate

from .brute import best
from .instances import random_problem

SEEDS = 200
VARIANTS = ("fp32", "fp16", "int8")


def make(seed: int) -> Problem:
    """Return a network whose layers have three variants on every device, the faster the lossier."""
    rng, number = Random(seed), seed
    while len((base := random_problem(number)).tasks) > 3:
        number += 10_000
    tasks = []
    for task in base.tasks:
        choices = []
        for choice in task.choices[:2]:
            for row, variant in enumerate(VARIANTS):
                choices.append(
                    replace(
                        choice,
                        variant=variant,
                        latency_ns=choice.latency_ns // (row + 1) + rng.randint(0, 3),
                        energy_pj=choice.energy_pj // (row + 1) + rng.randint(0, 9),
                        accuracy_loss_ppm=row * rng.randint(0, 9),
                    )
                )
        tasks.append(replace(task, choices=tuple(choices)))
    deadline_ns = rng.choice((None, rng.randint(20, 120)))
    limits = Limits(accuracy_loss_ppm=rng.randint(0, 25), deadline_ns=deadline_ns)
    objective = ("energy", "latency")[seed % 2]
    return replace(base, tasks=tuple(tasks), objective=objective, limits=limits)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_the_best_variants_above_an_accuracy_floor_are_found(seed: int) -> None:
    """The optimum equals brute force and is proved; the floor is kept."""
    problem = make(seed)
    expected, found = best(problem), solve(problem)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found.objective == expected
    assert found.gap == 0
    assert broken_limits(problem, evaluate(problem, found.selection)) == ()


def test_the_floor_decides_in_many_of_these_problems() -> None:
    """Without it a third of the optima are lower at least: the test above is not idle."""
    lower = 0
    for seed in range(60):
        problem = make(seed)
        free = replace(problem, limits=replace(problem.limits, accuracy_loss_ppm=None))
        least, without = solve(problem), solve(free)
        lower += without is not None and (least is None or without.objective < least.objective)
    assert lower >= 20
