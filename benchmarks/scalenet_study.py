"""Nine networks on the boards of the SCALENet papers: each resource alone, and the best plan.

Networks: `scalenet_networks`. Boards: Arty A7-100T, Zedboard and Ultra96-V2, alone and joined to a
Jetson TK1 and a TX2. Per network and platform: latency, average power and energy (idle of the whole
platform over the latency included) of every resource alone (what it cannot compute stays at home),
of the fastest plan and of the plan of least energy. FPGA rows are simulated, CPU and GPU rows are
rooflines of data sheets. Beside them the published figures (Shea, Page, Mohsenin, GLSVLSI 2018;
Shea, Mohsenin, ACM JETC 2019). Nothing is fitted to them; ``sensitivity`` scales CPU latencies and
transfers and shows what that does to the ratios.

Run: python benchmarks/scalenet_study.py [--net NAME ...] [--json] [--write]
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scalenet_networks import write as write_networks

from heterolith import api, boards, metrics
from heterolith.boards import Platform
from heterolith.errors import InfeasibleError
from heterolith.metrics import Profile
from heterolith.scheduler import Problem, Request, build_problem, solve
from heterolith.scheduler.solvers import heuristics
from heterolith.scheduler.timeline import Timeline, evaluate
from heterolith.sw import Network

RESULTS = Path(__file__).parent / "results" / "scalenet_study.csv"
BOARDS = ("arty-a7-100t", "zedboard", "ultra96-v2")
PARTNERS = ("", "jetson-tk1", "jetson-tx2")
SENSITIVITY = {
    "cpu x 0.5": (0.5, 1.0),
    "cpu x 2": (2.0, 1.0),
    "transfers x 0.5": (1.0, 0.5),
    "transfers x 4": (1.0, 4.0),
}
"""Name -> factors of CPU latency and of transfer latency; energies scale with them."""

PUBLISHED = (
    (
        "inception-v1",
        "zedboard",
        "speedup",
        22.0,
        "throughput against ARM, GLSVLSI 2018, best case",
    ),
    (
        "inception-v1",
        "zedboard",
        "energy_ratio",
        13.0,
        "energy against ARM, GLSVLSI 2018, best case",
    ),
    ("eeg-1d", "zedboard", "speedup", 1 / 0.003, "99.7 % less time than ARM, GLSVLSI 2018"),
    ("eeg-1d", "zedboard", "energy_ratio", 1 / 0.021, "97.9 % less energy than ARM, GLSVLSI 2018"),
    ("", "zedboard", "power_w", 2.0, "envelope of 2.0 W, JETC 2019"),
    (
        "",
        "zedboard",
        "saving",
        0.10,
        "10 % of system power by the scheduler, JETC 2019; ours against the best resource alone",
    ),
    ("", "zedboard", "tk1_ratio", 4.0, "power of a TK1 over ours, JETC 2019"),
)
"""Network (all if empty), platform, figure, published value, what it says."""


def scaled(profile: Profile, platform: Platform, factors: tuple[float, float]) -> Profile:
    """Return a profile with other CPU and transfer latencies; energies in proportion."""
    cpu, moved = factors
    cpus = {device.name for device in platform.devices if device.kind == "cpu"}
    costs = tuple(
        replace(
            row,
            latency_ns=round(row.latency_ns * cpu),
            energy_pj=round((row.energy_pj or 0) * cpu),
        )
        if row.device in cpus
        else row
        for row in profile.costs
    )
    transfers = tuple(
        replace(
            row, latency_ns=round(row.latency_ns * moved), energy_pj=round(row.energy_pj * moved)
        )
        for row in profile.transfers
    )
    return replace(profile, costs=costs, transfers=transfers)


def figures(problem: Problem, timeline: Timeline) -> dict[str, float]:
    """Return latency, energy above idle and with idle, and average power of one inference."""
    dynamic, idle = timeline.energy_pj, problem.idle_mw * timeline.latency_ns
    return {
        "latency_ms": timeline.latency_ns / 1e6,
        "dynamic_mj": dynamic / 1e9,
        "energy_mj": (dynamic + idle) / 1e9,
        "power_w": (dynamic + idle) / timeline.latency_ns / 1e3,
    }


def ways(problem: Problem) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield resources alone, the fastest plan and the plan of least energy, with figures."""
    for index, name in enumerate(problem.devices):
        alone = heuristics.only(problem, index)
        if alone is not None:
            yield f"{name} only", figures(problem, alone.timeline)
    for objective in ("latency", "energy"):
        solution = solve(replace(problem, objective=objective))
        assert solution is not None
        yield f"least {objective}", figures(problem, evaluate(problem, solution.selection))


