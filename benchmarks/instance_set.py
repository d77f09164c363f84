"""The 50 placement problems of benchmarks/instances: make, load, solve and compare.

Run: python benchmarks/instance_set.py make | solve | compare [--time-limit 60] [--only PATTERN].
`make` writes the problems, `solve` adds best known value and bound where it finds better ones,
`compare` writes results/baselines.csv: our plans beside HEFT's and those of the largest supported
subgraph, at equal deadlines, and the most that any plan could save on them (`most_possible`, by the
proved bound), with and without idle energy. After Ctrl-C the same `compare` goes on; --only takes
part of it, e.g. "four-nets heft", --anew starts over. Costs are modelled or synthetic:
operating_points.py, solver.py.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import solver
from operating_points import POINTS, problem_of, voltage, with_domains
from table import grow

from heterolith.errors import InfeasibleError
from heterolith.scheduler.members import together
from heterolith.scheduler.problem import Domain, Limits, Problem
from heterolith.scheduler.problem_file import from_data, limits_of, to_data
from heterolith.scheduler.solve import solve
from heterolith.scheduler.solvers import heuristics
from heterolith.scheduler.timeline import evaluate

FOLDER = Path(__file__).parent / "instances"
RESULTS = Path(__file__).parent / "results" / "baselines.csv"
NINE = (
    "alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet",
    "squeezenet", "vgg19", "zfnet512",
)  # fmt: skip
MEMORY = ("alexnet", "inception_v1", "resnet50")
"""Networks with an instance whose memory limit binds."""
SYNTHETIC = {"chain": 50, "residual": 50, "inception": 50, "dense": 48, "unet": 50, "attention": 40}
SWITCH_NS, SWITCH_PJ = 50_000, 1_000_000
"""One change of an operating point in the instances that allow it (assumed)."""
GROUPS = {
    "two-nets": ("resnet50", "squeezenet"),
    "three-nets": ("inception_v1", "shufflenet", "alexnet"),
    "four-nets": ("resnet50", "inception_v1", "squeezenet", "alexnet"),
    "four-synthetic": ("syn-chain", "syn-residual", "syn-inception", "syn-dense"),
}


def synthetic(kind: str) -> Problem:
    """Return a synthetic network on three devices at four points."""
    whole = getattr(solver, kind)(SYNTHETIC[kind], seed=7)
    tasks = []
    for task in whole.tasks:
        choices = [
            replace(
                choice,
                point=f"{part:.0%}",
                latency_ns=round(choice.latency_ns / part),
                energy_pj=round(
                    choice.energy_pj * voltage(whole.devices[choice.device], part) ** 2
                ),
            )
            for choice in task.choices
            if choice.device < 3
            for part in POINTS
        ]
        tasks.append(replace(task, choices=tuple(choices)))
    tensors = tuple(
        replace(t, routes={ends: hops for ends, hops in t.routes.items() if 3 not in ends})
        for t in whole.tensors
    )
    return replace(
        whole,
        name=f"syn-{kind}",
        devices=whole.devices[:3],
        memory_of=whole.memory_of[:3],
        tasks=tuple(tasks),
        tensors=tensors,
    )


def _fastest_ns(problem: Problem) -> int:
    found = solve(replace(problem, objective="latency"))
    assert found is not None
    return int(found.objective)


def _single(name: str) -> Iterator[dict[str, Any]]:
    """Yield the instances of one network."""
    base = problem_of(name) if name in NINE else synthetic(name.removeprefix("syn-"))
    fastest_ns = _fastest_ns(with_domains(base))
    fixed: dict[str, Any] = {"networks": [name], "switch_ns": None, "switch_pj": 0}
    deadline = round(1.25 * fastest_ns)
    yield {
        **fixed,
        "name": f"{name}-deadline",
        "objective": "energy",
        "limits": {"deadline_ns": deadline},
    }
    yield {
        **fixed,
        "name": f"{name}-switching",
        "objective": "energy",
        "switch_ns": SWITCH_NS,
        "switch_pj": SWITCH_PJ,
        "limits": {"deadline_ns": round(1.6 * fastest_ns)},
    }
    if name in NINE:
        yield {
            **fixed,
            "name": f"{name}-streaming",
            "objective": "energy",
            "limits": {"period_ns": round(0.8 * fastest_ns)},
        }
    if name in MEMORY:
        free = solve(replace(with_domains(base), limits=Limits(deadline_ns=2 * fastest_ns)))
        assert free is not None
        weights = max(evaluate(with_domains(base), free.selection).memory_bytes)
        yield {
            **fixed,
            "name": f"{name}-memory",
            "objective": "energy",
            "limits": {"deadline_ns": 2 * fastest_ns, "memory_bytes": round(0.8 * weights)},
        }


def _several(name: str, networks: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    alone = [
        _fastest_ns(problem_of(n) if n in NINE else synthetic(n.removeprefix("syn-")))
        for n in networks
    ]
    row = {"networks": list(networks), "switch_ns": None, "switch_pj": 0}
    yield {
        **row,
        "name": name,
        "objective": "energy",
        "limits": {"deadline_ns": round(1.25 * sum(alone))},
    }
    yield {**row, "name": f"{name}-latency", "objective": "latency", "limits": {}}


def make() -> None:
    """Write networks and instances; keep what is known of those that stay as they are."""
    (FOLDER / "networks").mkdir(parents=True, exist_ok=True)
    names = [*NINE, *(f"syn-{kind}" for kind in SYNTHETIC)]
    for name in names:
        base = problem_of(name) if name in NINE else synthetic(name.removeprefix("syn-"))
        text = json.dumps(to_data(base), separators=(",", ":"))
        (FOLDER / "networks" / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    rows = [row for name in names for row in _single(name)]
    rows += [row for name, networks in GROUPS.items() for row in _several(name, networks)]
    known = {row["name"]: row for row in map(read, files())}
    for row in rows:
        old = known.get(row["name"], {})
        same = all(old.get(key) == value for key, value in row.items())
        write({"schema": "heterolith-instance/1", **row, "best": old.get("best") if same else None})


def files() -> list[Path]:
    """Return the instance files."""
    return sorted(FOLDER.glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    """Return one instance as data."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def write(row: dict[str, Any]) -> None:
    """Write one instance."""
    text = json.dumps(row, indent=1) + "\n"
    (FOLDER / f"{row['name']}.json").write_text(text, encoding="utf-8")


