"""Orders from priorities: valid, and their figures are those of the timeline."""

import numpy as np
import pytest

from heterolith.scheduler.problem import Problem, reordered
from heterolith.scheduler.solvers.batch import Batch
from heterolith.scheduler.solvers.listing import Lister
from heterolith.scheduler.solvers.ordering import Orderer
from heterolith.scheduler.timeline import UnreachableError, evaluate

from .test_solvers import joint_problem

COLUMNS = 12


def carried_out(problem: Problem, seed: int) -> int:
    """Hold drawn orders of drawn choices against the timeline; return how many were compared."""
    rng = np.random.default_rng(seed)
    picks = np.array([rng.integers(len(task.choices), size=COLUMNS) for task in problem.tasks])
    orders, figures = Orderer(Batch(problem)).drawn(picks, rng)
    compared = 0
    for column in range(COLUMNS):
        order = orders[:, column].tolist()
        try:
            timeline = evaluate(reordered(problem, order), picks[order, column].tolist())
        except UnreachableError:
            continue
        assert timeline.energy_pj == figures.energy_pj[column]
        assert timeline.finish_ns == tuple(figures.finish_ns[:, column].tolist())
        compared += 1
    return compared


def test_figures_of_drawn_orders_are_those_of_the_timeline() -> None:
    """Energy and the latency of every network, to the last integer, over random problems."""
    assert sum(carried_out(joint_problem(seed), seed) for seed in range(12)) > 60


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_tails_with_full_weights_are_longest_paths(seed: int) -> None:
    """They equal the ranks that single list scheduling goes by."""
    problem = joint_problem(seed)
    orderer = Orderer(Batch(problem))
    picks = np.zeros((len(problem.tasks), 1), np.int64)
    weights = np.ones((orderer.batch.devices + 1, 1))
    reachable = orderer.tails_ns(picks, weights)[:, 0]
    expected = np.array(Lister(problem).ranks_ns([0] * len(problem.tasks)))
    closed = reachable > 10**9  # a tensor that cannot travel: the lister counts no time for it
    assert (reachable[~closed] == expected[~closed]).all()
    assert not closed.all()


def test_a_network_of_higher_priority_comes_first() -> None:
    """Where everything may start now, ranks alone decide."""
    problem = joint_problem(0)
    orderer = Orderer(Batch(problem))
    picks = np.zeros((len(problem.tasks), 2), np.int64)
    member = orderer.batch.member
    ranks = np.stack([-member, member], axis=1).astype(float)
    orders, _ = orderer.run(picks, ranks, np.full(2, 10**15))
    assert member[orders[:, 0]].tolist() == sorted(member.tolist())
    assert member[orders[:, 1]].tolist() == sorted(member.tolist(), reverse=True)
