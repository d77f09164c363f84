"""NeuOS: energy, latency, misses and accuracy of cohorts in each mode, beside governors.

Declared sweep: cohorts of 1, 2, 4, 8 networks in turn; deadline = period, the tightness (1.0, 1.15,
1.5) times what the cohort needs exact, times 1 to 1.5 by network; a change of the operating point
takes 300 us (Linux, tegra186-cpufreq), and 100 and 0 us for comparison; times uniform between BCET
(70 %) and WCET. Points: the whole DVFS space of the Jetson TX2. Accuracy from recorded images,
times and powers data-sheet: **simulated**. Reported beside the headlines of the slides (Bateni and
Liu, ATC 2020), never tuned.

Run: python benchmarks/neuos.py --json. Writes results/neuos.csv. --plot FILE draws the LAG of one
inference of each network; --decision times decisions on this machine; --power checks the model of
the GPU's power.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, product
from pathlib import Path
from random import Random
from statistics import mean
from time import thread_time_ns
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from adaptive_networks import NETWORKS, priced
from table import write

from heterolith import boards
from heterolith.scheduler.adaptive.model import AdaptiveTask, Scenario
from heterolith.scheduler.adaptive.neuos import MaxFrequency, NeuOS, PredJoule, RaceToIdle
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.pricing import Priced
from heterolith.scheduler.adaptive.run import PolicyRow, evaluate
from heterolith.scheduler.adaptive.space import IDLE, Space, Work, active_w, times, top_of
from heterolith.scheduler.realtime.simulate import Machine

RESULTS = Path(__file__).parent / "results"
COHORTS = (1, 2, 4, 8)
TIGHTNESS = (1.0, 1.15, 1.5)
SWITCH_US = (300, 100, 0)
GOALS = ("min-energy", "balanced", "balanced-norm", "max-accuracy")
POLICIES = (*GOALS, "predjoule", "max-frequency", "race-to-idle")
MISSES = 0.0325
PUBLISHED = {
    "energy_saved": {"jetson-tx2": 0.68, "jetson-agx-xavier": 0.46},
    "latency_saved": {"jetson-tx2": 0.68, "jetson-agx-xavier": 0.40},
    "misses": MISSES,
}
"""Slides; which baseline each figure refers to is not recoverable from them."""
ORDER = ("min-energy", "balanced", "max-accuracy", "max-frequency")
MEASURED_W = {
    "maxn": {"CNV": 15.1, "GoogLeNet": 12.79, "ResNet-50": 14.58},
    "maxp": {"CNV": 11.1, "GoogLeNet": 9.15, "ResNet-50": 10.54},
    "maxq": {"CNV": 8.6},
}
"""QuTiBench: full power of a TX2 at fp32, batch 1 (RCL-lab/QutibenchWeb, Apache-2.0)."""
CLOCKS_MHZ = {"maxn": (2035.2, 1300.5, 1866.0), "maxp": (1400.0, 1120.0, 1600.0),
              "maxq": (1200.0, 850.0, 1331.2)}  # fmt: skip
"""CPU, GPU, memory in these modes: nvpmodel_t186.conf. Denver is off in maxq alone."""


def make(name: str, scenario: Scenario) -> AdaptivePolicy:
    """Return a policy of the study."""
    governors = {
        "predjoule": PredJoule,
        "max-frequency": MaxFrequency,
        "race-to-idle": RaceToIdle,
    }
    return governors[name](scenario) if name in governors else NeuOS(scenario, name)


def scenario(
    made: Priced, count: int, tightness: float, switch_us: int, asked: tuple[int, int]
) -> Scenario:
    """Return a cohort; `asked` are seed and periods of the longest network to simulate."""
    seed, periods = asked
    rng = Random(f"{seed} {count}")
    names = [NETWORKS[(seed + i) % len(NETWORKS)] for i in range(count)]
    together = sum(made.networks[name].wcet_ns for name in names)
    tasks = []
    for index, name in enumerate(names):
        period = round(together * tightness * rng.uniform(1, 1.5))
        tasks.append(
            AdaptiveTask(
                name=f"{name}-{index}",
                network=made.networks[name],
                period_ns=period,
                deadline_ns=period,
                hard=False,
                offset_ns=rng.randrange(period),
            )
        )
    return Scenario(
        name=f"cohort-{count}",
        board=replace(made.board, switch_ns=switch_us * 1000),
        tasks=tuple(tasks),
        horizon_ns=periods * max(task.period_ns for task in tasks) + 1,
        seed=seed,
        execution="uniform",
    )


def measure(made: Priced, asked: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row per point of the sweep, means over seeds."""
    for switch_us, tightness, count in product(SWITCH_US, TIGHTNESS, COHORTS):
        cases = [
            scenario(made, count, tightness, switch_us, (seed, asked.periods))
            for seed in range(asked.seeds)
        ]
        for name in POLICIES:
            rows = [evaluate(name, make(name, case)) for case in cases]
            yield {
                "switch_us": switch_us,
                "tightness": tightness,
                "cohort": count,
                "policy": name,
                **_mean(rows),
            }