def load(name: str) -> Problem:
    """Return the problem of an instance."""
    return problem(read(FOLDER / f"{name}.json"))


def problem(row: dict[str, Any]) -> Problem:
    """Return the problem of an instance's data."""
    parts = []
    for network in row["networks"]:
        path = FOLDER / "networks" / f"{network}.json"
        part = from_data(json.loads(path.read_text(encoding="utf-8")))
        domains = tuple(
            Domain(
                name=device,
                devices=(index,),
                switch_ns=row["switch_ns"],
                switch_pj=row["switch_pj"],
            )
            for index, device in enumerate(part.devices)
        )
        parts.append(replace(part, domains=domains))
    limits = limits_of(row["limits"])
    if len(parts) > 1:
        return together(parts, objective=row["objective"], limits=limits)
    return replace(parts[0], objective=row["objective"], limits=limits)


def solve_all(time_limit_s: float, only: str) -> None:
    """Solve instances and write down what is better than known."""
    for path in files():
        row = read(path)
        if not fnmatchcase(row["name"], only):
            continue
        found = solve(problem(row), time_limit_s=time_limit_s)
        if found is None:
            print(row["name"], "infeasible")
            continue
        old = row["best"] or {"objective": float("inf"), "lower_bound": 0}
        best = min(old["objective"], found.objective)
        bound = max(old["lower_bound"], found.lower_bound)
        method = found.method if found.objective <= old["objective"] else old["method"]
        gap = (best - bound) / best if best else 0.0
        row["best"] = {"objective": best, "lower_bound": bound, "gap": gap, "method": method}
        write(row)
        print(f"{row['name']:28s} {found.gap:9.4%} {found.runtime_s:7.2f} s  {method}", flush=True)


RULES: dict[str, Callable[[Problem], heuristics.Baseline | None]] = {
    "heft": lambda problem: heuristics.heft(problem, fastest=True),
    "heft_points": heuristics.heft,
    "subgraph": heuristics.largest_subgraph,
}
"""HEFT at the fastest points, HEFT at the best points, largest supported subgraph."""


