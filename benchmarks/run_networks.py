"""Run the nine networks with seeded random weights over FPGA, GPU and CPU; compare with float32.

Run: python benchmarks/run_networks.py [--json] [NAME ...]. Writes
benchmarks/results/run_networks.csv. Errors and host times are measured on this machine: the FPGA is
the bit-exact golden model, the GPU is ONNX Runtime on whatever is there. Layers go to the three
kinds in turn wherever more than one computes them; int8 ranges come from two synthetic samples.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import onnx
from networks import paths, randomize

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


def rows(names: Sequence[str]) -> Iterator[dict[str, object]]:
    """Yield one row per network."""
    with tempfile.TemporaryDirectory() as folder:
        for name, path in paths().items():
            if names and name not in names:
                continue
            file = Path(folder) / f"{name}.onnx"
            onnx.save(randomize(path, SEED), file)
            network = api.load(file)
            plan = api.plan(network, PLATFORM, pins=alternating(network))
            inputs = api.make_inputs(network, f"random:{SEED}")
            samples = [api.make_inputs(network, f"random:{SEED + k}") for k in (1, 2)]
            result = api.run(plan, network, inputs, calibration=samples, check=True)
            file.unlink()
            deviation = result.deviation
            if deviation is None:
                raise SystemExit("no reference")
            yield {
                "network": name,
                "kinds": "+".join(result.kinds_used),
                "int8_layers": sum(row.variant == "int8" for row in plan.assignments),
                "layers": len(plan.assignments),
                "max_abs_error": f"{deviation.max_abs_error:.3g}",
                "max_rel_error": f"{deviation.max_rel_error:.3g}",
                "top1_agrees": deviation.top1_agrees,
                "host_ms": round(result.trace.latency_ns / 1e6, 1),
            }


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks; default: all nine")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    table = []
    for row in rows(arguments.names):
        table.append(row)
        if not arguments.json:
            print(row, flush=True)
    if not arguments.names:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
    if arguments.json:
        print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
