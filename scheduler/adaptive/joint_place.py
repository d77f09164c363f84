"""Where the joint policy puts each task: the placement that costs least and can be proved.

Cost is energy plus what lost accuracy is worth, per time. A task is on one resource, or on two with
one change between blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from heterolith.scheduler.adaptive.imprecise_policy import mean_confidence
from heterolith.scheduler.adaptive.joint_plan import (
    EXPECTED,
    Mechanisms,
    Pricing,
    gap_ns,
    plan_tasks,
    service,
    time_ns,
)
from heterolith.scheduler.adaptive.model import AdaptiveTask, Board, KnobNetwork, Scenario, place


def placements(network: KnobNetwork, count: int) -> list[tuple[int, ...]]:
    """Return the placements looked at: one resource, or two with one change between blocks."""
    able = [{x.resource, *(p.resource for p in x.places)} for x in network.layers]
    length = len(network.layers)
    cuts = [(a, b, cut) for a in range(count) for b in range(count) for cut in range(1, length)]
    every = {(a,) * length for a in range(count)}
    every |= {(a,) * cut + (b,) * (length - cut) for a, b, cut in cuts if a != b}
    return sorted(p for p in every if all(r in ok for r, ok in zip(p, able, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A task on one placement: load per resource and cost rate, mW, per point and depth."""

    network: KnobNetwork
    full: tuple[tuple[tuple[float, ...], float], ...]
    least: tuple[tuple[float, ...], float]


def _candidate(
    scenario: Scenario, task: AdaptiveTask, network: KnobNetwork, asked: tuple[Pricing, Mechanisms]
) -> _Candidate:
    """Price a placed task: as it likes to run at every point, and the least that it must do."""
    pricing, mechanisms = asked
    board, count = scenario.board, len(scenario.board.resources)
    every = range(len(board.points)) if mechanisms.points else range(1)

    def priced(degrees: Sequence[int], point: int, lost: float) -> tuple[tuple[float, ...], float]:
        load, cost = [0.0] * count, pricing.worth_pj * lost
        for layer, degree in zip(network.layers, degrees, strict=False):
            load[layer.resource] += time_ns(board, layer, degree, point) / gap_ns(task)
            cost += pricing.cost(layer, degree, point)
        return tuple(load), cost / gap_ns(task)

    full = tuple(
        priced([pricing.order(layer, p)[0] for layer in network.layers], p, 0.0) for p in every
    )
    mean = mean_confidence(network)
    cut = mechanisms.exits and len(network.exits) > 1
    must = network.exits[0] + 1 if cut else len(network.layers)
    fastest = [len(x.degrees) - 1 if mechanisms.degrees else 0 for x in network.layers[:must]]
    return _Candidate(
        network=network, full=full, least=priced(fastest, 0, mean[-1] - mean[0] if cut else 0.0)
    )


def _score(board: Board, chosen: Sequence[_Candidate], rest_mw: int) -> float:
    """Return the cost rate, mW, of a choice of placements; what does not fit costs the more.

    Where only the mandatory blocks fit, the time left goes to further ones: each task has the part
    of them, and of what they cost and are worth, that its busiest resource has time for.
    """
    resources = range(len(board.resources))
    best = None
    for point in range(len(chosen[0].full)):
        load = [sum(c.full[point][0][r] for c in chosen) for r in resources]
        if max(load) * EXPECTED <= 1:
            total = rest_mw + sum(c.full[point][1] for c in chosen)
            best = total if best is None else min(best, total)
    if best is not None:
        return best
    owed = [sum(c.least[0][r] for c in chosen) for r in resources]
    if max(owed) * EXPECTED > 1:
        return 1e12 * max(owed) + sum(c.least[1] for c in chosen)
    whole = [sum(c.full[0][0][r] for c in chosen) for r in resources]
    part = [
        min(1.0, (1 / EXPECTED - o) / (w - o)) if w > o else 1.0
        for o, w in zip(owed, whole, strict=True)
    ]
    total = float(rest_mw)
    for c in chosen:
        served = min(part[r] for r in resources if c.full[0][0][r])
        total += c.least[1] + served * (c.full[0][1] - c.least[1])
    return total


def choose(scenario: Scenario, pricings: Sequence[Pricing], mechanisms: Mechanisms) -> Scenario:
    """Place every task, one after the other and round again, where the whole costs least."""
    board, tasks = scenario.board, scenario.tasks
    count = len(board.resources)
    rest = min(p.idle_mw for p in board.points)
    offered = []
    for task, pricing in zip(tasks, pricings, strict=True):
        ways = placements(task.network, count)
        if not mechanisms.placement:
            ways = [(0,) * len(task.network.layers)]
        elif task.deadline_low_ns is not None:  # stages are planned for one resource
            ways = [way for way in ways if len(set(way)) == 1]
        placed = (place(task.network, way, board.home) for way in ways)
        offered.append(
            [_candidate(scenario, task, network, (pricing, mechanisms)) for network in placed]
        )
    at = [min(range(len(o)), key=lambda k: sum(o[k].least[0])) for o in offered]
    best = _score(board, [o[k] for o, k in zip(offered, at, strict=True)], rest)
    improved = True
    while improved:
        improved = False
        for index, options in enumerate(offered):
            for k in range(len(options)):
                trial = [*at[:index], k, *at[index + 1 :]]
                chosen = [o[j] for o, j in zip(offered, trial, strict=True)]
                score = _score(board, chosen, rest)
                if score < best * (1 - 1e-9) and _fits(scenario, chosen, mechanisms, trial != at):
                    best, at, improved = score, trial, True
    networks = [o[k].network for o, k in zip(offered, at, strict=True)]
    placed_tasks = tuple(replace(t, network=n) for t, n in zip(tasks, networks, strict=True))
    return replace(scenario, tasks=placed_tasks)


def _fits(
    scenario: Scenario, chosen: Sequence[_Candidate], mechanisms: Mechanisms, changed: bool
) -> bool:
    """Whether all guarantees hold; clients have none."""
    if not changed or any(task.deadline_low_ns for task in scenario.tasks):
        return changed
    tasks = [
        replace(task, network=candidate.network)
        for task, candidate in zip(scenario.tasks, chosen, strict=True)
    ]
    plans = plan_tasks(tasks, mechanisms)
    return all(service(r, plans) is not None for r in range(len(scenario.board.resources)))
