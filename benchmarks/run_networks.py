"""Run the nine networks with seeded random weights over FPGA, GPU and CPU; compare with float32.

Run: python benchmarks/run_networks.py [--json] [--anew] [NAME ...]. Without names it writes
benchmarks/results/run_networks.csv; after Ctrl-C the same command goes on. Errors and host times
are measured on this machine: the FPGA is the bit-exact golden model, the GPU is ONNX Runtime on
whatever is there. Layers go to the three kinds in turn wherever more than one computes them; int8
ranges come from two synthetic samples.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from itertools import cycle
from pathlib import Path

import onnx
from networks import paths, randomize
from table import grow

from heterolith import api, metrics
from heterolith.sw import Network

PLATFORM = "ultra96-v2+jetson-tx2"
RESULTS = Path(__file__).parent / "results" / "run_networks.csv"
SEED = 0


def alternating(network: Network) -> dict[str, str]:
    """Return pins that hand runs of ten layers to FPGA, GPU and CPU in turn."""
    profile = metrics.estimate(network, api.platform(PLATFORM))
    able = {(cost.layer, cost.device) for cost in profile.costs}
    kinds, pins = cycle(("fpga", "gpu", "cpu")), {}
    for start in range(0, len(network.layers), max(1, min(10, len(network.layers) // 4))):
        device = next(kinds)
        for layer in network.layers[start : start + 10]:
            pins[layer.name] = device if (layer.name, device) in able else "cpu"
    return pins


def measure(name: str) -> list[dict[str, object]]:
    """Return the only row of one network."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.onnx"
        onnx.save(randomize(paths()[name], SEED), file)
        network = api.load(file)
        plan = api.plan(network, PLATFORM, pins=alternating(network))
        inputs = api.make_inputs(network, f"random:{SEED}")
        samples = [api.make_inputs(network, f"random:{SEED + k}") for k in (1, 2)]
        result = api.run(plan, network, inputs, calibration=samples, check=True)
    deviation = result.deviation
    if deviation is None:
        raise SystemExit("no reference")
    return [
        {
            "network": name,
            "kinds": "+".join(result.kinds_used),
            "int8_layers": sum(row.variant == "int8" for row in plan.assignments),
            "layers": len(plan.assignments),
            "max_abs_error": f"{deviation.max_abs_error:.3g}",
            "max_rel_error": f"{deviation.max_rel_error:.3g}",
            "top1_agrees": deviation.top1_agrees,
            "host_ms": round(result.trace.latency_ns / 1e6, 1),
        }
    ]


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks; default: all nine")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--anew", action="store_true", help="forget the rows of earlier runs")
    asked = parser.parse_args()
    if asked.names:
        rows = (row for name in asked.names for row in measure(name))
    else:
        steps = {name: partial(measure, name) for name in paths()}
        rows = grow(RESULTS, f"seed{SEED}", steps, anew=asked.anew)
    table = []
    for row in rows:
        table.append(row)
        if not asked.json:
            print(row, flush=True)
    if asked.json:
        print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
