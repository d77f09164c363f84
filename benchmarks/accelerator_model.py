"""Modelled cycles and MAC utilization of whole networks on one accelerator configuration.

Compiles each network of `accelerator_networks` into one command stream and runs
`heterolith.hw.timing.timeline` over it: a model of the units and one DRAM, not the RTL, which
`accelerator.py` runs.

Run: python benchmarks/accelerator_model.py --config ultra96 --dram-gbs 4.27 --mhz 300 [--json]
"""

from __future__ import annotations

import argparse
import json

from accelerator_networks import NETWORKS, compile_network

from heterolith.hw.config import ArrayConfig, config
from heterolith.hw.timing.timeline import Dram, simulate


def measure(name: str, array: ArrayConfig, dram: Dram) -> dict[str, float]:
    """Return the modelled figures of one network."""
    network = compile_network(name, array, dram)
    job = network.job
    run = simulate(job.commands, job.geometry, dram, job.command_offset)
    utilization = network.macs / (run.cycles * array.macs_per_cycle)
    return {
        "macs": network.macs,
        "cycles": run.cycles,
        "utilization": round(utilization, 4),
        "macs_per_cycle_per_dsp": round(utilization * array.macs_per_cycle / array.dsp, 3),
        "dram_bytes": run.read_bytes + run.write_bytes,
        "commands": len(job.commands),
    }


def main() -> None:
    """Print one row per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="ultra96")
    parser.add_argument("--network", choices=sorted(NETWORKS), action="append")
    parser.add_argument("--dram-gbs", type=float, default=4.27)
    parser.add_argument("--mhz", type=float, default=300.0)
    parser.add_argument("--latency-cycles", type=int, default=120)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dram = Dram(
        bytes_per_cycle=options.dram_gbs * 1e3 / options.mhz,
        latency_cycles=options.latency_cycles,
    )
    array = config(options.config)
    names = options.network or list(NETWORKS)
    rows = {name: measure(name, array, dram) for name in names}
    if options.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        print(f"{name:14}", " ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
