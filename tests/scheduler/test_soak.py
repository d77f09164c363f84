"""Random problems in bulk: no plan that the checker rejects, none worse than one device alone.

2,000 problems; HETEROLITH_SOAK=1 makes it 100,000.
"""

import os
from dataclasses import replace
from random import Random

import pytest

from heterolith.errors import InfeasibleError
from heterolith.scheduler.check import check
from heterolith.scheduler.problem import Problem
from heterolith.scheduler.solve import solve
from heterolith.scheduler.solvers.heuristics import best_single

from .brute import carry_out, feasible, random_limits
from .instances import random_points, random_problem
from .test_points import LIMITS, OBJECTIVES, assemble

COUNT = 100_000 if os.environ.get("HETEROLITH_SOAK") else 2_000
BLOCKS = 20


def make(seed: int) -> Problem:
    """Return a random problem: points or none, any objective, any set of limits."""
    rng = Random(seed * 7919 + 1)
    names = rng.choice(LIMITS)
    objective = rng.choice(OBJECTIVES)
    if objective == "power" and not {"deadline_ns", "period_ns"} & set(names):
        names = ("deadline_ns", *names)
    kind = random_points if rng.random() < 0.6 else random_problem
    return kind(10**6 + seed, objective, random_limits(seed, names))


def verify(problem: Problem) -> bool:
    """Check the plan of a problem in every way; return whether there is one."""
    alone = best_single(
        replace(problem, domains=tuple(replace(d, switch_ns=None) for d in problem.domains))
    )
    try:
        found = solve(problem, time_limit_s=5)
    except InfeasibleError:
        found = None
    if found is None:
        assert alone is None or alone.objective is None, problem.name
        return False
    assert check(problem, assemble(problem, found)) == (), problem.name
    outcome = carry_out(problem, found.selection)
    assert outcome is not None
    assert feasible(problem, outcome), problem.name
    assert found.lower_bound <= found.objective
    if alone is not None and alone.objective is not None:
        assert found.objective <= alone.objective * (1 + 3e-6) + 1e-9, problem.name
    return True


@pytest.mark.parametrize("block", range(BLOCKS))
def test_plans_of_random_problems_are_sound(block: int) -> None:
    """The checker and the plain execution model accept every plan; no single device is better."""
    size = COUNT // BLOCKS
    solved = sum(verify(make(block * size + number)) for number in range(size))
    assert solved > size // 2
