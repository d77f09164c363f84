"""Time the event simulator, and the response-time analysis: layer events and task sets per second.

Five tasks of 30 layers on three resources, every policy; the analysis on sets of the study in
lalarand.py. Measured on this host, one core, the best of three.

Run: python benchmarks/simulator.py --json
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))
import lalarand as published

from heterolith.scheduler.realtime import (
    Options,
    Piece,
    Point,
    Resource,
    Task,
    TaskSet,
    policy,
    response_times,
    simulate,
    with_priorities,
)
from heterolith.scheduler.realtime.arrivals import uniform
from heterolith.scheduler.realtime.policies import POLICIES
from heterolith.scheduler.realtime.sweep import make_tasks

RESULTS = Path(__file__).parent / "results" / "simulator.json"


def example(seed: int) -> TaskSet:
    """Return five tasks of 30 layers on three resources, each a third busy."""
    rng, tasks = Random(seed), []
    for number in range(5):
        pieces = tuple(
            Piece(resource=rng.randrange(3), wcet_ns=rng.randrange(10**4, 5 * 10**5), bcet_ns=5000)
            for _ in range(30)
        )
        period = 3 * sum(piece.wcet_ns for piece in pieces)
        tasks.append(Task(name=f"t{number}", period_ns=period, deadline_ns=period, pieces=pieces))
    points = (Point(idle_mw=100, active_mw=1000),)
    resources = tuple(Resource(name=name, points=points) for name in ("cpu", "gpu", "fpga"))
    return TaskSet(resources=resources, tasks=with_priorities(tasks, "rm"))


def analysed_per_s(sets: int) -> float:
    """Return how many task sets of the study are bound and analysed in a second."""
    study = published.study(20.0, sets, 0)
    drawn = [make_tasks(study, 4, 1.0, number) for number in range(sets)]
    resources = tuple(Resource(name=name) for name in study.resources)
    begin = time.perf_counter()
    for tasks in drawn:
        bound = tuple(task.bind(task.network.preferable()) for task in tasks)
        response_times(TaskSet(resources=resources, tasks=bound))
    return sets / (time.perf_counter() - begin)


def main(arguments: list[str]) -> int:
    """Time every policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--horizon-s", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    taskset, rates = example(1), {}
    for name in sorted(POLICIES):
        best = 0.0
        for _ in range(3):
            begin = time.perf_counter()
            result = simulate(
                taskset, policy(name), asked.horizon_s * 10**9, Options(execution=uniform)
            )
            best = max(best, result.pieces / (time.perf_counter() - begin))
        rates[name] = round(best)
    analysed = max(analysed_per_s(1000) for _ in range(3))
    report = {
        "source": "measured",
        "layer_events_per_s": min(rates.values()),
        "by_policy": rates,
        "task_sets_analysed_per_s": round(analysed),
        "seconds_for_10000_task_sets": round(10_000 / analysed, 1),
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1) if asked.json else report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
