"""Choose by trying: short runs on the held-out images, which no reported job sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from heterolith.scheduler.adaptive.model import Scenario
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.run import evaluate
from heterolith.scheduler.adaptive.trace import ImageTrace

JOBS = 400
"""About how many jobs a rehearsal has."""
SEED = 7_919
"""Added to the scenario's seed, so that other arrivals, times and images come up."""
Way = TypeVar("Way")


def stage(scenario: Scenario) -> Scenario:
    """Return a short scenario over the held-out images alone."""
    short = scenario.horizon_ns
    rate = sum(1 / (t.deadline_ns if t.deadline_low_ns else t.period_ns) for t in scenario.tasks)
    short = min(short, round(JOBS / rate))
    known: dict[int, ImageTrace] = {}
    tasks = []
    for task in scenario.tasks:
        trace = task.network.trace
        if trace is not None:
            if id(trace) not in known:
                known[id(trace)] = _held(trace)
            task = replace(task, network=replace(task.network, trace=known[id(trace)]))
        tasks.append(task)
    return replace(scenario, tasks=tuple(tasks), horizon_ns=short, seed=scenario.seed + SEED)


def _held(trace: ImageTrace) -> ImageTrace:
    """Return the held-out images five times over: a fifth is known, four are asked about."""
    count = max(1, trace.held_out)
    return replace(
        trace,
        confidence=np.tile(trace.confidence[:, :count], (1, 5, 1)),
        correct=np.tile(trace.correct[:, :count], (1, 5, 1)),
    )


def best(
    scenario: Scenario,
    ways: Sequence[Way],
    make: Callable[[Scenario, Way], AdaptivePolicy],
    worth_pj: float,
) -> Way:
    """Return the way with the least energy plus worth of wrong answers in rehearsal.

    Ways within the scenario's power come before those above it.
    """
    if len(ways) < 2:
        return ways[0]
    short = stage(scenario)

    def cost(way: Way) -> tuple[bool, float]:
        row = evaluate("rehearsal", make(short, way))
        wrong = row.jobs * (1 - row.accuracy) if row.accuracy is not None else row.misses
        energy_pj = row.energy_mj * 1e9
        above = energy_pj / short.horizon_ns > scenario.power_mw
        return above, energy_pj + worth_pj * wrong

    return min(ways, key=cost)
