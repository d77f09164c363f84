"""Cost models and the machine's pace: networks profiled by themselves, at rest and beside a load.

Run: python benchmarks/cost_models_pace.py [--threads N] [--budget TIME] [--json], on an idle
machine, a few minutes. What a user does, command by command: `heterolith profile --sweep`, `fit`,
then `profile` and `evaluate` of networks of the onnx wheel with random weights, one at a time. All
of it twice: at rest, and while a process copies memory on another core. Each model is evaluated on
both, as predicted and at the pace that the reference network tells
(`heterolith.metrics.pace`). `again` profiles the networks once more at rest: what their own layers'
times of some minutes before would have told. Writes benchmarks/results/cost_models_pace.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx

from heterolith.metrics import models

NETWORKS = ("squeezenet", "shufflenet", "resnet50", "inception_v1", "densenet121", "vgg19")
LOAD = "import numpy as np; a = np.ones(1 << 26, 'f4'); b = a.copy()\nwhile True: np.copyto(b, a)"
STATES = ("at rest", "beside a load")


def heterolith(*arguments: object) -> str:
    """Run a command; return what it prints."""
    command = [sys.executable, "-m", "heterolith", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def state(name: str) -> Iterator[None]:
    """Keep the last core busy with copies of memory, or do nothing."""
    if name == STATES[0]:
        yield
        return
    last = max(os.sched_getaffinity(0))
    load = subprocess.Popen(["taskset", "-c", str(last), sys.executable, "-c", LOAD])
    try:
        yield
    finally:
        load.kill()
        load.wait()


def report(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Profile, fit and evaluate in both states."""
    paths = {name: networks.paths()[name] for name in NETWORKS}
    for name, path in paths.items():
        onnx.save(networks.randomize(path, 0), folder / f"{name}.onnx")
    threads = ("--threads", options.threads)
    for number, name in enumerate(STATES):
        sweep = folder / f"sweep{number}.csv"
        with state(name):
            probed = ("--sweep", "conv,fc,pool,elementwise", "--budget", options.budget)
            heterolith("profile", *probed, *threads, "--out", sweep)
            for network in NETWORKS:
                out = folder / f"{network}{number}.csv"
                heterolith("profile", folder / f"{network}.onnx", *threads, "--out", out)
        heterolith("fit", sweep, "--metric", "latency", "--out", folder / f"{number}.cost.json")
    rows = []
    for fitted, fitted_in in enumerate(STATES):
        for measured, measured_in in enumerate(STATES):
            for network in NETWORKS:
                csv = folder / f"{network}{measured}.csv"
                found = json.loads(
                    heterolith(
                        "evaluate", folder / f"{fitted}.cost.json", csv, "--extrapolate", "--json"
                    )
                )
                (error,), (paced,) = found["networks"].values(), found["pace"]["networks"].values()
                rows.append(
                    {
                        "sweep": fitted_in,
                        "profile": measured_in,
                        "network": network,
                        "layers": found["rows"],
                        "slower": found["pace"]["slower"],
                        "whole_network": error,
                        "whole_network_paced": paced,
                        "within_10pct": found["within_10pct"],
                        "within_10pct_paced": found["pace"]["within_10pct"],
                        "coverage_90": found["coverage"],
                    }
                )
    for network in NETWORKS:
        model, out = folder / f"{network}.onnx", folder / f"{network}2.csv"
        heterolith("profile", model, *threads, "--out", out)
    return {
        "source": "measured on the machine that ran this; predictions are fitted",
        "threads": options.threads,
        "rows": rows,
        "summary": [
            {"sweep": of, "profile": by, **summary(rows, of, by)} for of in STATES for by in STATES
        ],
        "again": again(folder),
    }


def again(folder: Path) -> dict[str, float]:
    """Return how many layers' times of the first profile hold for the last one within 10 %."""
    raw, paced = [], []
    for network in NETWORKS:
        first, last = (models.read([folder / f"{network}{i}.csv"], "latency")[0] for i in (0, 2))
        ratio = first.targets["latency"] / last.targets["latency"]
        slower = last.states["reference_ns"] / first.states["reference_ns"]
        raw += (np.abs(ratio - 1) <= 0.10).tolist()
        paced += (np.abs(ratio * slower - 1) <= 0.10).tolist()
    return {"within_10pct": float(np.mean(raw)), "within_10pct_paced": float(np.mean(paced))}


def summary(rows: list[dict[str, Any]], sweep: str, profile: str) -> dict[str, float]:
    """Return shares over all layers and the largest errors of networks of one pair of states."""
    part = [row for row in rows if (row["sweep"], row["profile"]) == (sweep, profile)]
    layers = sum(row["layers"] for row in part)
    shares = {
        key: sum(row[key] * row["layers"] for row in part) / layers
        for key in ("within_10pct", "within_10pct_paced")
    }
    worst = {
        f"worst_{key}": max(abs(row[key]) for row in part)
        for key in ("whole_network", "whole_network_paced")
    }
    slower = [row["slower"] for row in part]
    return {"slower_least": min(slower), "slower_most": max(slower), **shares, **worst}


def main() -> int:
    """Run, write and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", default="20s", help="time of a sweep")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = report(Path(folder), options)
    text = json.dumps(found, indent=1)
    (Path(__file__).parent / "results" / "cost_models_pace.json").write_text(text + "\n")
    if options.json:
        print(text)
        return 0
    for row in found["rows"]:
        print(
            f"sweep {row['sweep']}, {row['network']} {row['profile']}: {row['slower']:.3f} times "
            f"as long; network {row['whole_network']:+.1%}, at its pace "
            f"{row['whole_network_paced']:+.1%}; within 10 % {row['within_10pct']:.0%}, "
            f"{row['within_10pct_paced']:.0%}"
        )
    for row in [*found["summary"], {"again": found["again"]}]:
        print(json.dumps(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
