"""Synthetic networks of the size of real ones."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import process_time
from types import ModuleType

import pytest

from heterolith.scheduler.objective import broken_limits
from heterolith.scheduler.solve import solve
from heterolith.scheduler.timeline import evaluate

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "solver.py"


@pytest.fixture(scope="module")
def networks() -> ModuleType:
    """Return the benchmark's generators."""
    sys.path.insert(0, str(SCRIPT.parent))
    spec = spec_from_file_location("solver_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    sys.path.remove(str(SCRIPT.parent))
    return module


@pytest.mark.parametrize("network", ["chain", "residual", "inception", "dense", "unet"])
@pytest.mark.parametrize("request_kind", ["latency", "energy", "deadline", "peak"])
def test_networks_of_a_hundred_layers_are_solved_exactly(
    networks: ModuleType, network: str, request_kind: str
) -> None:
    """The optimum is proved, keeps the limits, and comes in a few seconds of one core."""
    problem = networks.with_limits(getattr(networks, network)(100), request_kind)
    start_s = process_time()
    solution = solve(problem, time_limit_s=5)
    assert process_time() - start_s < 10
    assert solution is not None
    assert solution.gap == 0
    assert broken_limits(problem, evaluate(problem, solution.selection)) == ()


@pytest.mark.parametrize("network", ["dense_flat", "attention"])
def test_networks_without_cuts_get_a_plan_and_a_bound(networks: ModuleType, network: str) -> None:
    """Where tables must be narrowed the gap says what is not proved."""
    problem = networks.with_limits(getattr(networks, network)(250), "deadline")
    start_s = process_time()
    solution = solve(problem, time_limit_s=5)
    assert process_time() - start_s < 8
    assert solution is not None
    assert 0 <= solution.gap < 0.1
    assert solution.lower_bound <= solution.objective
    assert broken_limits(problem, evaluate(problem, solution.selection)) == ()


def test_planning_is_deterministic(networks: ModuleType) -> None:
    """Twice the same problem gives the same plan, also where it is not proved best."""
    problem = networks.with_limits(networks.dense_flat(100), "scalenet")
    first, second = solve(problem, time_limit_s=0.0), solve(problem, time_limit_s=0.0)
    assert first is not None
    assert second is not None
    assert first.selection == second.selection
    assert first.lower_bound == second.lower_bound
