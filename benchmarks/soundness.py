"""Search for a job that is later than its response-time bound; report how tight the bounds are.

Random task sets with the published layer times of LaLaRAND's networks (see lalarand.py), allocated
layer by layer; those that the analysis accepts are simulated with adversarial and random offsets,
sporadic arrivals and execution times between BCET and WCET. Simulated.

Run: python benchmarks/soundness.py --jobs 50000 --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parent))
import lalarand as published

from heterolith.scheduler.realtime import Resource, TaskSet, policy, response_times
from heterolith.scheduler.realtime import simulate as run
from heterolith.scheduler.realtime.attack import attacks, horizon_ns
from heterolith.scheduler.realtime.lalarand import allocate
from heterolith.scheduler.realtime.sweep import make_tasks

RUNS = 8
RESULTS = Path(__file__).parent / "results" / "soundness.json"


def accepted(seed: int) -> Iterator[tuple[int, TaskSet]]:
    """Yield task sets of the study that layer-level allocation accepts."""
    study = published.study(20.0, 1, seed)
    resources = tuple(Resource(name=name) for name in study.resources)
    for number in count():
        rng = Random(f"{seed} point {number}")
        tasks = make_tasks(study, rng.choice(study.counts), rng.choice(study.utilizations), number)
        best = 400_000 + 100_000 * rng.randrange(7)
        tasks = [replace(t, network=replace(t.network, best_ppm=best)) for t in tasks]
        found = allocate(tasks, evaluations=500)
        if found.schedulable:
            bound = (t.bind(a) for t, a in zip(tasks, found.assignments, strict=True))
            yield number, TaskSet(resources=resources, tasks=tuple(bound))


def main(arguments: list[str]) -> int:
    """Simulate accepted sets until enough jobs have run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    jobs = runs = misses = violations = sets = 0
    ratios: list[float] = []
    for number, taskset in accepted(asked.seed):
        bounds = {a.task: a.bound_ns or 0 for a in response_times(taskset)}
        observed = dict.fromkeys(bounds, 0)
        for attacked, options in attacks(taskset, RUNS, f"{asked.seed} {number}"):
            result = run(attacked, policy("fp"), horizon_ns(taskset), options)
            runs += 1
            jobs += result.jobs
            misses += result.misses
            for task in result.tasks:
                violations += task.response_max_ns > bounds[task.name]
                observed[task.name] = max(observed[task.name], task.response_max_ns)
        sets += 1
        ratios += [bounds[name] / seen for name, seen in observed.items() if seen]
        if sys.stderr.isatty():
            print(f"\r{jobs} jobs of {sets} sets", end="", file=sys.stderr)
        if jobs >= asked.jobs:
            break
    report = {
        "source": "simulated",
        "jobs": jobs,
        "sets": sets,
        "runs": runs,
        "misses": misses,
        "bound_violations": violations,
        "tightness_median": round(statistics.median(ratios), 4),
        "tightness_p90": round(statistics.quantiles(ratios, n=10)[-1], 4),
        "tightness_worst": round(max(ratios), 4),
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1) if asked.json else report)
    return int(violations > 0 or misses > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
