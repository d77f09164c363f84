"""Errors and coverage of fitted cost models on networks they have not seen.

Run: python benchmarks/cost_models.py --data qutibench|cpu [--path FILE] [--json]. QuTiBench is a
table of published measurements (RCL-lab/QutibenchWeb, Apache-2.0; Blott et al., JETC 2019), found
at --path or $HETEROLITH_QUTIBENCH; cpu measures this machine and predicts in the same run. Every
held-out network is unknown to the whole fit: form, coefficients and interval. Writes
benchmarks/results/cost_models_<data>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cost_models_cpu
import numpy as np
from numpy.typing import NDArray

from heterolith.metrics.importers import qutibench
from heterolith.metrics.models import CostModel, Samples, activity
from heterolith.metrics.models.crossval import errors, folds

RESULTS = Path(__file__).parent / "results"
TARGETS = {"dpu": 0.10, "tx2": 0.20, "a53": 0.20, "finn": 0.20, "bismo": 0.20}
"""Largest mean relative error wanted on networks left out."""
SUBSETS = 6
"""Random training sets at each point of a learning curve."""

Floats = NDArray[np.float64]


def held_out(
    samples: Samples, metric: str, labels: NDArray[Any]
) -> tuple[Floats, NDArray[np.bool_], float]:
    """Return predictions, which rows their 90 % interval holds, and the share out of range.

    Each group is predicted by a model that was chosen, fitted and given its interval without it.
    """
    predicted, held = np.zeros(len(samples)), np.zeros(len(samples), dtype=bool)
    outside = 0
    for rows in folds(labels):
        model, test = CostModel(metric=metric).fit(samples.take(~rows)), samples.take(rows)
        predicted[rows] = model.physics_.predict(test)
        low, high = model.spread_.bounds(predicted[rows], test.labels["family"])
        held[rows] = (low <= test.targets[metric]) & (test.targets[metric] <= high)
        outside += sum(map(bool, model.outside(test)))
    return predicted, held, outside / len(samples)


def log_linear(samples: Samples) -> Floats:
    """Return the usual baseline, left out the same way: log time on log work and batch."""
    target, labels = np.log(samples.targets["latency"]), samples.labels["network"]
    images = np.maximum(samples.total("images"), 1)
    columns = [np.ones(len(samples)), np.log(samples.total("macs") / images), np.log(images)]
    matrix, predicted = np.stack(columns, axis=1), np.zeros(len(samples))
    for rows in folds(labels):
        solution = np.linalg.lstsq(matrix[~rows], target[~rows], rcond=None)[0]
        predicted[rows] = matrix[rows] @ solution
    return np.exp(predicted)


def learning_curve(samples: Samples, seed: int = 0) -> list[dict[str, float]]:
    """Return the error on all other networks after fitting k of them, over random choices of k."""
    rng = np.random.default_rng(seed)
    names = np.array(sorted(set(samples.labels["network"].tolist())))
    curve = []
    for count in range(3, len(names)):
        found = []
        for _ in range(SUBSETS):
            known = np.isin(samples.labels["network"], rng.choice(names, count, replace=False))
            model = CostModel().fit(samples.take(known))
            test = samples.take(~known)
            ratio = model.physics_.predict(test) / test.targets["latency"]
            found.append(float(np.mean(np.abs(ratio - 1))))
        curve.append({"networks": count, "mape": float(np.median(found))})
    return curve


def calibrated(samples: Samples, predicted: Floats, metric: str, keys: Sequence[Any]) -> Floats:
    """Return predictions scaled by what the first row of each key says; that row is NaN."""
    result = np.full(len(samples), np.nan)
    first: dict[Any, int] = {}
    for row, key in enumerate(keys):
        origin = first.setdefault(key, row)
        if origin != row:
            factor = samples.targets[metric][origin] / predicted[origin]
            result[row] = predicted[row] * factor
    return result


def coverage_by_chance(networks: int) -> list[float]:
    """Return between what shares the coverage of true 90 % intervals lies in 95 % of cases.

    Rows of a network are held or missed together: as many draws count as there are networks.
    """
    from scipy import stats

    low, high = stats.binom.interval(0.95, networks, 0.9)
    return [float(low / networks), float(high / networks)]


def pipelined(samples: Samples) -> dict[str, float]:
    """Return the error of a pipeline whose start and interval are read off two rows per network.

    Latency of b images is that of the first plus (b - 1) intervals, as in any dataflow accelerator.
    The smallest and the largest batch of a network in one format give both figures; the rows
    between are predicted. What is left is what knowing how a network was folded would leave.
    """
    images, target = samples.total("images"), samples.targets["latency"]
    names = np.char.add(samples.labels["network"], samples.labels["variant"])
    found: list[float] = []
    for name in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == name)
        first, *middle, last = rows[np.argsort(images[rows])]
        interval = (target[last] - target[first]) / (images[last] - images[first])
        predicted = target[first] + interval * (images[middle] - images[first])
        found += np.abs(predicted / target[middle] - 1).tolist()
    return {"mape": float(np.mean(found)), "within_10pct": float((np.array(found) <= 0.1).mean())}


def platform_report(path: Path, platform: str) -> dict[str, Any]:
    """Return the errors of one platform of QuTiBench."""
    samples = qutibench.read(path, platform).samples
    labels, target = samples.labels["network"], samples.targets["latency"]
    predicted, held, outside = held_out(samples, "latency", labels)
    found = errors(predicted, target, labels, "network")
    baseline = errors(log_linear(samples), target, labels, "network")
    one = errors(
        calibrated(
            samples,
            predicted,
            "latency",
            list(zip(labels.tolist(), samples.labels["variant"].tolist(), strict=True)),
        ),
        target,
        labels,
        "network",
    )
    names = dict.fromkeys(labels.tolist())
    everything = CostModel().fit(samples).physics_.predict(samples)
    return {
        "rows": len(samples),
        "networks": len(names),
        "mape": found.mape,
        "within_10pct": found.within_10pct,
        "coverage_90": float(held.mean()),
        "coverage_90_by_chance": coverage_by_chance(len(names)),
        "outside_range": outside,
        "target_mape": TARGETS.get(platform),
        "in_sample_mape": float(np.abs(everything / target - 1).mean()),
        "log_linear_mape": baseline.mape,
        "calibrated_by_one_row_mape": one.mape,
        "by_network": {
            name: float(np.abs(predicted / target - 1)[labels == name].mean()) for name in names
        },
    }


def modes_apart(samples: Samples) -> Floats:
    """Return relative errors of power in one mode, from the same workload measured in another.

    Static power and swing come from other networks; all ordered pairs of modes count.
    """
    labels, modes = samples.labels["network"], samples.labels["point"]
    found: list[float] = []
    for rows in folds(labels):
        model, test = activity.fit(samples.take(~rows)), samples.take(rows)
        level, mode, name = model.activity(test), modes[rows], activity.workloads(test)
        for known in sorted(set(mode.tolist())):
            given = dict(zip(name[mode == known].tolist(), level[mode == known], strict=True))
            others = test.take(mode != known)
            seen = np.array([given[key] for key in name[mode != known].tolist()])
            ratio = model.predict(seen, others) / others.targets["power"]
            found += np.abs(ratio - 1).tolist()
    return np.array(found)


def power_report(path: Path) -> dict[str, Any]:
    """Return errors of mean power over the TX2's modes."""
    samples = qutibench.read(path, "tx2").samples
    labels, target = samples.labels["network"], samples.targets["power"]
    predicted, held, _ = held_out(samples, "power", labels)
    unseen = errors(predicted, target, labels, "network")
    modes = samples.labels["point"]
    by_mode, held_mode, _ = held_out(samples, "power", modes)
    mode = errors(by_mode, target, modes, "mode")
    seen_once = modes_apart(samples)
    return {
        "rows": len(samples),
        "target_mape": 0.05,
        "network_unseen": {
            "mape": unseen.mape,
            "within_10pct": unseen.within_10pct,
            "coverage_90": float(held.mean()),
        },
        "mode_unseen": {
            "mape": mode.mape,
            "within_10pct": mode.within_10pct,
            "coverage_90": float(held_mode.mean()),
        },
        "workload_measured_in_one_mode": {
            "mape": float(seen_once.mean()),
            "within_10pct": float((seen_once <= 0.10).mean()),
        },
    }


