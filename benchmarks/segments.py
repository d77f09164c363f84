"""Whole networks on the accelerator: predicted against simulated cycles, segment by segment.

Places every layer that the accelerator computes on it (Ultra96-V2, DRAM 4.267 GB/s, 120 cycles
latency), compiles each segment into one command stream, runs it on the Verilated RTL through the
driver and compares its codes with the golden model; ``host_s`` is all of that, measured here.
Cycles are simulated; latency adds the driver model, whose constants are assumed
(`heterolith.sw.segments.latency`), on both sides; ``planned_us`` is what the plan charges for these
layers one by one. With --device functional the HLS C++ runs instead, which has no cycles. Weights
are random, ranges come from synthetic samples.

Run: python benchmarks/segments.py [--json] [NAME ...]. Without names it runs digits, ResNet-8,
ResNet-18 and the networks of the onnx wheel but VGG-19 (minutes) and writes
benchmarks/results/segments.csv.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import onnx
from networks import paths, randomize
from residual_networks import SHAPES, residual_network
from table import write

from heterolith import api
from heterolith.sw.network import Network
from heterolith.sw.offload import support

RESULTS = Path(__file__).parent / "results" / "segments.csv"
DIGITS = Path(__file__).parents[1] / "examples" / "digits" / "digits.onnx"
PLATFORM = "ultra96-v2"
SLOW = ("vgg19",)
"""38 million cycles: minutes more than all the others."""

NAMES = ("digits", *SHAPES, *(name for name in paths() if name not in SLOW))


def load(name: str) -> Network:
    """Return a network by name, with random weights unless it is the trained one."""
    if name == "digits":
        return api.load(DIGITS)
    model = residual_network(name) if name in SHAPES else randomize(paths()[name], 0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.onnx"
        onnx.save(model, file)
        return api.load(file)


def measure(name: str, device: str) -> dict[str, object]:
    """Return the figures of one network.

    Raises
    ------
    SystemExit
        If a code differs from the golden model's.
    """
    network = load(name)
    pins = {layer.name: "fpga" for layer in network.layers if not support(network, layer)}
    plan = api.plan(network, PLATFORM, pins=pins)
    planned_ns = sum(row.end_ns - row.start_ns for row in plan.assignments if row.device == "fpga")
    inputs = api.make_inputs(network, "random:0")
    with api.Runner(plan, network, device=device, threads=1) as runner:
        begin = time.perf_counter()
        result = runner.result(inputs)
        seconds = time.perf_counter() - begin
    totals = result.totals
    if not totals.bit_exact:
        raise SystemExit(f"{name}: codes differ from the golden model's")
    row: dict[str, object] = {
        "network": name,
        "device": device,
        "layers_on_fpga": sum(segment.layers for segment in result.segments),
        "layers": len(network.layers),
        "segments": len(result.segments),
        "commands": sum(segment.commands for segment in result.segments),
        "window_bytes": sum(segment.window_bytes for segment in result.segments),
        "bit_exact": totals.bit_exact,
    }
    if totals.cycles and totals.predicted_cycles and totals.latency_ns:
        predicted_ns = totals.predicted_latency_ns or 0
        row |= {
            "cycles_simulated": totals.cycles,
            "cycles_predicted": totals.predicted_cycles,
            "cycles_error_percent": _percent(totals.predicted_cycles, totals.cycles),
            "latency_us": round(totals.latency_ns / 1e3, 2),
            "predicted_latency_us": round(predicted_ns / 1e3, 2),
            "latency_error_percent": _percent(predicted_ns, totals.latency_ns),
            "planned_us": round(planned_ns / 1e3, 2),
        }
    return {**row, "host_s": round(seconds, 2)}


def _percent(found: int, true: int) -> float:
    return round(100 * (found / true - 1), 3)


def main() -> None:
    """Run the networks asked for, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ["digits", *SHAPES, *paths()]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--device", default="rtl", choices=("rtl", "functional"))
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    for name in options.names:
        if name not in known:
            parser.error(f"unknown network {name!r}; known: {', '.join(known)}")
    table = []
    for name in options.names or NAMES:
        table.append(measure(name, options.device))
        if not options.json:
            print(table[-1], flush=True)
    if not options.names and options.device == "rtl":
        write(RESULTS, table)
    if options.json:
        print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
