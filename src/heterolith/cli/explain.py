"""``heterolith explain``: why each layer of a plan is where it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from heterolith.cli import render
from heterolith.cli.options import AsJson
from heterolith.scheduler.explain import NAMES
from heterolith.scheduler.plan import Alternative, Assignment, Plan


def reason(row: Assignment, objective: float, unit: str) -> str:
    """Return in one line why a layer is where it is."""
    if not row.alternatives:
        return "the only device that computes it"
    open_ones = [a for a in row.alternatives if a.objective is not None and not a.blocked]
    if not open_ones:
        return f"every alternative breaks {_blockers(row.alternatives)}"
    nearest = min(open_ones, key=lambda a: a.objective or 0.0)
    cost = (nearest.objective or 0.0) - objective
    better = [
        a
        for a in row.alternatives
        if a.objective is not None and a.objective < objective and a.blocked
    ]
    place = f"{nearest.device} {nearest.point} {nearest.variant}"
    text = f"next best {place} costs {cost:+.4g} {unit}"
    if better:
        text += f"; cheaper ones break {_blockers(tuple(better))}"
    return text


def _blockers(rows: tuple[Alternative, ...]) -> str:
    names = Counter(name for row in rows for name in row.blocked.split(", ") if name)
    return ", ".join(NAMES.get(name, name) for name, _ in names.most_common())


def _binding(plan: Plan) -> Counter[str]:
    """Return how many cheaper alternatives each limit keeps out."""
    return Counter(
        NAMES.get(name, name)
        for row in plan.assignments
        for a in row.alternatives
        if a.objective is not None and a.objective < plan.certificate.objective
        for name in a.blocked.split(", ")
        if name
    )


def rows(plan: Plan) -> list[dict[str, Any]]:
    """Return layer, place and reason of every layer."""
    certificate = plan.certificate
    return [
        {
            "layer": row.layer,
            "device": row.device,
            "point": row.point,
            "variant": row.variant,
            "latency_ns": row.end_ns - row.start_ns,
            "energy_pj": row.energy_pj,
            "why": reason(row, certificate.objective, certificate.unit),
            "alternatives": [
                {
                    "device": a.device,
                    "point": a.point,
                    "variant": a.variant,
                    "objective": a.objective,
                    "blocked": a.blocked,
                }
                for a in row.alternatives
            ],
        }
        for row in plan.assignments
    ]


def explain(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.json", help="plan of: heterolith plan")],
    as_json: AsJson = False,
) -> None:
    """Show why each layer is where it is: the next best place, and the limits that bind."""
    loaded = Plan.load(plan)
    found = rows(loaded)
    binding = _binding(loaded)
    if as_json:
        render.print_json(
            {
                "network": loaded.network,
                "platform": loaded.platform,
                "objective": loaded.certificate.objective,
                "unit": loaded.certificate.unit,
                "gap": loaded.certificate.gap,
                "binding": dict(binding),
                "layers": found,
            }
        )
        return
    out = render.console()
    certificate = loaded.certificate
    out.print(
        f"[bold]{loaded.network}[/bold] on {loaded.platform}: {loaded.objective} "
        f"{certificate.objective:.6g} {certificate.unit}, gap {certificate.gap:.2%} "
        f"({certificate.method})",
        soft_wrap=True,
    )
    for name, count in binding.most_common():
        out.print(f"{name} keeps {count} cheaper alternatives out")
    columns = ("layer", "device", "point", "variant", ">ms", ">mJ", "why")
    cells = (
        (
            r["layer"],
            r["device"],
            r["point"],
            r["variant"],
            f"{r['latency_ns'] / 1e6:.3f}",
            f"{r['energy_pj'] / 1e9:.3f}",
            r["why"],
        )
        for r in found
    )
    out.print(render.table("", columns, cells))