def compare(
    time_limit_s: float, only: str = "*", *, anew: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield our energy beside that of each rule at the deadline that the rule keeps."""
    steps = {
        f"{path.stem} {rule}": partial(_compared, path, rule, time_limit_s)
        for path, rule in product(files(), RULES)
    }
    return grow(RESULTS, f"{time_limit_s:g}s", steps, only=only, anew=anew)


def _compared(path: Path, rule: str, time_limit_s: float) -> list[dict[str, Any]]:
    """Return the row of an instance and a rule, if the rule has a plan."""
    row = read(path)
    base = replace(problem(row), objective="energy", limits=Limits())
    found = _beside(base, rule, row["limits"].get("deadline_ns", 0), time_limit_s)
    return [] if found is None else [{"instance": row["name"], "rule": rule, **found}]


def _beside(base: Problem, rule: str, asked_ns: int, time_limit_s: float) -> dict[str, Any] | None:
    """Return what we save on a rule, and the most that any plan could, by the proved bound."""
    # A rule that is late gets the deadline that it needs, and so do we.
    free = RULES[rule](replace(base, limits=Limits(deadline_ns=asked_ns or None)))
    if free is None:
        return None
    deadline_ns = max(asked_ns, free.timeline.latency_ns)
    limited = replace(base, limits=Limits(deadline_ns=deadline_ns))
    try:
        ours = solve(limited, time_limit_s=time_limit_s)
    except InfeasibleError:
        return None
    if ours is None:
        return None
    idle_pj = base.idle_mw * deadline_ns
    dynamic_pj = free.timeline.energy_pj
    theirs_pj = idle_pj + dynamic_pj
    return {
        "deadline_ms": round(deadline_ns / 1e6, 3),
        "late": int(deadline_ns > asked_ns),
        "idle_mj": round(idle_pj / 1e9, 3),
        "rule_mj": round(theirs_pj / 1e9, 3),
        "ours_mj": round(ours.objective / 1e9, 3),
        "saving": round(1 - ours.objective / theirs_pj, 4),
        "most_possible": round(1 - ours.lower_bound / theirs_pj, 4),
        "saving_above_idle": round(1 - (ours.objective - idle_pj) / dynamic_pj, 4),
        "most_above_idle": round(1 - (ours.lower_bound - idle_pj) / dynamic_pj, 4),
        "gap": round(ours.gap, 6),
    }


CLASSES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "all": lambda row: True,
    "rule within 1 % of the optimum": lambda row: row["most_possible"] < 0.01,
    "rule keeps the deadline": lambda row: not row["late"],
    "rule is late and gets more time": lambda row: bool(row["late"]),
    "idle energy above half": lambda row: row["idle_mj"] > row["rule_mj"] / 2,
    "idle energy below half": lambda row: row["idle_mj"] <= row["rule_mj"] / 2,
    "one network": lambda row: "-nets" not in row["instance"] and "four" not in row["instance"],
    "several networks": lambda row: "-nets" in row["instance"] or "four" in row["instance"],
}
FIGURES = ("saving", "most_possible", "saving_above_idle", "most_above_idle")


def margins(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return median savings on each rule, and the medians of what is possible, per class."""
    table = []
    for rule, (name, belongs) in product(RULES, CLASSES.items()):
        own = [row for row in rows if row["rule"] == rule and belongs(row)]
        if own:
            medians = {f: round(statistics.median(float(r[f]) for r in own), 4) for f in FIGURES}
            table.append({"rule": rule, "class": name, "instances": len(own), **medians})
    return table


def stored() -> list[dict[str, Any]]:
    """Return the rows of results/baselines.csv."""
    with RESULTS.open(encoding="utf-8") as file:
        return [
            {k: v if k in ("instance", "rule") else float(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def main() -> None:
    """Make, solve or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("make", "solve", "compare"))
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--only", default="*", help="NAME, for compare NAME RULE; * and ? match")
    parser.add_argument("--anew", action="store_true", help="forget the rows of earlier runs")
    arguments = parser.parse_args()
    if arguments.what == "make":
        make()
    elif arguments.what == "solve":
        solve_all(arguments.time_limit, arguments.only)
    else:
        rows = []
        for row in compare(arguments.time_limit, arguments.only, anew=arguments.anew):
            print(row, flush=True)
            rows.append(row)
        for margin in margins(rows):
            print(margin)


if __name__ == "__main__":
    main()