def qutibench_report(path: Path) -> dict[str, Any]:
    """Return the errors of every platform, and the learning curve of those above their target."""
    platforms: dict[str, Any] = {}
    for platform in qutibench.PLATFORMS:
        platforms[platform] = found = platform_report(path, platform)
        wanted = found["target_mape"]
        if wanted is not None and found["mape"] > wanted:
            samples = qutibench.read(path, platform).samples
            found["learning_curve"] = learning_curve(samples)
            found["pipeline_known"] = pipelined(samples)
    return {
        "data": "qutibench",
        "source": "measured by RCL-lab/QutibenchWeb; predictions are fitted",
        "validation": "leave one network out, form and interval chosen without it",
        "platforms": platforms,
        "power_tx2": power_report(path),
    }


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield the report as lines of text."""
    for name, row in report["platforms"].items():
        wanted = f", wanted {row['target_mape']:.0%}" if row.get("target_mape") else ""
        yield (
            f"{name:8} mape {row['mape']:.1%}{wanted}; within 10 % {row['within_10pct']:.0%}; "
            f"coverage of 90 % intervals {row['coverage_90']:.0%}, by chance "
            f"{row['coverage_90_by_chance'][0]:.0%} to {row['coverage_90_by_chance'][1]:.0%} on "
            f"{row['networks']} networks; {row['rows']} rows"
        )
        if "learning_curve" in row:
            yield f"         fitted on all networks, in sample: mape {row['in_sample_mape']:.0%}"
        for point in row.get("learning_curve", ()):
            yield f"         fitted on {point['networks']} networks: mape {point['mape']:.0%}"
        if "pipeline_known" in row:
            known = row["pipeline_known"]["mape"]
            yield f"         first image and interval of each network known: mape {known:.1%}"
    for name, row in report.get("power_tx2", {}).items():
        if isinstance(row, dict):
            yield f"power    {name}: mape {row['mape']:.1%}"


def main() -> int:
    """Run one data set and write its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=("qutibench", "cpu"), default="qutibench")
    parser.add_argument("--path", type=Path, help="QuTiBench table")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if options.data == "cpu":
        sys.argv = [sys.argv[0], *(["--json"] if options.json else [])]
        return cost_models_cpu.main()
    path = options.path or Path(os.environ.get("HETEROLITH_QUTIBENCH", "qutibench_full974.csv"))
    if not path.exists():
        print(f"no table at {path}; give it with --path or HETEROLITH_QUTIBENCH", file=sys.stderr)
        return 1
    report = qutibench_report(path)
    text = json.dumps(report, indent=1)
    (RESULTS / f"cost_models_{options.data}.json").write_text(text + "\n")
    print(text if options.json else "\n".join(lines(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
