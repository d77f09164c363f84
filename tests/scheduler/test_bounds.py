"""Lower bounds never exceed what they bound."""

from random import Random

import numpy as np
import pytest

from heterolith.scheduler.bounds import Relaxation, make_scores, single_scores
from heterolith.scheduler.chain import chain_bounds
from heterolith.scheduler.model import LARGEST, Model, build_model
from heterolith.scheduler.modules import split
from heterolith.scheduler.multipliers import tune
from heterolith.scheduler.problem import Limits
from heterolith.scheduler.timeline import UnreachableError, evaluate

from .instances import random_problem

FREE = Limits(deadline_ns=60, memory_bytes=40)


def model_of(seed: int) -> Model:
    """Return the model of a random problem with time, energy and weights as criteria."""
    return build_model(random_problem(seed, "energy", FREE))


def figures(model: Model, selection: tuple[int, ...]) -> np.ndarray:
    """Return time and amounts of a selection, from its timeline."""
    timeline = evaluate(model.problem, selection)
    amounts = {"energy": timeline.energy_pj}
    amounts |= {f"weights {m}": size for m, size in enumerate(timeline.weight_bytes)}
    return np.array([timeline.latency_ns, *(amounts[name] for name in model.names)], float)


@pytest.mark.parametrize("seed", range(60))
def test_path_bounds_of_all_modules_hold_for_every_plan(seed: int) -> None:
    """Summed over the chain they are at most the score of any selection."""
    model, rng = model_of(seed), Random(seed)
    if not all(model.options):
        return
    weights = np.array([[rng.choice((0, 1, 7)) for _ in model.limits] for _ in range(5)], float)
    by_figure = weights @ model.forms
    relaxation = Relaxation(model)
    crossings = [relaxation.crossing(module, by_figure) for module in split(model.problem)]
    least = chain_bounds(crossings, model.problem.home).totals
    for _ in range(20):
        selection = tuple(int(rng.choice(options).index[0]) for options in model.options)
        try:
            scores = by_figure @ figures(model, selection)
        except UnreachableError:
            continue
        assert (least <= scores * (1 + 1e-12)).all()


@pytest.mark.parametrize("seed", range(30))
def test_tuned_scores_hold_for_every_feasible_plan(seed: int) -> None:
    """A plan of value v that keeps its limits stays below the ceilings for v."""
    model, rng = model_of(seed), Random(seed)
    if not all(model.options):
        return
    relaxation = Relaxation(model)
    modules = split(model.problem)

    def totals(weights: np.ndarray) -> np.ndarray:
        crossings = [relaxation.crossing(m, weights @ model.forms) for m in modules]
        return chain_bounds(crossings, model.problem.home).totals

    tuned, _ = tune(model, totals)
    for scores in (single_scores(model), tuned):
        for _ in range(20):
            selection = tuple(int(rng.choice(options).index[0]) for options in model.options)
            try:
                criteria = model.forms @ figures(model, selection)
            except UnreachableError:
                continue
            if (criteria <= np.array(model.limits, float)).all():
                value = int(criteria[0])
                assert (scores.weights @ criteria <= scores.ceilings(value)).all()
                assert scores.ranks((scores.weights @ criteria)[:, None])[0, 0] <= value * (
                    1 + 1e-9
                )


def test_an_unknown_best_plan_leaves_values_open_and_limits_closed() -> None:
    """Only scores with the value in them are unbounded then."""
    model = model_of(0)
    scores = make_scores(model, np.eye(len(model.limits)))
    open_rows = scores.ceilings(LARGEST) == np.inf
    assert open_rows.tolist() == [scale > 0 for scale in model.scales]
