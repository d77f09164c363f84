"""Ask whether three kinds of resource accept more task sets than any two of them.

Task sets over four networks of the onnx wheel on ultra96-v2+jetson-tx2: the Ultra96's FPGA and CPU
cluster and the Jetson's GPU, data-sheet costs and 1 GbE between the boards. Layer-level allocation
with all three, and with each pair; utilization is that of the CPU, were it to compute all. Layers
that the FPGA cannot compute keep it from standing alone; a pair must compute every layer.

Run: python benchmarks/three_resources.py --sets 100 --json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import networks as wheel

from heterolith import api, boards, metrics
from heterolith.scheduler.realtime.convert import network_times
from heterolith.scheduler.realtime.profile import NetworkTimes
from heterolith.scheduler.realtime.sweep import Row, Study, local, sweep, to_csv, weighted

NETWORKS = ("squeezenet", "alexnet", "resnet50", "inception_v1")
RESOURCES = ("fpga", "cpu", "gpu")
RESULTS = Path(__file__).parent / "results" / "three_resources.csv"


def times(name: str) -> NetworkTimes:
    """Return the layer times of one network on the three resources."""
    platform = boards.load("ultra96-v2+jetson-tx2")
    network = api.load(wheel.paths()[name])
    made = network_times(metrics.estimate(network, platform), network, platform)
    keep = [[d.name for d in platform.devices].index(r) for r in RESOURCES]
    return NetworkTimes(
        name=name,
        layers=tuple(tuple(row[r] for r in keep) for row in made.layers),
        enter_ns=tuple(tuple(tuple(t[a][b] for b in keep) for a in keep) for t in made.enter_ns),
        source=made.source,
    )


def main(arguments: list[str]) -> int:
    """Run the declared sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=100, help="task sets per point")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(arguments)
    study = Study(
        networks=tuple(times(name) for name in NETWORKS),
        resources=RESOURCES,
        reference="cpu",
        counts=(3, 5),
        utilizations=(2.0, 4.0, 6.0, 8.0, 10.0, 12.0),
        policies=(
            "layer-level", "layer-level:fpga+cpu", "layer-level:fpga+gpu", "layer-level:cpu+gpu"
        ),
        sets=asked.sets,
        seed=asked.seed,
        evaluations=300,
    )  # fmt: skip
    rows: list[Row] = []
    for done, every, found in sweep(study, partial(local, jobs=asked.jobs)):
        rows = found
        RESULTS.write_text(to_csv(rows))
        if sys.stderr.isatty():
            print(f"\r{done}/{every} blocks", end="", file=sys.stderr)
    totals = {p: sum(r.schedulable for r in rows if r.policy == p) for p in study.policies}
    report = {
        "source": "simulated from data-sheet costs",
        "sets": asked.sets * len(study.counts) * len(study.utilizations),
        "schedulable": totals,
        "weighted": {k: round(v, 4) for k, v in weighted(rows).items()},
    }
    print(json.dumps(report, indent=1) if asked.json else report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
