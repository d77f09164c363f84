"""The nine networks on three devices at four operating points each: costs for the benchmarks.

Nominal costs are the package's estimates (data-sheet rooflines, cycle model). Points are parts of
the nominal clock; at part r a layer takes 1/r of its time (an upper bound where memory is what
limits it) and its energy is scaled by the square of the voltage. Assumed: the voltage of CPU and
GPU falls linearly to 70 % at 40 % of the clock; that of the FPGA is constant, so that its energy
per layer does not change. Nothing here is measured or fitted.

Run: python benchmarks/operating_points.py. Prints latency and energy of each network on each device
at each point, where one device computes all layers.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cache

from networks import paths

from heterolith import api, metrics
from heterolith.scheduler import Request, build_problem
from heterolith.scheduler.problem import Domain, Problem

PLATFORM = "ultra96-v2+jetson-tx2"
DEVICES = ("fpga", "cpu", "gpu")
POINTS = (1.0, 0.8, 0.6, 0.4)
"""Parts of the nominal clock."""


def voltage(device: str, part: float) -> float:
    """Return the voltage at a part of the clock, nominal 1 (assumed)."""
    return 1.0 if device == "fpga" else 0.5 + 0.5 * part


@cache
def problem_of(network: str) -> Problem:
    """Return the problem of a network without limits: three devices, four points each."""
    loaded, platform = api.load(paths()[network]), api.platform(PLATFORM)
    profile = metrics.estimate(loaded, platform)
    costs = tuple(
        replace(
            cost,
            point=f"{part:.0%}",
            latency_ns=round(cost.latency_ns / part),
            energy_pj=round((cost.energy_pj or 0) * voltage(cost.device, part) ** 2),
        )
        for cost in profile.costs
        if cost.device in DEVICES
        for part in POINTS
    )
    moves = tuple(
        row for row in profile.transfers if row.origin in DEVICES and row.target in DEVICES
    )
    whole = build_problem(
        loaded, replace(profile, costs=costs, transfers=moves), platform, Request()
    )
    return replace(_three(whole), name=network)


def _three(problem: Problem) -> Problem:
    """Leave out the devices that nothing uses."""
    new = {problem.devices.index(name): row for row, name in enumerate(DEVICES)}
    return replace(
        problem,
        devices=DEVICES,
        memory_of=tuple(problem.memory_of[old] for old in new),
        home=new[problem.home],
        tasks=tuple(
            replace(task, choices=tuple(replace(c, device=new[c.device]) for c in task.choices))
            for task in problem.tasks
        ),
        tensors=tuple(
            replace(t, routes={(new[a], new[b]): hops for (a, b), hops in t.routes.items()})
            for t in problem.tensors
        ),
    )


def with_domains(problem: Problem, switch_ns: int | None = None, switch_pj: int = 0) -> Problem:
    """Return the problem with one voltage domain per device."""
    domains = (
        Domain(name=name, devices=(row,), switch_ns=switch_ns, switch_pj=switch_pj)
        for row, name in enumerate(problem.devices)
    )
    return replace(problem, domains=tuple(domains))


def main() -> None:
    """Print what one device alone would take."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for network in paths():
        problem = problem_of(network)
        for device, name in enumerate(DEVICES):
            for part in POINTS:
                rows = [
                    [c for c in task.choices if (c.device, c.point) == (device, f"{part:.0%}")]
                    for task in problem.tasks
                ]
                if all(rows):
                    latency_ms = sum(row[0].latency_ns for row in rows) / 1e6
                    energy_mj = sum(row[0].energy_pj for row in rows) / 1e9
                    print(
                        f"{network:14s} {name:5s} {part:5.0%} {latency_ms:10.3f} ms "
                        f"{energy_mj:10.3f} mJ"
                    )


if __name__ == "__main__":
    main()
