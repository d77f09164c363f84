"""All scenarios times all policies, and what each mechanism of the joint policy is worth.

Simulated on recorded answers; boards, loads, deadlines and seeds are declared in
``scheduler/adaptive/scenarios.py``. The joint policy has one parameter, what a point of accuracy is
worth in energy; the grid below is declared, and its rows, with one that leaves no exit early, are a
front. A rival is *beaten* if a row
of that front misses no larger share of deadlines and either is as accurate (to 0.1 points) with
less energy, or more accurate with no more energy. A scenario is *won* if every rival but the
oracle is beaten. A rival that refuses a scenario does not count.

Ablation, at a worth of 1: each mechanism off, and none on.

Run: python benchmarks/joint.py --json [--scenario NAME ...]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from heterolith.scheduler.adaptive import bench, scenarios
from heterolith.scheduler.adaptive.joint import Joint, heterolith
from heterolith.scheduler.adaptive.joint_plan import Mechanisms
from heterolith.scheduler.adaptive.model import Scenario
from heterolith.scheduler.adaptive.run import PolicyRow, evaluate

RESULTS = Path(__file__).parent / "results" / "joint.json"
WORTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
EQUAL = 0.001
"""Accuracies this near count as equal: 0.1 points."""
ORACLES = {"imprecise-oracle"}


def beats(ours: PolicyRow, rival: PolicyRow) -> bool:
    """Say whether a row of ours beats a rival's."""
    if ours.miss_rate > rival.miss_rate or ours.accuracy is None or rival.accuracy is None:
        return False
    cheaper = ours.accuracy >= rival.accuracy - EQUAL and ours.energy_mj < rival.energy_mj
    better = ours.energy_mj <= rival.energy_mj and ours.accuracy > rival.accuracy
    return cheaper or better


def brief(row: PolicyRow, **more: object) -> dict[str, Any]:
    """Return the figures of a row for the table."""
    kept = ("policy", "jobs", "misses", "hard_misses", "switches")
    found = asdict(row)
    return {
        **{key: found[key] for key in kept},
        "accuracy": round(row.accuracy or 0.0, 4),
        "energy_mj": round(row.energy_mj, 1),
        "mean_depth": round(row.mean_depth, 3),
        "mean_loss": round(row.mean_loss, 5),
        "p99_ms": round(row.p99_ms, 3),
        **more,
    }


def ablations() -> dict[str, Mechanisms]:
    """Return the joint policy with each mechanism off, and with none."""
    every = [field.name for field in fields(Mechanisms)]
    off = {f"no {name}": replace(Mechanisms(), **{name: False}) for name in every}
    return {"all": Mechanisms(), **off, "none": Mechanisms(**dict.fromkeys(every, False))}


def study(made: Scenario) -> dict[str, Any]:
    """Run everything on one scenario."""
    rivals = bench.run(made, [name for name in bench.POLICIES if name != "heterolith"])
    ours = []
    for worth, exits in [*((worth, True) for worth in WORTHS), (WORTHS[-1], False)]:
        policy = heterolith(made, worth, Mechanisms(exits=exits))
        row = evaluate("heterolith", policy)
        ours.append(({"worth": worth, "exits": exits}, isinstance(policy, Joint), row))
    rows = [brief(row, guaranteed=hard, **how) for how, hard, row in ours]
    lost = []
    for rival in rivals:
        if isinstance(rival, bench.Refusal):
            rows.append({"policy": rival.policy, "refused": rival.reason})
            continue
        beaten = any(beats(row, rival) for _, _, row in ours)
        rows.append(brief(rival, beaten=beaten))
        if not beaten and rival.policy not in ORACLES:
            lost.append(rival.policy)
    table = {
        name: brief(evaluate(name, heterolith(made, 1.0, which)))
        for name, which in ablations().items()
    }
    return {
        "scenario": made.name,
        "about": made.about,
        "won": not lost,
        "not_beaten": lost,
        "hard_misses": sum(row.hard_misses for _, hard, row in ours if hard),
        "rows": rows,
        "ablation": table,
    }


def main(arguments: list[str]) -> int:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=scenarios.DATA)
    parser.add_argument("--jobs", type=int, default=4000, help="per scenario")
    parser.add_argument("--scenario", action="append", choices=scenarios.names())
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    found = []
    for name in asked.scenario or scenarios.names():
        found.append(study(scenarios.build(name, asked.data, jobs=asked.jobs)))
        print(name, "won" if found[-1]["won"] else found[-1]["not_beaten"], file=sys.stderr)
    traces = scenarios.recorded(asked.data.resolve())
    report = {
        "source": "simulated; answers recorded",
        "networks": {name: network.fingerprint() for name, (network, _) in traces.items()},
        "images": {name: int(t.confidence.shape[1]) for name, (_, t) in traces.items()},
        "scenarios": len(found),
        "won": sum(row["won"] for row in found),
        "hard_misses": sum(row["hard_misses"] for row in found),
        "studies": found,
    }
    if not asked.scenario:
        RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    if asked.json:
        print(json.dumps(report, indent=1))
    else:
        print(f"won {report['won']} of {report['scenarios']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
