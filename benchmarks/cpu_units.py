"""When compiling CPU layers pays: layer by layer against compiled, on plans that use the CPU.

Run: python benchmarks/cpu_units.py [--threads 1] [--json] [NAME ...]. The nine networks with seeded
random weights: on one CPU, and cut by every fifth or tenth layer on a second CPU, so that stretches
are short. Measured on this machine, medians, both in turn; ``repaid_after`` is the number of runs
after which compiling has paid for itself, ``error`` the largest difference between both relative to
the largest output. Without names, rows go to benchmarks/results/cpu_units.csv.
"""

from __future__ import annotations

import argparse
import json
from math import ceil
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from networks import randomized
from table import write

from heterolith import api
from heterolith.sw import Network

RESULTS = Path(__file__).parent / "results" / "cpu_units.csv"
PLATFORM = "ultra96-v2+jetson-tx2"
PLACES = ("cpu alone", "every fifth elsewhere", "every tenth elsewhere")


def pins(network: Network, place: str) -> dict[str, str]:
    """Return where each layer goes."""
    if place == PLACES[0]:
        return {"*": "cpu"}
    every = 5 if place == PLACES[1] else 10
    others = {layer.name: "jetson-tx2.cpu" for layer in network.layers[every - 1 :: every]}
    return {**others, "*": "cpu"}


def measure(name: str, path: Path, place: str, threads: int, repeats: int) -> dict[str, object]:
    """Return one row."""
    network = api.load(path)
    plan = api.plan(network, PLATFORM, pins=pins(network, place))
    inputs = api.make_inputs(network, "random:0")
    with (
        api.Runner(plan, network, threads=threads) as plain,
        api.Runner(plan, network, threads=threads) as compiled,
    ):
        expected, _ = plain.run(inputs)
        start = perf_counter()
        compiled.compile_cpu()
        compile_ms = (perf_counter() - start) * 1e3
        found, trace = compiled.run(inputs)
        times: dict[str, list[float]] = {"layers": [], "compiled": []}
        for _ in range(repeats):
            times["layers"].append(plain.run(inputs)[1].latency_ns / 1e6)
            times["compiled"].append(compiled.run(inputs)[1].latency_ns / 1e6)
    layers_ms, compiled_ms = (median(values) for values in times.values())
    gain = layers_ms - compiled_ms
    errors = (np.abs(found[x] - expected[x]).max() / np.abs(expected[x]).max() for x in expected)
    return {
        "network": name,
        "placement": place,
        "threads": threads,
        "layers": len(network.layers),
        "units": sum(event.kind != "convert" for event in trace.events),
        "layers_ms": round(layers_ms, 2),
        "compiled_ms": round(compiled_ms, 2),
        "ratio": round(compiled_ms / layers_ms, 3),
        "compile_ms": round(compile_ms, 1),
        "repaid_after": ceil(compile_ms / gain) if gain > 0 else "never",
        "error": f"{max(errors):.1e}",
    }


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks; default: all nine")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rows = []
    for name, file in randomized(arguments.names, 0):
        for place in PLACES:
            rows.append(measure(name, file, place, arguments.threads, arguments.repeats))
            if not arguments.json:
                print(rows[-1], flush=True)
    if arguments.json:
        print(json.dumps(rows, indent=2))
    if not arguments.names:
        write(RESULTS, rows)


if __name__ == "__main__":
    main()
