"""A CPU cost model from 200 probes, on networks that it has not seen, on this machine.

Run: python benchmarks/cost_models_cpu.py [--threads N] [--budget SECONDS] [--json]. Probes
(`heterolith.metrics.sweep`) and networks of the onnx wheel with random weights run in turns, one
pass of each, until the probes have taken the budget; then a model is fitted to the probes alone and
predicts the networks' layers. Two statistics over the passes: the median, and the minimum, which
other load on the machine moves least. `repeatable` compares the networks' odd passes with the even
ones: no prediction can be better than that. Writes benchmarks/results/cost_models_cpu.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import networks
import numpy as np
from numpy.typing import NDArray

from heterolith import api, metrics
from heterolith.metrics import Subject
from heterolith.metrics.models import CostModel, Samples, evaluate, layer_row, make_samples
from heterolith.metrics.sweep import KINDS, probes
from heterolith.sw import CpuWorker

HELD_OUT = ("alexnet", "densenet121", "inception_v1", "resnet50", "shufflenet", "squeezenet")
PROBES = 200
FEWEST_PASSES = 7
BY_LAYER = ("mape", "within_10pct", "coverage_90", "repeatable_within_10pct")
STATISTICS: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "median": lambda times: np.median(times, axis=0),
    "minimum": lambda times: times.min(axis=0),
}


def subjects(seed: int = 0) -> list[Subject]:
    """Return the held-out networks with random weights and inputs."""
    import onnx

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in networks.paths().items():
            if name in HELD_OUT:
                target = Path(folder) / f"{name}.onnx"
                onnx.save(networks.randomize(path, seed), target)
                network = api.load(target)
                found.append(Subject(network, api.make_inputs(network, f"random:{seed}")))
    return found


def measure(
    sweep: Sequence[Subject], held: Sequence[Subject], threads: int | None, budget_s: float
) -> tuple[NDArray[Any], list[NDArray[Any]], float]:
    """Return times of probes and of each network, shape (passes, layers), and probing seconds."""
    workers = [CpuWorker(threads) for _ in range(1 + len(held))]
    timed = [
        metrics.passes(part, worker, 1)
        for part, worker in zip([sweep, *([one] for one in held)], workers, strict=True)
    ]
    times: list[list[Any]] = [[] for _ in timed]
    spent = 0.0
    while spent < budget_s or len(times[0]) < FEWEST_PASSES:
        for index, part in enumerate(timed):
            begin = time.perf_counter()
            times[index].append(next(part))
            spent += time.perf_counter() - begin if index == 0 else 0.0
    for worker in workers:
        worker.close()
    return np.array(times[0]), [np.array(part) for part in times[1:]], spent


def samples(part: Sequence[Subject], latency_ns: NDArray[Any]) -> Samples:
    """Return samples of the layers that do work."""
    pairs = [(subject.network, layer) for subject in part for layer in subject.network.layers]
    rows = []
    for (network, layer), value in zip(pairs, latency_ns.tolist(), strict=True):
        row = layer_row(network, layer)
        if row.get("calls"):
            rows.append({**row, "device": "cpu", "variant": "fp32", "latency_ns": value})
    return make_samples(rows)


def network_report(model: CostModel, test: Samples, times: NDArray[Any]) -> dict[str, Any]:
    """Return the errors on one network."""
    found, prediction = evaluate(model, test)
    low, high = model.spread_.bounds(prediction.value, test.labels["family"])
    target = test.targets["latency"]
    (whole,) = found.networks.values()
    odd, even = (np.median(times[start::2], axis=0) for start in (0, 1))
    return {
        "layers": len(test),
        "mape": found.errors.mape,
        "within_10pct": found.errors.within_10pct,
        "coverage_90": float(((low <= target) & (target <= high)).mean()),
        "outside_range": found.outside / len(test),
        "whole_network": whole,
        "repeatable_within_10pct": float((np.abs(odd / even - 1) <= 0.10).mean()),
    }


def over_layers(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    """Return a figure of networks averaged over all their layers."""
    return float(np.average([row[key] for row in rows], weights=[row["layers"] for row in rows]))


def report(threads: int | None, budget_s: float) -> dict[str, Any]:
    """Measure, fit and predict."""
    sweep, held = probes(tuple(KINDS), PROBES), subjects()
    probed, measured, seconds = measure(sweep, held, threads, budget_s)
    result: dict[str, Any] = {
        "data": "cpu",
        "source": "measured on the machine that ran this; predictions are fitted",
        "threads": threads,
        "probes": len(sweep),
        "passes": len(probed),
        "probing_s": seconds,
        "target_within_10pct": 0.95,
        "target_whole_network": 0.07,
        "platforms": {},
    }
    for name, statistic in STATISTICS.items():
        model = CostModel().fit(samples(sweep, statistic(probed)))
        by_network = {
            one.network.name: network_report(model, samples([one], statistic(times)), times)
            for one, times in zip(held, measured, strict=True)
        }
        rows = list(by_network.values())
        result["platforms"][f"cpu {name}"] = {
            "rows": sum(row["layers"] for row in rows),
            "form": str(model.physics_.form),
            **{key: over_layers(rows, key) for key in BY_LAYER},
            "worst_whole_network": max(abs(row["whole_network"]) for row in rows),
            "by_network": by_network,
        }
    return result


def main() -> int:
    """Run, write and print the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of probing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = report(options.threads, options.budget)
    text = json.dumps(found, indent=1)
    path = Path(__file__).parent / "results" / "cost_models_cpu.json"
    path.write_text(text + "\n")
    if options.json:
        print(text)
        return 0
    for name, row in found["platforms"].items():
        print(
            f"{name:12} mape {row['mape']:.1%}; within 10 % {row['within_10pct']:.0%} of "
            f"{row['rows']} layers; worst network {row['worst_whole_network']:.0%}; coverage of "
            f"90 % intervals {row['coverage_90']:.0%}; the measurement repeats within 10 % for "
            f"{row['repeatable_within_10pct']:.0%}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
