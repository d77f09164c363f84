"""Two cases that NNgen was measured on, on the RTL: MACs per cycle and DSP slice.

The cases are a 3x3 convolution of 64 to 64 channels on 28 x 28 pixels and a stack of a 3x3, a 1x1,
a 3x3 of stride 2 and a 1x1 convolution. NNgen 1.3.4 (int8, 128-bit AXI, simulated) was run with a
memory without added latency: here that is 16 bytes per cycle for both directions together and no
latency. Each case is run on the Ultra96's memory too (4.27 GB/s at 300 MHz, 120 cycles).

The stack's published 25,690,112 MACs are not those of 64 channels throughout, which make
40,140,800. They are exactly those of an input of 32 channels, and no other count of one tensor's
channels, of all channels or of pixels gives them; NNgen's 418,329 cycles agree (half of the 207,625
of its 3x3 case, 206,105 of its 1x1 case and a quarter of each: 415,237). Both stacks are run.

DSP slices are those that `heterolith.hw.config` counts; the table has those that Yosys counts too
(results/area.csv). Memory afterwards is compared with the functional device's, bit for bit.

Run: python benchmarks/nngen_cases.py --json. It writes benchmarks/results/nngen_cases.csv for
ultra96, the configuration that the comparison is about.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

from accelerator import run
from accelerator_networks import Stack, finish
from table import write

from heterolith.hw.config import ArrayConfig, config
from heterolith.hw.device.verilated import DramModel
from heterolith.hw.timing.timeline import Dram

RESULTS = Path(__file__).parent / "results"

STACK = ((3, 1), (1, 1), (3, 2), (1, 1))
"""Kernel and stride of the stack's convolutions."""

CASES = {
    "conv3x3": (64, STACK[:1], 0.870, 1.5),
    "mix, 32 input channels": (32, STACK, 0.384, 1.3),
    "mix, 64 input channels": (64, STACK, None, 1.3),
}
"""Input channels, layers, NNgen's MACs per cycle and DSP slice, and the target."""

MEMORIES = {
    "no latency": DramModel(bytes_per_cycle=16.0, latency_cycles=0),
    "ultra96": DramModel(bytes_per_cycle=4.27e3 / 300, latency_cycles=120),
}

Row = dict[str, str | int | float | None]


def synthesized_dsp(name: str) -> int | None:
    """Return the DSP slices of a configuration in results/area.csv, None where it is not."""
    with (RESULTS / "area.csv").open(newline="", encoding="utf-8") as file:
        found = [int(line["dsp"]) for line in csv.DictReader(file) if line["config"] == name]
    return found[0] if found else None


def measure(case: str, memory: str, array: ArrayConfig) -> Row:
    """Return the simulated figures of one case on one memory."""
    channels, layers, nngen, target = CASES[case]
    dram = MEMORIES[memory]
    model = Dram(bytes_per_cycle=dram.bytes_per_cycle, latency_cycles=dram.latency_cycles)
    stack = Stack(array, model, (1, channels, 28, 28))
    x = stack.input
    for kernel, stride in layers:
        x = stack.conv(x, 64, kernel, stride)
    network = finish(stack, x)
    counters, _, _ = run(network, array, dram)
    rate = network.macs / counters.cycles
    slices = synthesized_dsp(array.name)
    return {
        "case": case,
        "memory": memory,
        "config": array.name,
        "origin": "simulated (RTL in Verilator)",
        "macs": network.macs,
        "cycles": counters.cycles,
        "utilization": round(rate / array.macs_per_cycle, 4),
        "dsp": array.dsp,
        "macs_per_cycle_per_dsp": round(rate / array.dsp, 3),
        "dsp_synthesized": slices,
        "macs_per_cycle_per_dsp_synthesized": round(rate / slices, 3) if slices else None,
        "target": target,
        "nngen_macs_per_cycle_per_dsp": nngen,
        "dram_bytes": (counters.read_beats + counters.write_beats) * network.job.geometry.lanes,
    }


def main() -> None:
    """Run each case on each memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="ultra96")
    parser.add_argument("--json", action="store_true", help="a JSON object per case and line")
    options = parser.parse_args()
    array = config(options.config)
    rows = [measure(case, memory, array) for memory in MEMORIES for case in CASES]
    for row in rows:
        print(json.dumps(row) if options.json else " ".join(f"{k} {v}" for k, v in row.items()))
    if array.name == "ultra96":
        write(RESULTS / "nngen_cases.csv", rows)


if __name__ == "__main__":
    main()
