"""``heterolith compare``: the best plan beside what simpler rules make of the same network."""

from __future__ import annotations

from typing import Any

from heterolith import api, boards, metrics, units
from heterolith.cli import render
from heterolith.cli.options import (
    AsJson,
    Deadline,
    Memory,
    Model,
    Objective,
    ObjectiveName,
    PeakPower,
    PlatformName,
    Power,
    ProfileFiles,
    Shape,
    TimeLimit,
    load_network,
    measured_rows,
)
from heterolith.errors import InfeasibleError
from heterolith.scheduler import Problem, Request, build_problem, solve
from heterolith.scheduler.explain import NAMES, explain_infeasible
from heterolith.scheduler.objective import UNITS
from heterolith.scheduler.solvers import heuristics
from heterolith.scheduler.solvers.heuristics import Baseline


def baselines(problem: Problem) -> list[Baseline]:
    """Return what each rule makes of a problem, where it can carry it out."""
    devices = range(len(problem.devices))
    found = [heuristics.only(problem, device) for device in devices]
    found += [
        heuristics.best_single(problem),
        heuristics.heft(problem),
        heuristics.heft(problem, optimistic=True),
        heuristics.greedy(problem),
        heuristics.largest_subgraph(problem),
    ]
    return [row for row in found if row is not None]


def _row(problem: Problem, baseline: Baseline, best: float) -> dict[str, Any]:
    scale = UNITS[problem.objective][1]
    window_ns = problem.fixed_window_ns or baseline.timeline.latency_ns
    own, idle_pj = baseline.objective, problem.idle_mw * window_ns
    return {
        "rule": baseline.name,
        "latency_ms": baseline.timeline.latency_ns / 1e6,
        "energy_mj": (idle_pj + baseline.timeline.energy_pj) / 1e9,
        "idle_mj": idle_pj / 1e9,
        "objective": None if own is None else own / scale,
        "above_best": None if own is None or not best else own / best - 1,
        "broken": list(baseline.broken),
    }


COLUMNS = ("rule", ">latency ms", ">energy mJ", ">of it idle mJ", ">above best", "breaks")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["rule"],
        f"{row['latency_ms']:.3f}",
        f"{row['energy_mj']:.3f}",
        f"{row['idle_mj']:.3f}",
        "-" if row["above_best"] is None else f"{row['above_best']:+.1%}",
        ", ".join(NAMES.get(name, name) for name in row["broken"]),
    )


def compare(
    model: Model,
    platform: PlatformName,
    deadline: Deadline = "",
    power: Power = "",
    peak_power: PeakPower = "",
    memory: Memory = "",
    objective: ObjectiveName = Objective.energy,
    profile: ProfileFiles = None,
    shape: Shape = None,
    time_limit: TimeLimit = "60s",
    as_json: AsJson = False,
) -> None:
    """Put the best plan beside single devices, HEFT, PEFT, greedy and the largest subgraph."""
    given = {"deadline": deadline, "power": power, "peak_power": peak_power, "memory": memory}
    limits = api.parse_limits(**{name: text for name, text in given.items() if text})
    target = boards.load(platform)
    network = load_network(model, shape)
    costs = metrics.estimate(network, target, measured_rows(profile or ()))
    request = Request(objective=objective.value, limits=limits)
    problem = build_problem(network, costs, target, request)
    limit_s = units.time_ns(time_limit, "time limit") / 1e9
    solution = solve(problem, time_limit_s=limit_s)
    if solution is None:
        raise InfeasibleError(explain_infeasible(problem).message)
    ours = heuristics.finish("heterolith", problem, solution.selection)
    assert ours is not None
    rows = [_row(problem, row, solution.objective) for row in (ours, *baselines(problem))]
    if as_json:
        unit = UNITS[problem.objective][0]
        render.print_json(
            {
                "network": network.name,
                "platform": platform,
                "deadline_ms": None if limits.deadline_ns is None else limits.deadline_ns / 1e6,
                "gap": solution.gap,
                "unit": unit,
                "rows": rows,
            }
        )
        return
    title = f"{network.name} on {platform}, least {objective.value}, gap {solution.gap:.2%}"
    render.console().print(render.table(title, COLUMNS, map(_cells, rows)))
