"""Whole networks on the RTL: cycles and MAC utilization, beside the DPU's published figures.

Runs every layer of each network of `accelerator_networks` on the Verilated core with a DRAM model
(4.27 GB/s at 300 MHz, 120 cycles latency unless given), random int8 data, and compares the memory
afterwards with that of the functional device bit for bit. All figures but the DPU's are simulated:
no timing closure stands behind 300 MHz. The DPU's are measured: B1600, one core at 287 MHz on the
same board, Xilinx Model Zoo v1.1 README (VGG: its SSD-VOC backbone).

Run: python benchmarks/accelerator.py --network resnet18 --config ultra96 --json. With --all
(minutes) it runs every network and writes benchmarks/results/accelerator.csv, row by row; --write
does so for the networks named.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import table
from accelerator_networks import NETWORKS, CompiledNetwork, compile_network

from heterolith.hw.config import ArrayConfig, config
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.device.protocol import RtlCounters
from heterolith.hw.device.verilated import DramModel, VerilatedDevice
from heterolith.hw.fixed import Array
from heterolith.hw.timing.timeline import Dram, simulate

RESULTS = Path(__file__).parent / "results" / "accelerator.csv"
DPU_UTILIZATION = {
    "resnet18": 0.619,
    "resnet50": 0.561,
    "squeezenet": 0.469,
    "vgg19": 0.821,
    "mobilenetv2": 0.175,
}
STALLS = ("load_wait", "compute_wait_load", "compute_wait_store", "store_wait")
BUSY = ("load_busy", "compute_busy", "store_busy")

Row = dict[str, str | int | float]


def run(
    network: CompiledNetwork, array: ArrayConfig, dram: DramModel
) -> tuple[RtlCounters, Array, float]:
    """Run a network on random codes in Verilator; returns counters, memory and seconds taken.

    Raises
    ------
    SystemExit
        If the RTL's memory differs from the functional device's, or a bus rule was broken.
    """
    memory = network.job.memory.copy()
    codes = np.random.default_rng(1).integers(-128, 128, network.input.shape, dtype=np.int8)
    network.input.write(memory, codes)
    expected = memory.copy()
    FunctionalDevice(array).run_job(network.job, expected)
    core = VerilatedDevice(array, dram)
    begin = time.perf_counter()
    counters = core.run_job(network.job, memory)
    seconds = time.perf_counter() - begin
    wrong = np.count_nonzero(memory != expected)
    if wrong or core.violations:
        raise SystemExit(f"{wrong} bytes differ, {core.violations} bus rules broken")
    core.close()
    return counters, memory, seconds


def measure(name: str, array: ArrayConfig, dram: DramModel, mhz: float) -> Row:
    """Return the simulated figures of one network of `accelerator_networks`."""
    modelled = Dram(bytes_per_cycle=dram.bytes_per_cycle, latency_cycles=dram.latency_cycles)
    network = compile_network(name, array, modelled)
    job = network.job
    counters, memory, seconds = run(network, array, dram)
    result = network.output.read(memory)
    utilization = network.macs / (counters.cycles * array.macs_per_cycle)
    model = simulate(job.commands, job.geometry, modelled, job.command_offset)
    return {
        "network": name,
        "config": array.name,
        "origin": "simulated (RTL in Verilator)",
        "cycles": counters.cycles,
        "macs": network.macs,
        "utilization": round(utilization, 4),
        "dpu_b1600_utilization_measured": DPU_UTILIZATION[name],
        "macs_per_cycle_per_dsp": round(network.macs / counters.cycles / array.dsp, 3),
        "dram_bytes": (counters.read_beats + counters.write_beats) * job.geometry.lanes,
        **{f"{key}_cycles": getattr(counters, key) for key in (*BUSY, *STALLS)},
        "fps_at_clock": round(mhz * 1e6 / counters.cycles, 1),
        "clock_mhz": mhz,
        "modelled_cycles": model.cycles,
        "commands": len(job.commands),
        "saturated_outputs": round(float(np.mean((result == -128) | (result == 127))), 4),
        "simulation_seconds": round(seconds, 1),
    }


def write(row: Row) -> None:
    """Put a row into the results, in place of an earlier one of its network and configuration."""
    rows: list[dict[str, str]] = []
    if RESULTS.is_file():
        with RESULTS.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    new = {key: str(value) for key, value in row.items()}
    key = (new["network"], new["config"])
    rows = [
        old for old in rows if (old["network"], old["config"]) != key and old.keys() == new.keys()
    ]
    rows.append(new)
    order = list(NETWORKS)
    rows.sort(key=lambda entry: (entry["config"], order.index(entry["network"])))
    table.write(RESULTS, rows)


def main() -> None:
    """Run the networks asked for, one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="ultra96")
    parser.add_argument("--network", choices=list(NETWORKS), action="append")
    parser.add_argument("--all", action="store_true", help="every network, results written")
    parser.add_argument("--write", action="store_true", help="write results/accelerator.csv")
    parser.add_argument("--dram-gbs", type=float, default=4.27)
    parser.add_argument("--mhz", type=float, default=300.0)
    parser.add_argument("--latency-cycles", type=int, default=120)
    parser.add_argument("--json", action="store_true", help="a JSON object per network and line")
    options = parser.parse_args()
    if not options.all and not options.network:
        parser.error("name a network with --network, or take --all")
    dram = DramModel(
        bytes_per_cycle=options.dram_gbs * 1e3 / options.mhz,
        latency_cycles=options.latency_cycles,
    )
    array = config(options.config)
    for name in NETWORKS if options.all else options.network:
        row = measure(name, array, dram, options.mhz)
        if options.all or options.write:
            write(row)
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            print(*(f"{key} {value}" for key, value in row.items()), sep="\n", flush=True)


if __name__ == "__main__":
    main()
