"""Count the task sets that each way of allocation accepts: LaLaRAND's question.

Task sets: UUniFast over four networks with per-layer times and transfers measured by LaLaRAND's
authors (data/lalarand_profiles.json), n = 3 to 6 tasks, GPU-only utilization 0.6 to 1.4, rate
monotonic, deadline = period. Accepted means that the response-time bounds meet all deadlines. The
CPU there ran float32 on one core, 78 to 109 times slower than the GPU; int8 on several cores is
faster by a factor that no published figure settles, so it is swept (--speed). Simulated.

With --simulated, sets are also run under the layer-level assignment, with fixed priorities alone
and with LaLaRAND's migration: counted are sets that no run drives to a miss. That guarantees
nothing, and is the only way to judge migration, which has no bound.

Run: python benchmarks/lalarand.py --sets 100 --json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from heterolith.scheduler.realtime.profile import NetworkTimes
from heterolith.scheduler.realtime.sweep import Row, Study, local, sweep, weighted

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results" / "lalarand.csv"
SIDE = FOLDER.parent / "build"
"""Where finished blocks are kept until all are."""
RESOURCES = ("cpu", "gpu")
POLICIES = ("all:gpu", "preferable", "cut:gpu>cpu", "cut:cpu>gpu", "task-level", "layer-level")
SIMULATED = ("layer-level", "simulated:fp", "simulated:migration")
SPEEDS = (10.0, 20.0, 40.0)
PUBLISHED = {"all:gpu": 0.80, "cut:gpu>cpu": 0.56}
"""Headline of the paper: sets accepted above all-GPU and above DART, relative."""


def networks(speed: float) -> tuple[NetworkTimes, ...]:
    """Return the published networks with a CPU `speed` times as fast as measured."""
    data = json.loads((FOLDER / "data" / "lalarand_profiles.json").read_text())
    made = []
    for name, item in data["networks"].items():
        cpu, gpu = (item["times"][r] for r in RESOURCES)
        moves = zip(item["moves"]["gpu>cpu"], item["moves"]["cpu>gpu"], strict=True)
        enter = [((0, 0), (0, 0)), *(((0, up * 1000), (down * 1000, 0)) for down, up in moves)]
        made.append(
            NetworkTimes(
                name=name,
                layers=tuple(
                    (max(1, round(c * 1000 / speed)), g * 1000)
                    for c, g in zip(cpu, gpu, strict=True)
                ),
                enter_ns=tuple(enter),
                source=data["source"],
            )
        )
    return tuple(made)


def study(speed: float, sets: int, seed: int, policies: tuple[str, ...] = POLICIES) -> Study:
    """Return the declared sweep at one CPU speed."""
    return Study(
        networks=networks(speed),
        resources=RESOURCES,
        reference="gpu",
        counts=(3, 4, 5, 6),
        utilizations=tuple(round(0.6 + 0.1 * i, 1) for i in range(9)),
        policies=policies,
        sets=sets,
        seed=seed,
        evaluations=1500,
    )


def report(speed: float, made: Study, rows: list[Row]) -> dict[str, Any]:
    """Return totals, weighted schedulability and gains of one CPU speed."""
    found = {p: sum(row.schedulable for row in rows if row.policy == p) for p in made.policies}
    at = {(row.tasks, row.utilization, row.policy): row.schedulable for row in rows}
    return {
        "cpu_speed": speed,
        "sets": sum(row.sets for row in rows) // len(made.policies),
        "schedulable": found,
        "weighted": {k: round(v, 4) for k, v in weighted(rows).items()},
        "gain": {
            policy: round(found["layer-level"] / max(1, found[policy]) - 1, 3)
            for policy in made.policies
            if policy != "layer-level"
        },
        "published_gain": PUBLISHED,
        "never_below_coarser": all(
            at[row.tasks, row.utilization, "layer-level"] >= row.schedulable
            for row in rows
            if not row.policy.startswith("simulated")
        ),
    }


def conduct(studies: dict[float, Study], path: Path, jobs: int) -> list[dict[str, Any]]:
    """Run the studies by CPU speed; write rows as they come, go on where it was stopped."""
    lines = ["speed,tasks,utilization,policy,sets,schedulable"]
    reports = []
    SIDE.mkdir(exist_ok=True)
    sides = {speed: SIDE / f"lalarand-{made.key()}.part" for speed, made in studies.items()}
    for speed, made in studies.items():
        side, rows = sides[speed], list[Row]()
        for done, every, rows in sweep(made, partial(local, jobs=jobs), side):
            if sys.stderr.isatty():
                print(f"\rCPU x{speed:g}: {done}/{every} blocks", end="", file=sys.stderr)
            fresh = [
                f"{speed},{r.tasks},{r.utilization},{r.policy},{r.sets},{r.schedulable}"
                for r in rows
            ]
            path.write_text("\n".join([*lines, *fresh]) + "\n")
        lines += fresh
        reports.append(report(speed, made, rows))
    for side in sides.values():
        side.unlink()
    return reports


def main(arguments: list[str]) -> int:
    """Run the sweeps and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=100, help="task sets per point")
    parser.add_argument(
        "--simulated", type=int, default=0, help="task sets per point that are also simulated"
    )
    parser.add_argument("--speed", type=float, action="append", help="CPU speed factor; may repeat")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    reports = []
    for path, sets, policies in (
        (RESULTS, asked.sets, POLICIES),
        (RESULTS.with_stem("lalarand_simulated"), asked.simulated, SIMULATED),
    ):
        if sets:
            studies = {s: study(s, sets, asked.seed, policies) for s in asked.speed or SPEEDS}
            found = conduct(studies, path, asked.jobs)
            path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
            reports += found
    if asked.json:
        print(json.dumps(reports, indent=1))
        return 0
    for item in reports:
        print(f"CPU x{item['cpu_speed']:g}, {item['sets']} sets, simulated")
        for policy, count in item["schedulable"].items():
            print(f"  {policy:12} {count:6}  weighted {item['weighted'][policy]:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
