"""ApNet: deadlines that hold by approximation, 1 to 8 networks, with and without sharing.

Declared sweep: tasks 1 to 8; tightness 0.5 to 1.5, the deadline (= period) as a part of the time
that all tasks need together, exact; two mixes: `same`, cameras that share one network and start
together, and `mixed`, both networks in turn, deadlines up to half as long again, random offsets;
execution at the WCET and uniform between BCET (70 %) and WCET. Accuracy from recorded images, times
data-sheet: **simulated**. Reported beside the paper's headlines (Bateni and Liu, RTSS 2018: no
misses on a mix of 8, accuracy up to 8 points better by sharing 3.5 times as much), never tuned.

Run: python benchmarks/apnet.py --json. Writes results/apnet.csv (the sweep) and
results/apnet_layers.csv (degree, reduction, accuracy per block).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from adaptive_networks import NETWORKS, priced
from table import write

from heterolith.errors import InfeasibleError
from heterolith.scheduler.adaptive.apnet import ApNet
from heterolith.scheduler.adaptive.model import AdaptiveTask, Scenario
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.pricing import Priced
from heterolith.scheduler.adaptive.run import PolicyRow, evaluate
from heterolith.scheduler.adaptive.sharing import Sharing

RESULTS = Path(__file__).parent / "results"
TASKS = range(1, 9)
TIGHTNESS = tuple(round(0.5 + 0.1 * i, 1) for i in range(11))
MIXES = ("same", "mixed")
EXECUTIONS = ("wcet", "uniform")
PUBLISHED = {"misses": 0, "accuracy_gain_by_sharing": 0.08, "sharing_factor": 3.5}


def scenario(made: Priced, mix: str, count: int, tightness: float, seed: int) -> Scenario:
    """Return tasks of one point of the sweep, at the WCET."""
    rng = Random(f"{seed} {mix} {count}")
    first = seed % len(NETWORKS) if mix == "mixed" else 0
    names = [NETWORKS[(first + i * (mix == "mixed")) % len(NETWORKS)] for i in range(count)]
    together = sum(made.networks[name].wcet_ns for name in names)
    tasks = []
    for index, name in enumerate(names):
        longer = rng.uniform(1, 1.5) if mix == "mixed" else 1.0
        period = round(together * tightness * longer)
        tasks.append(
            AdaptiveTask(
                name=f"{name}-{index}",
                network=made.networks[name],
                period_ns=period,
                deadline_ns=period,
                offset_ns=rng.randrange(period) if mix == "mixed" else 0,
            )
        )
    return Scenario(
        name=f"{mix}-{count}-{tightness}",
        board=made.board,
        tasks=tuple(tasks),
        horizon_ns=1,
        seed=seed,
    )


def layers(made: Priced) -> list[dict[str, Any]]:
    """Return per block what every degree saves and loses: loss measured, times data-sheet."""
    return [
        {
            "network": name,
            "block": layer.name,
            "degree": degree.name,
            "wcet_us": round(degree.wcet_ns / 1e3, 1),
            "reduction": round(1 - degree.wcet_ns / layer.degrees[0].wcet_ns, 4),
            "loss": round(degree.loss, 4),
        }
        for name, network in made.networks.items()
        for layer in network.layers
        for degree in layer.degrees
    ]


def measure(made: Priced, asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row per point of the sweep, means over the sets that are admitted."""
    for mix, count, tightness, execution in product(MIXES, TASKS, TIGHTNESS, EXECUTIONS):
        sets = [
            scenario(made, mix, count, tightness, seed)
            for seed in range(asked.seeds if mix == "mixed" else 1)
        ]
        cases = [
            replace(
                base,
                execution=execution,
                horizon_ns=asked.jobs * max(task.period_ns for task in base.tasks) // count + 1,
            )
            for base in sets
        ]
        exact = [evaluate("exact", AdaptivePolicy(case)) for case in cases]
        for sharing in (None, Sharing(once_ppm=made.batches)):
            found = [one(case, row, sharing) for case, row in zip(cases, exact, strict=True)]
            admitted = [row for row in found if row is not None]
            yield {
                "mix": mix,
                "tasks": count,
                "tightness": tightness,
                "execution": execution,
                "sharing": "on" if sharing else "off",
                "sets": len(found),
                "admitted": len(admitted),
                **(_mean(admitted) if admitted else {}),
            }


