"""Energy-optimal plans of the nine onnx-wheel networks under 100 ms, beside single-device plans.

Run: python benchmarks/placement.py [--json]. Writes benchmarks/results/placement.csv. Latency and
energy are modelled (data-sheet rooflines, cycle model); planning time and memory are
measured on the machine that runs the script, one fresh process per network.

--nets nine [--points system|switching|free]: solve each network on three devices at four operating
points each (operating_points.py) under 1.25 times its least latency, and compute its whole front;
CPU seconds of one core. --instance NAME --time-limit S: solve one of benchmarks/instances; Ctrl-C
prints the best plan so far.
--margins: what our plans save on HEFT and on the largest supported subgraph over the 50 instances,
and the most that any plan could, from results/baselines.csv (`instance_set.py compare` makes it).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import instance_set
from networks import paths
from operating_points import problem_of, with_domains
from table import write

from heterolith import api, metrics
from heterolith.errors import InfeasibleError
from heterolith.scheduler import Plan
from heterolith.scheduler.front import Front, front
from heterolith.scheduler.problem import Limits
from heterolith.scheduler.replan import Cache, replan
from heterolith.scheduler.solve import solve
from heterolith.sw import Network

PLATFORM = "ultra96-v2+jetson-tx2"
DEADLINE_MS = 100
SLACK = 1.25
"""Deadline over the least latency, with --nets."""
SWITCH_NS, SWITCH_PJ = instance_set.SWITCH_NS, instance_set.SWITCH_PJ
RESULTS = Path(__file__).parent / "results" / "placement.csv"
PLAN_AND_REPORT = """
import sys
from heterolith.cli import main
code = main(sys.argv[1:])
print([line for line in open("/proc/self/status") if "VmHWM" in line][0], file=sys.stderr)
sys.exit(code)
"""
ALONE = ("fpga", "cpu", "gpu")


def fresh_process(path: Path) -> tuple[float, float]:
    """Return wall seconds and peak MiB of `heterolith plan` in a process of its own."""
    command = [sys.executable, "-c", PLAN_AND_REPORT, "plan", str(path), "--platform", PLATFORM]
    command += ["--deadline", f"{DEADLINE_MS}ms", "--json"]
    begin = time.perf_counter()
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - begin
    return seconds, int(child.stderr.split()[1]) / 1024


def alone(network: Network, device: str) -> Plan:
    """Return the plan that keeps to one device; what it cannot compute goes to the CPU."""
    profile = metrics.estimate(network, api.platform(PLATFORM))
    able = {cost.layer for cost in profile.costs if cost.device == device}
    pins = {layer.name: device if layer.name in able else "cpu" for layer in network.layers}
    return api.plan(network, PLATFORM, objective="latency", pins=pins)


def energy_in_window_mj(plan: Plan) -> float | None:
    """Return the energy over the deadline's window, or None if the plan is too slow."""
    figures, window_ns = plan.metrics, DEADLINE_MS * 10**6
    if figures.latency_ns > window_ns:
        return None
    idle_mw = figures.idle_energy_pj / figures.period_ns
    return (idle_mw * window_ns + figures.energy_pj - figures.idle_energy_pj) / 1e9


def all_three(network: Network) -> str:
    """Return the first envelope of a ladder whose best plan uses FPGA, CPU and GPU."""
    platform = api.platform(PLATFORM)
    fastest = api.plan(network, platform, objective="latency")
    deadlines = [f"{fastest.metrics.latency_ns / 1e6 * 1.05**step:.2f}ms" for step in range(40)]
    ladder = [{"deadline": deadline} for deadline in reversed(deadlines)]
    most = max(use for _, use in fastest.metrics.memory_bytes)
    ladder += [{"deadline": "100ms", "memory": f"{most * 0.98**step:.0f}B"} for step in range(60)]
    for envelope in ladder:
        try:
            plan = api.plan(network, platform, **envelope)
        except InfeasibleError:
            continue
        if {platform.device(name).kind for name in api.devices_used(plan)} == set(ALONE):
            return ", ".join(f"{name} {value}" for name, value in envelope.items())
    return "none of the ladder"


