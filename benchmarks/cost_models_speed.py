"""Time and memory of fitting and of costing, on samples of a made-up law.

Run: python benchmarks/cost_models_speed.py [--json]. Fits 100,000 layers of twenty networks; fits
models of a Jetson's CPU and GPU over clocks and costs ResNet-50 at 50 and at all 11,760 operating
points of jetson-tx2, and at the nominal point and 49 more of ultra96-v2+jetson-tx2. Times are the
median of five calls after a first one, the fit's is one call; memory is the process's peak after
the fit. Writes benchmarks/results/cost_models_speed.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
import numpy as np

from heterolith import api
from heterolith.metrics.models import CostModel, Form, Stored, make_samples, network_samples
from heterolith.metrics.models.samples import Samples, from_columns
from heterolith.metrics.table import cost_table
from heterolith.sw import Network

ROWS = 100_000
REPEATS = 5
PAIR = "ultra96-v2+jetson-tx2"


def made_up(count: int, seed: int = 0) -> Samples:
    """Return layers of twenty networks that obey one law with 5 % noise."""
    rng = np.random.default_rng(seed)
    index = np.arange(count)
    macs = np.round(10 ** rng.uniform(4, 8, count)) * (index % 4 > 0)
    moved = np.round(10 ** rng.uniform(3, 6, count))
    latency = 2000 + 0.05 * macs + 0.4 * moved * (1 + 3 * (macs == 0))
    columns: dict[str, Any] = {
        "network": np.char.mod("net%d", index % 20),
        "layer": np.char.mod("layer%d", index),
        "family": np.where(macs > 0, np.where(index % 3 > 0, "conv", "pointwise"), "maxpool"),
        "shape": np.where(macs > 0, np.where(index % 3 > 0, "conv 3", "pointwise 1"), "maxpool 2"),
        "variant": np.full(count, "fp32"),
        "calls": np.ones(count),
        "macs": macs,
        "steps": np.where(macs > 0, 0, 4 * moved),
        "activation_elements": moved,
        "weight_elements": np.where(macs > 0, np.round(10 ** rng.uniform(3, 6, count)), 0),
        "latency_ns": latency * np.exp(rng.normal(0, 0.05, count)),
    }
    return from_columns(columns, "made up")


def over_clocks(network: Network, device: str) -> Stored:
    """Return a model fitted on a network's layers at three core and two memory clocks."""
    work, rows = network_samples(network, device), []
    for core in (140.25, 675.75, 2035.2):
        for memory in (204.0, 1866.0):
            for index, name in enumerate(work.labels["layer"].tolist()):
                row: dict[str, object] = {k: v[index] for k, v in work.work.items()}
                macs, moved = (
                    float(work.total(key)[index]) for key in ("macs", "activation_elements")
                )
                if moved:
                    latency = 500 + macs / core * 10 + moved / memory * 100
                    labels = {"network": f"n{index % 3}", "layer": name, "variant": "fp32"}
                    clocks = {"core_mhz": core, "memory_mhz": memory}
                    rows.append({**row, **labels, **clocks, "latency_ns": latency})
    model = CostModel(form=Form()).fit(make_samples(rows))
    return Stored(model=model, device=device, source="fitted", data_sha256="", rows=len(rows))


def seconds(call: Callable[[], object]) -> float:
    """Return the median time of some calls after a first one."""
    times = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return float(np.median(times[1:]))


def report() -> dict[str, Any]:
    """Measure everything."""
    samples = made_up(ROWS)
    begin = time.perf_counter()
    model = CostModel().fit(samples)
    fit_s = time.perf_counter() - begin
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    network = api.load(networks.paths()["resnet50"])
    tx2, pair = api.platform("jetson-tx2"), api.platform(PAIR)
    models = {name: over_clocks(network, name) for name in ("cpu", "gpu")}
    every = list(tx2.operating_points())
    mixed = [None, *list(pair.operating_points())[:: len(list(pair.operating_points())) // 49][:49]]
    known = {device.name for device in pair.devices}
    both = {name: stored for name, stored in models.items() if name in known}
    return {
        "source": "measured on the machine that ran this",
        "fit_rows": ROWS,
        "fit_s": fit_s,
        "fit_mape": model.errors_[0].mape,
        "fit_peak_mb": peak_mb,
        "points_50_ms": 1e3
        * seconds(lambda: cost_table(network, tx2, models, every[:: len(every) // 50][:50])),
        "pair_points_50_ms": 1e3 * seconds(lambda: cost_table(network, pair, both, mixed)),
        "pair_fitted": sorted(both),
        "points_all": len(every),
        "points_all_s": seconds(lambda: cost_table(network, tx2, models, every)),
        "targets": {
            "fit_s": 10,
            "fit_peak_mb": 1024,
            "points_50_ms": 50,
            "pair_points_50_ms": 50,
            "points_all_s": 2,
        },
    }


def main() -> int:
    """Run, write and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = report()
    text = json.dumps(found, indent=1)
    (Path(__file__).parent / "results" / "cost_models_speed.json").write_text(text + "\n")
    if options.json:
        print(text)
        return 0
    for name, most in found["targets"].items():
        print(f"{name:18} {found[name]:.3g}, wanted at most {most}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
