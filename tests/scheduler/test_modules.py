"""Cuts: where they are, and that timelines fall apart there."""

from dataclasses import replace
from random import Random

import pytest

from heterolith.scheduler.modules import split
from heterolith.scheduler.problem import HOME, Choice, Hop, Problem, Task, Tensor
from heterolith.scheduler.timeline import UnreachableError, evaluate

from .instances import random_problem


def graph(*inputs: tuple[int, ...], outputs: tuple[int, ...] | None = None) -> Problem:
    """Return a problem whose task k reads ``inputs[k]`` and makes tensor k + 1; 0 is the input."""
    count = len(inputs)
    hop = Hop(link=0, latency_ns=1, energy_pj=1, bytes=1)
    routes = {(0, 1): (hop,), (1, 0): (hop,)}
    choices = (
        Choice(device=0, latency_ns=2, energy_pj=1),
        Choice(device=1, latency_ns=1, energy_pj=2),
    )
    return Problem(
        name="graph",
        devices=("a", "b"),
        links=("l",),
        memories=("m",),
        memory_of=(0, 0),
        memory_capacity_bytes=(9,),
        home=0,
        tasks=tuple(
            Task(name=f"t{k}", inputs=ins, outputs=(k + 1,), choices=choices)
            for k, ins in enumerate(inputs)
        ),
        tensors=tuple(
            Tensor(name=f"x{k}", producer=k - 1 if k else HOME, routes=routes)
            for k in range(count + 1)
        ),
        outputs=(count,) if outputs is None else outputs,
        idle_mw=0,
    )


def spans(problem: Problem) -> list[tuple[int, int]]:
    """Return first and last of every module."""
    return [(module.first, module.last) for module in split(problem)]


def test_a_chain_is_cut_after_every_task() -> None:
    """Each task of a chain is a module; the last one is final."""
    modules = split(graph((0,), (1,), (2,)))
    assert [(m.first, m.last, m.entries, m.final) for m in modules] == [
        (0, 1, (0,), False),
        (1, 2, (1,), False),
        (2, 3, (2,), True),
    ]


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        # A skip connection holds its block together.
        (graph((0,), (1,), (2,), (1, 3), (4,)), [(0, 1), (1, 4), (4, 5)]),
        # Parallel branches end in the task that joins them.
        (graph((0,), (1,), (1,), (2, 3), (4,)), [(0, 1), (1, 4), (4, 5)]),
        # The network input is read late: it may travel early.
        (graph((0,), (1,), (0, 2), (3,)), [(0, 3), (3, 4)]),
        # An unread output may end after everything else.
        (graph((0,), (1,), (1,), (3,)), [(0, 1), (1, 4)]),
        # A network output that is made early may travel home late.
        (graph((0,), (1,), (2,), outputs=(1, 3)), [(0, 1), (1, 3)]),
        # A task without inputs starts whenever its device is free.
        (graph((0,), (1,), (), (2, 3), (4,)), [(0, 4), (4, 5)]),
        (graph((0,)), [(0, 1)]),
        (graph(outputs=(0,)), [(0, 0)]),
    ],
)
def test_cuts_of_small_graphs(problem: Problem, expected: list[tuple[int, int]]) -> None:
    """Cuts are where, and only where, nothing else crosses."""
    assert spans(problem) == expected


@pytest.mark.parametrize("seed", range(120))
def test_everything_is_idle_at_a_cut(seed: int) -> None:
    """No task or crossing of one module overlaps the next, whatever the selection."""
    problem, rng = random_problem(seed), Random(seed)
    modules = split(problem)
    assert [m.first for m in modules[1:]] == [m.last for m in modules[:-1]]
    for _ in range(6):
        selection = tuple(rng.randrange(len(task.choices)) for task in problem.tasks)
        try:
            timeline = evaluate(problem, selection)
        except UnreachableError:
            continue
        for module in modules[:-1]:
            cut_ns = timeline.end_ns[module.last - 1]
            assert max(timeline.end_ns[: module.last]) == cut_ns
            assert min(timeline.start_ns[module.last :]) >= cut_ns
            for crossing in timeline.crossings:
                assert crossing.end_ns <= cut_ns or crossing.start_ns >= cut_ns


def test_repeated_inputs_do_not_matter() -> None:
    """Reading a tensor twice is reading it."""
    problem = graph((0,), (1,), (2,))
    twice = replace(problem.tasks[1], inputs=(1, 1))
    assert spans(replace(problem, tasks=(problem.tasks[0], twice, problem.tasks[2]))) == spans(
        problem
    )