def rows() -> Iterator[dict[str, object]]:
    """Yield one row per network."""
    for name, path in paths().items():
        network = api.load(path)
        plan = api.plan(network, PLATFORM, deadline=f"{DEADLINE_MS}ms")
        seconds, peak_mib = fresh_process(path)
        row: dict[str, object] = {
            "network": name,
            "layers": len(network.layers),
            "devices": "+".join(api.devices_used(plan)),
            "latency_ms": round(plan.metrics.latency_ns / 1e6, 3),
            "energy_mj": round(plan.metrics.energy_pj / 1e9, 2),
            "gap": plan.certificate.gap,
        }
        for device in ALONE:
            single = alone(network, device)
            energy = energy_in_window_mj(single)
            row[f"{device}_ms"] = round(single.metrics.latency_ns / 1e6, 3)
            row[f"{device}_mj"] = "too slow" if energy is None else round(energy, 2)
        row["all_three_under"] = all_three(network)
        row["solve_s"] = round(plan.certificate.runtime_s, 3)
        row["plan_s"] = round(seconds, 2)
        row["plan_mib"] = round(peak_mib)
        yield row


def nine(points: str) -> Iterator[dict[str, object]]:
    """Yield gap, CPU seconds and size of the front of each network at operating points."""
    for name in paths():
        base = problem_of(name)
        if points != "free":
            switching = (SWITCH_NS, SWITCH_PJ) if points == "switching" else (None, 0)
            base = with_domains(base, *switching)
        fastest = solve(replace(base, objective="latency"))
        assert fastest is not None
        deadline_ns = round(SLACK * fastest.objective)
        begin = time.process_time()
        solution = solve(replace(base, limits=Limits(deadline_ns=deadline_ns)))
        cpu_s = time.process_time() - begin
        assert solution is not None
        row: dict[str, object] = {
            "network": name,
            "layers": len(base.tasks),
            "gap": solution.gap,
            "cpu_s": round(cpu_s, 3),
        }
        if points != "free":
            begin = time.process_time()
            whole = front(base)
            row["front_points"] = len(whole)
            row["front_complete"] = whole.complete
            row["front_cpu_s"] = round(time.process_time() - begin, 3)
            row["replan_us"] = round(replanning_us(whole), 1)
        yield row


def replanning_us(whole: Front) -> float:
    """Return the longest of 200 look-ups of a new deadline, median of five rounds, in us."""
    low, high = int(whole.latency_ns[0]), int(whole.latency_ns[-1])
    cached = Cache(fronts={frozenset(): whole}, peaks_mw={})
    rounds = []
    for _ in range(5):
        longest = 0.0
        for step in range(200):
            limits = Limits(deadline_ns=low + (high - low) * step // 200, average_power_mw=20_000)
            begin = time.perf_counter()
            replan(cached, limits)
            longest = max(longest, time.perf_counter() - begin)
        rounds.append(longest * 1e6)
    return statistics.median(rounds)


def one_instance(name: str, time_limit_s: float) -> dict[str, object]:
    """Return objective, bound and gap of one of the instances."""
    solution = solve(instance_set.load(name), time_limit_s=time_limit_s)
    if solution is None:
        return {"instance": name, "feasible": False}
    return {
        "instance": name,
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "gap": solution.gap,
        "runtime_s": round(solution.runtime_s, 2),
        "method": solution.method,
    }


def main() -> None:
    """Print and write the table, or what an option asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--nets", choices=["nine"])
    parser.add_argument("--points", choices=["system", "switching", "free"], default="system")
    parser.add_argument("--instance")
    parser.add_argument("--margins", action="store_true", help="savings on simpler rules")
    parser.add_argument("--time-limit", type=float, default=60.0)
    arguments = parser.parse_args()
    if arguments.margins:
        print(json.dumps(instance_set.margins(instance_set.stored()), indent=2))
        return
    if arguments.instance:
        try:
            row = one_instance(arguments.instance, arguments.time_limit)
        except KeyboardInterrupt:
            sys.exit("interrupted before there was a plan")
        print(json.dumps(row, indent=2))
        return
    if arguments.nets:
        rows_of_nets = []
        for row in nine(arguments.points):
            rows_of_nets.append(row)
            if not arguments.json:
                print(row, flush=True)
        if arguments.json:
            print(json.dumps(rows_of_nets, indent=2))
        return
    table = []
    for row in rows():
        table.append(row)
        if not arguments.json:
            print(row, flush=True)
    write(RESULTS, table)
    if arguments.json:
        print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
