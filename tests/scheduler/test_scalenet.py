"""SCALENet's scheduler: static, online, and with gated processing elements."""

from dataclasses import replace
from pathlib import Path

import pytest

from heterolith import api, metrics
from heterolith.errors import InputError
from heterolith.scheduler import Request, build_problem
from heterolith.scheduler.problem import Choice, Problem
from heterolith.scheduler.scalenet import decide, online, static, with_active_pes

from .instances import random_problem


def test_a_queue_changes_the_decision() -> None:
    """A resource that is best when idle is left when enough waits before it."""
    choices = (
        Choice(device=0, latency_ns=10, energy_pj=50),
        Choice(device=1, latency_ns=30, energy_pj=60),
    )
    assert decide(choices, (0, 0), "min-latency") == 0
    assert decide(choices, (200, 0), "min-latency") == 1


def test_an_unknown_preset_is_refused() -> None:
    """The known ones are named."""
    with pytest.raises(InputError, match="balanced"):
        decide((Choice(device=0, latency_ns=1, energy_pj=1),), (0,), "fast")


def test_static_takes_the_least_cost_of_every_task() -> None:
    """No look-ahead: each task by itself."""
    for seed in range(30):
        problem = random_problem(seed)
        found = static(problem)
        if found is None:
            continue
        for task, pick in zip(problem.tasks, found.selection, strict=True):
            assert task.choices[pick].cost == min(choice.cost for choice in task.choices)


def test_online_avoids_a_busy_device() -> None:
    """With a device blocked for long, fewer tasks go there than without."""
    free_count = busy_count = 0
    for seed in range(60):
        problem = random_problem(seed)
        free = online(problem, "min-latency")
        busy = online(problem, "min-latency", {problem.home: 10_000})
        if free is not None and busy is not None:
            free_count += at_home(problem, free.selection)
            busy_count += at_home(problem, busy.selection)
    assert busy_count < 0.9 * free_count


def at_home(problem: Problem, selection: tuple[int, ...]) -> int:
    """Return how many tasks are at home."""
    rows = zip(problem.tasks, selection, strict=True)
    return sum(task.choices[pick].device == problem.home for task, pick in rows)


def test_gated_elements_are_choices_that_draw_less(cnn_path: Path) -> None:
    """Their power is lower, and the largest layer takes longer on a part of the elements."""
    network, platform = api.load(cnn_path), api.platform("zcu104")
    profile = metrics.estimate(network, platform)
    gated = with_active_pes(profile, network, platform, gated_share=0.5)
    whole = {c.layer: c for c in profile.costs if c.device == "fpga"}
    rows = [c for c in gated.costs if c.point.endswith("PEs")]
    assert rows
    for row in rows:
        full = whole[row.layer]
        assert (row.energy_pj or 0) / row.latency_ns < (full.energy_pj or 0) / full.latency_ns
    largest = max(whole.values(), key=lambda cost: cost.latency_ns)
    assert any(r.latency_ns > largest.latency_ns for r in rows if r.layer == largest.layer)
    problem = build_problem(network, gated, platform, Request())
    assert any(choice.point.endswith("PEs") for task in problem.tasks for choice in task.choices)
    with pytest.raises(InputError, match="between 0 and 1"):
        with_active_pes(replace(profile), network, platform, gated_share=2)
