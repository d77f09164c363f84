"""Heads and tails: what no plan can be faster than, and what a linear program overlooks."""

from random import Random

import pytest

from heterolith.scheduler.problem import HOME, Problem
from heterolith.scheduler.solvers.formulate import Formulation, formulate
from heterolith.scheduler.solvers.linear import Program
from heterolith.scheduler.solvers.milp import solve_milp
from heterolith.scheduler.solvers.windows import Item, enclose, violated
from heterolith.scheduler.timeline import PointsError, UnreachableError, evaluate

from .instances import random_problem
from .test_solvers import joint_problem


def assigned(problem: Problem, made: Formulation, selection: list[int]) -> list[float]:
    """Return the variables of a plan: its choices, and the transfers that it needs."""
    values = [0.0] * len(made.program.lows)
    device = [
        task.choices[pick].device for task, pick in zip(problem.tasks, selection, strict=True)
    ]
    for offers, pick in zip(made.offers, selection, strict=True):
        values[next(variable for variable, index in offers if index == pick)] = 1.0
    reads = [(t, device[k]) for k, task in enumerate(problem.tasks) for t in task.inputs]
    reads += [(tensor, problem.home) for tensor in problem.outputs]
    for tensor, target in reads:
        maker = problem.tensors[tensor].producer
        origin = problem.home if maker == HOME else device[maker]
        if origin != target:
            values[made.moves[tensor, origin, target]] = 1.0
    return values


@pytest.mark.parametrize("seed", range(60))
def test_no_plan_is_faster_than_what_any_set_of_its_work_takes(seed: int) -> None:
    """Random choices, carried out: the latency is at least head, work and tail of every set."""
    problem = joint_problem(seed % 30) if seed < 30 else random_problem(seed)
    made, rng = formulate(problem), Random(seed)
    assert made is not None
    for _ in range(12):
        picks = [rng.choice(row)[1] for row in made.offers]
        try:
            latency_ns = evaluate(problem, picks).latency_ns
        except (UnreachableError, PointsError):
            continue
        values = assigned(problem, made, picks)
        for items in made.loads:
            own = [item for item in items if values[item.variable]]
            for low in own:
                for high in own:
                    both = [
                        i for i in own if i.head_ns >= low.head_ns and i.tail_ns >= high.tail_ns
                    ]
                    if both:
                        work_ns = sum(item.work_ns for item in both)
                        assert low.head_ns + work_ns + high.tail_ns <= latency_ns
            values[made.latency] = latency_ns
            assert violated(items, made.latency, values) == []


def two_jobs() -> tuple[Program, int, list[Item]]:
    """Return a program with two jobs of 10 ns on one device, neither before 3 nor after -4 ns."""
    program = Program()
    latency = program.variable(1000)
    jobs = [Item(program.binary(), 3, 5, 10), Item(program.binary(), 6, 4, 10)]
    return program, latency, jobs


@pytest.mark.parametrize(("chosen", "least"), [((0, 0), 0), ((1, 0), 17), ((1, 1), 27)])
def test_a_device_that_is_used_waits_for_its_first_and_its_last_delivery(
    chosen: tuple[int, int], least: int
) -> None:
    """The least head and the least tail count once, and only if there is work."""
    program, latency, jobs = two_jobs()
    enclose(program, latency, jobs)
    program.goal = latency
    for job, value in zip(jobs, chosen, strict=True):
        program.lows[job.variable] = program.highs[job.variable] = value
    found = solve_milp(program, time_limit_s=10).values
    assert found[latency] == pytest.approx(least)


def test_the_set_that_takes_longest_is_found_and_bounds_every_choice() -> None:
    """One job late and one early: the late one alone takes 6 + 10 + 4, both 3 + 20 + 4."""
    _, latency, jobs = two_jobs()
    values = [0.0] * 3
    values[latency], values[jobs[0].variable], values[jobs[1].variable] = 19.0, 0.0, 1.0
    (alone,) = violated(jobs, latency, values)
    assert sum(alone[v] * values[v] for v in alone) == 20
    values[jobs[0].variable] = 1.0
    both = violated(jobs, latency, values)[0]
    assert 26 <= sum(both.values()) <= 27  # head and tail are shared out in whole ns
    values[latency] = 27.0
    assert violated(jobs, latency, values) == []