def case(name: str, network: Network, platform: Platform) -> list[dict[str, Any]]:
    """Return the rows of one network on one platform, or one that says why there are none."""
    profile = metrics.estimate(network, platform)
    rows = []
    for variant, factors in {"as modelled": (1.0, 1.0), **SENSITIVITY}.items():
        changed = profile if variant == "as modelled" else scaled(profile, platform, factors)
        common = {"network": name, "platform": platform.name, "coefficients": variant}
        try:
            problem = build_problem(network, changed, platform, Request())
        except InfeasibleError as error:
            return [{**common, "way": f"none: {error}"}]
        rows += [
            {**common, "way": way, **{key: round(value, 4) for key, value in found.items()}}
            for way, found in ways(problem)
        ]
    return rows


def beside(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return published figures with ours, for every setting of the coefficients."""
    found = []
    for name, platform, figure, value, says in PUBLISHED:
        for variant in ("as modelled", *SENSITIVITY):
            ours = [
                ratio
                for net in sorted({row["network"] for row in rows})
                if name in ("", net)
                and (ratio := _ratio(rows, (net, platform, variant), figure)) is not None
            ]
            if ours:
                found.append(
                    {
                        "published": round(value, 2),
                        "says": says,
                        "networks": name or f"median of {len(ours)}",
                        "coefficients": variant,
                        "ours": round(statistics.median(ours), 3),
                    }
                )
    return found


def _ratio(rows: Sequence[dict[str, Any]], key: tuple[str, str, str], figure: str) -> float | None:
    """Return one of our figures of a network on a platform."""
    mine = {
        row["way"]: row
        for row in rows
        if (row["network"], row["platform"], row["coefficients"]) == key and "energy_mj" in row
    }
    if not mine:
        return None
    arm, best = mine["cpu only"], mine["least energy"]
    if figure == "speedup":
        return float(arm["latency_ms"] / mine["least latency"]["latency_ms"])
    if figure == "energy_ratio":
        return float(arm["energy_mj"] / best["energy_mj"])
    if figure == "power_w":
        return float(best["power_w"])
    if figure == "saving":
        alone = min(
            (row for way, row in mine.items() if way.endswith("only")),
            key=lambda row: float(row["energy_mj"]),
        )
        # Both over the same window, which the slower of the two sets.
        window_ms = max(alone["latency_ms"], best["latency_ms"])
        idle_mj = (best["energy_mj"] - best["dynamic_mj"]) / best["latency_ms"] * window_ms
        return float(1 - (best["dynamic_mj"] + idle_mj) / (alone["dynamic_mj"] + idle_mj))
    tk1 = boards.load("jetson-tk1")
    gpu = next(device for device in tk1.devices if device.kind == "gpu")
    return float((tk1.idle_w + gpu.active_w) / best["power_w"])


def main() -> None:
    """Run the study, print it and write its table."""
    parser = argparse.ArgumentParser(description=" ".join((__doc__ or "").split()))
    parser.add_argument("--net", nargs="+", default=[], help="only these networks")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--write", action="store_true", help=f"replace results/{RESULTS.name}")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, path in write_networks(Path(folder)).items():
            if options.net and name not in options.net:
                continue
            network = api.load(path)
            for board in BOARDS:
                for partner in PARTNERS:
                    platform = boards.load("+".join(filter(None, (board, partner))))
                    rows += case(name, network, platform)
    published = beside(rows)
    if options.write:
        columns = ["network", "platform", "coefficients", "way"]
        columns += ["latency_ms", "dynamic_mj", "energy_mj", "power_w"]
        with RESULTS.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    if options.json:
        print(json.dumps({"rows": rows, "published": published}, indent=1))
        return
    for line in published:
        print(line)


if __name__ == "__main__":
    main()
