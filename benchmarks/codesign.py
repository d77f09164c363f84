"""Co-design of one network on a board, and proof that the configuration it returns can be built.

Searches with `heterolith.scheduler.codesign` (seconds, configurations, error of the screening),
synthesizes the point of least latency with Yosys as `area.py` does, beside the area model, and runs
random layers on its RTL in Verilator against the functional device, bit for bit. The network is one
of the onnx wheel's; timings are measured on the machine that runs the script.

Run: python benchmarks/codesign.py [--model squeezenet] [--deadline-ms 33] [--power-w 4] [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from typing import Any

import area as yosys
import numpy as np
from cycle_model import layers
from networks import paths

from heterolith import api, boards
from heterolith.hw.area import FIELDS, area, family
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.device.verilated import DramModel, VerilatedDevice
from heterolith.hw.timing import dram_of
from heterolith.scheduler.codesign import Design, Goal, codesign, fpga_of


def searched(options: argparse.Namespace) -> tuple[Design, dict[str, Any]]:
    """Return the front and what the search took."""
    goal = Goal(
        network=api.load(paths()[options.model]), deadline_ns=round(options.deadline_ms * 1e6)
    )
    begin = time.perf_counter(), time.process_time()
    found = codesign([goal], boards.load(options.board), power_mw=round(options.power_w * 1e3))
    wall_s, cpu_s = time.perf_counter() - begin[0], time.process_time() - begin[1]
    errors = np.abs(found.screen_errors)
    return found, {
        "screened": found.screened,
        "placed": found.placed,
        "front_points": len(found.points),
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
        "screen_error_mean": round(float(errors.mean()), 3),
        "screen_error_worst": round(float(errors.max()), 3),
    }


def synthesized(config: ArrayConfig, target: str) -> dict[str, Any]:
    """Return the area by Yosys, by the model, and the model's relative error."""
    real, modelled = yosys.synthesize(config, target), area(config, target)
    return {
        name: {
            "yosys": getattr(real, name),
            "model": round(getattr(modelled, name), 1),
            "error": round(getattr(modelled, name) / getattr(real, name) - 1, 4),
        }
        for name in FIELDS
    }


def smoke(config: ArrayConfig, dram_gbs: float, count: int, seed: int) -> dict[str, Any]:
    """Run random layers on the RTL and the functional device; every byte must be the same."""
    dram = dram_of(dram_gbs, config.clock_mhz)
    memory = DramModel(bytes_per_cycle=dram.bytes_per_cycle, latency_cycles=dram.latency_cycles)
    core, reference = VerilatedDevice(config, memory), FunctionalDevice(config)
    equal, errors = [], []
    for _, layer, modelled in layers(config, dram, count, seed):
        ours, theirs = layer.job.memory.copy(), layer.job.memory.copy()
        counters = core.run_job(layer.job, ours)
        reference.run_job(layer.job, theirs)
        equal.append(bool(np.array_equal(ours, theirs)))
        errors.append(abs(modelled / counters.cycles - 1))
    return {
        "layers": len(equal),
        "bit_exact": sum(equal),
        "cycle_error_mean": round(float(np.mean(errors)), 4),
    }


def main() -> None:
    """Search, synthesize, simulate and print."""
    parser = argparse.ArgumentParser(description=" ".join((__doc__ or "").split()))
    parser.add_argument("--model", default="squeezenet", choices=list(paths()))
    parser.add_argument("--board", default="ultra96-v2")
    parser.add_argument("--deadline-ms", type=float, default=33.0)
    parser.add_argument("--power-w", type=float, default=4.0)
    parser.add_argument("--layers", type=int, default=8, help="of the RTL smoke test")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    platform = boards.load(options.board)
    device = fpga_of(platform)
    found, report = searched(options)
    chosen = found.points[0].config
    report["chosen"] = asdict(chosen)
    report["latency_ms"] = found.points[0].latency_ns / 1e6
    report["energy_mj"] = round(found.points[0].energy_pj / 1e9, 3)
    gbs = platform.memory_of(device.name).bandwidth_gbs
    report["smoke"] = smoke(chosen, gbs, options.layers, seed=11)
    assert device.fabric is not None
    report["area"] = synthesized(chosen, family(device.fabric))
    if options.json:
        print(json.dumps({"model": options.model, "board": options.board, **report}, indent=1))
        return
    for key, value in report.items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