def one(case: Scenario, exact: PolicyRow, sharing: Sharing | None) -> dict[str, float] | None:
    """Return what ApNet does on one task set, beside exact EDF; None if it is rejected."""
    try:
        policy = ApNet(case, sharing)
    except InfeasibleError:
        return None
    row = evaluate("apnet", policy)
    return {
        "jobs": row.jobs,
        "misses": row.misses,
        "accuracy": row.accuracy or 0.0,
        "loss": row.mean_loss,
        "factor": policy.tally.factor,
        "shared": policy.tally.share,
        "exact_misses": exact.misses / max(1, exact.jobs),
        "exact_accuracy": exact.accuracy or 0.0,
    }


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    total = {name: int(sum(row[name] for row in rows)) for name in ("jobs", "misses")}
    rest = [name for name in rows[0] if name not in total]
    return {**total, **{name: round(mean(row[name] for row in rows), 4) for name in rest}}


def gains(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return per point what sharing gains in accuracy."""
    key = ("mix", "tasks", "tightness", "execution")
    off = {tuple(r[k] for k in key): r for r in rows if r["sharing"] == "off" and r["admitted"]}
    return [
        {
            **{k: row[k] for k in key},
            "gain": round(row["accuracy"] - off[at]["accuracy"], 4),
            "factor": row["factor"],
        }
        for row in rows
        if row["sharing"] == "on" and row["admitted"] and (at := tuple(row[k] for k in key)) in off
    ]


def summary(rows: Sequence[dict[str, Any]], table: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what stands beside the published headlines."""
    ran, won = [row for row in rows if row["admitted"]], gains(rows)
    many = [g["factor"] for g in won if g["tasks"] >= 4 and g["mix"] == "same"]
    mixed = [g["factor"] for g in won if g["tasks"] >= 4 and g["mix"] == "mixed"]
    return {
        "simulated": True,
        "published": PUBLISHED,
        "jobs": sum(row["jobs"] for row in ran),
        "misses": sum(row["misses"] for row in ran),
        "points_rejected": sum(not row["admitted"] for row in rows),
        "best_gain_by_sharing": max(won, key=lambda g: g["gain"]),
        "worst_gain_by_sharing": min(won, key=lambda g: g["gain"]),
        "points_where_sharing_loses": sum(g["gain"] < 0 for g in won),
        "mean_factor_same_4_or_more": round(mean(many), 2),
        "mean_factor_mixed_4_or_more": round(mean(mixed), 2),
        "layers": list(table),
    }


def main(arguments: Sequence[str]) -> int:
    """Run the sweep; write and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="jetson-tx2")
    parser.add_argument("--device", default="cpu", choices=("cpu", "gpu"))
    parser.add_argument("--seeds", type=int, default=2, help="task sets per mixed point")
    parser.add_argument("--jobs", type=int, default=300, help="simulated per set, at least")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    made = priced(asked.board, asked.device)
    table, rows = layers(made), list(measure(made, asked))
    name = "apnet" if asked.device == "cpu" else f"apnet_{asked.device}"
    write(RESULTS / f"{name}.csv", rows)
    write(RESULTS / f"{name}_layers.csv", table)
    found = summary(rows, table)
    if asked.json:
        print(json.dumps({**found, "rows": rows}, indent=1))
        return 0
    for row in table:
        print(
            "{network:8} {block:8} {degree:16} {wcet_us:8} us {reduction:7.1%} {loss:7.4f}".format(
                **row
            )
        )
    for row in rows:
        if row["admitted"] and row["execution"] == "wcet":
            print(
                "{mix:5} {tasks} x{tightness} sharing {sharing:3} misses {misses} accuracy "
                "{accuracy:.4f} (exact EDF {exact_accuracy:.4f}) factor {factor:.2f}".format(**row)
            )
    print(json.dumps({k: v for k, v in found.items() if k != "layers"}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