def _mean(rows: Sequence[PolicyRow]) -> dict[str, float]:
    jobs, misses = sum(row.jobs for row in rows), sum(row.misses for row in rows)
    return {
        "jobs": jobs,
        "miss_rate": round(misses / jobs, 5),
        "mj_per_job": round(mean(row.energy_mj / row.jobs for row in rows), 4),
        "mean_ms": round(mean(row.mean_ms for row in rows), 4),
        "p99_ms": round(mean(row.p99_ms for row in rows), 4),
        "accuracy": round(mean(row.accuracy or 0 for row in rows), 4),
        "loss": round(mean(row.mean_loss for row in rows), 5),
        "switches_per_job": round(mean(row.switches / row.jobs for row in rows), 3),
    }


def cells(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return per point whether the orderings hold, and what each mode saves of max-frequency."""
    found = []
    for (switch_us, tightness, count), group in groupby(
        rows, key=lambda r: (r["switch_us"], r["tightness"], r["cohort"])
    ):
        by = {row["policy"]: row for row in group}
        energy, loss = ([by[name][what] for name in ORDER] for what in ("mj_per_job", "loss"))
        found.append(
            {
                "switch_us": switch_us,
                "tightness": tightness,
                "cohort": count,
                "energy_rises": energy == sorted(energy),
                "energy_rises_strictly": energy == sorted(set(energy)),
                "loss_falls": loss == sorted(loss, reverse=True),
                "misses_hold": all(by[goal]["miss_rate"] <= MISSES for goal in GOALS),
                "energy_saved": {
                    name: round(1 - by[name]["mj_per_job"] / energy[-1], 3) for name in GOALS
                },
                "energy_saved_of_race_to_idle": round(
                    1 - by["balanced"]["mj_per_job"] / by["race-to-idle"]["mj_per_job"], 3
                ),
                "energy_saved_of_predjoule": round(
                    1 - by["balanced"]["mj_per_job"] / by["predjoule"]["mj_per_job"], 3
                ),
            }
        )
    return found


def lag_report(made: Priced, asked: argparse.Namespace) -> dict[str, float]:
    """Return how many jobs are ahead before their last block, and at their end (cohort of 4).

    By the clock, as the policy decides, and by the time that a job's own layers took, as the slides
    say ("tracked execution time"): on one resource waiting for others is not the job's own.
    """
    case = scenario(made, 4, 1.15, SWITCH_US[0], (0, asked.periods))
    policy = NeuOS(case, "balanced", record=True)
    evaluate("balanced", policy)
    whole = [
        entries
        for entries in _jobs(policy).values()
        if len(entries) == len(case.tasks[entries[0][0]].network.layers) + 1
    ]
    return {
        f"{name}_{kind}": round(mean(entries[at][which] >= 0 for entries in whole), 4)
        for kind, which in (("by_clock", 3), ("by_execution", 4))
        for name, at in (("ahead_before_last_block", -2), ("ahead_at_end", -1))
    }


def _jobs(policy: NeuOS) -> dict[tuple[int, int], list[tuple[int, ...]]]:
    found: dict[tuple[int, int], list[tuple[int, ...]]] = {}
    for entry in policy.lags or []:
        found.setdefault(entry[:2], []).append(entry)
    return found


def plot(made: Priced, path: Path) -> None:
    """Draw the LAG of one inference of each network of a cohort of 4."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    case = scenario(made, 4, 1.15, 0, (0, 20))
    policy = NeuOS(case, "balanced", record=True)
    evaluate("balanced", policy)
    figure, axes = plt.subplots(figsize=(8, 4))
    whole = [
        e for e in _jobs(policy).values() if len(e) == 1 + len(made.networks[NETWORKS[0]].layers)
    ]
    start = sorted(whole, key=lambda e: e[0][1])[len(whole) // 2][0][1]
    for index, task in enumerate(case.tasks):
        entries = next(e for e in whole if e[0][0] == index and e[0][1] >= start)
        at = [entry[2] - start for entry in entries]
        ahead = [entry[3] / 1e6 for entry in entries]
        axes.plot([now / 1e6 for now in at], ahead, marker="o", label=task.name)
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel("time, ms")
    axes.set_ylabel("LAG, ms (positive: ahead)")
    axes.set_title("NeuOS balanced, cohort of 4: LAG at every boundary (simulated)")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


class Timed(NeuOS):
    """Times its decisions, in processor time: others share this machine."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, "balanced")
        self.times_ns: list[int] = []

    def point(self, machine: Machine) -> int | None:  # noqa: D102
        begin = thread_time_ns()
        found = super().point(machine)
        if found is not None:
            self.times_ns.append(thread_time_ns() - begin)
        return found


def decision(made: Priced) -> dict[str, float]:
    """Return what a decision takes in a cohort of 8, on this machine."""
    policy = Timed(scenario(made, 8, 1.0, 0, (0, 100)))
    evaluate("timed", policy)
    spent = np.array(policy.times_ns) / 1e3
    return {
        "decisions": len(spent),
        "median_us": round(float(np.median(spent)), 1),
        "p99_us": round(float(np.quantile(spent, 0.99)), 1),
        "points_in_table": len(made.board.points),
    }


def power_check() -> list[dict[str, Any]]:
    """Compare full GPU power in three modes with measurements; only maxn went into the model."""
    platform = boards.load("jetson-tx2")
    gpu, idle = platform.device("gpu"), IDLE["jetson-tx2"]
    host, core, memory = (np.array(c) for c in zip(*CLOCKS_MHZ.values(), strict=True))
    low, high = idle.second_w
    denver = low + (high - low) * (host - 345.6) / (2035.2 - 345.6) + idle.further_w
    space = Space(
        enumerated=3,
        points=tuple(platform.operating_points())[:3],
        host=host / 2035.2,
        core=core / 1300.5,
        memory=memory / 1866,
        cores=np.ones(3),
        idle_w=platform.idle_w
        + idle.memory_w * (memory - 204) / (1866 - 204)
        + denver * np.array([1, 1, 0]),
    )
    work = [Work(operations=10**10, moved_bytes=1, weight_bytes=1, rate=gpu.fp32_gmacs)]
    watts = active_w(*times(work, space, platform, gpu), space, platform, gpu) + space.idle_w
    assert top_of(space) == 0
    return [
        {
            "mode": mode,
            "network": name,
            "measured_w": measured,
            "model_w": round(float(watts[at]), 2),
            "error": round(float(watts[at]) / measured - 1, 3),
        }
        for at, mode in enumerate(CLOCKS_MHZ)
        for name, measured in MEASURED_W[mode].items()
    ]


def main(arguments: Sequence[str]) -> int:
    """Run the sweep, or what was asked for alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--board", default="jetson-tx2")
    parser.add_argument("--device", default="cpu", choices=("cpu", "gpu"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--periods", type=int, default=100, help="simulated, of the longest task")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--decision", action="store_true")
    parser.add_argument("--power", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    if asked.power:
        print(json.dumps(power_check(), indent=1))
        return 0
    made = priced(asked.board, asked.device)
    if asked.decision:
        print(json.dumps(decision(made), indent=1))
        return 0
    if asked.plot:
        plot(made, asked.plot)
        return 0
    rows = list(measure(made, asked))
    name = (
        "neuos"
        if (asked.board, asked.device) == ("jetson-tx2", "cpu")
        else (f"neuos_{asked.board}_{asked.device}")
    )
    write(RESULTS / f"{name}.csv", rows)
    found = cells(rows)
    report = {
        "simulated": True,
        "published": PUBLISHED,
        "points_in_table": len(made.board.points),
        "lag": lag_report(made, asked),
        "cells": found,
    }
    if asked.json:
        print(json.dumps({**report, "rows": rows}, indent=1))
        return 0
    for row in rows:
        print(
            "{switch_us:3} us x{tightness:<4} cohort {cohort} {policy:13} {mj_per_job:8.3f} mJ "
            "{mean_ms:7.3f} ms p99 {p99_ms:7.3f} misses {miss_rate:7.3%} accuracy {accuracy:.4f} "
            "loss {loss:.4f}".format(**row)
        )
    print(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
