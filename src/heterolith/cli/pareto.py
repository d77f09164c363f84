"""``heterolith pareto``: the whole exact front latency x energy of a network, CSV and picture."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any

import numpy as np
import typer

from heterolith import boards, metrics, units
from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import (
    AsJson,
    FrontFile,
    FrontPicture,
    Memory,
    Model,
    PlatformName,
    ProfileFiles,
    Shape,
    load_network,
    measured_rows,
)
from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler import Limits, Request, build_problem
from heterolith.scheduler.front import Front, front
from heterolith.scheduler.gantt import new_figure, png

SHOWN = 24
"""Plans that the table shows at most."""


def parse_range(text: str) -> tuple[int, int]:
    """Turn ``10ms:100ms`` into two times in ns; raises `InputError` otherwise."""
    low, colon, high = text.partition(":")
    if not colon:
        raise InputError(f"deadline range {text!r} is not LOW:HIGH, e.g. 10ms:100ms")
    ends = units.time_ns(low, "deadline range"), units.time_ns(high, "deadline range")
    if ends[0] > ends[1]:
        raise InputError(f"deadline range {text!r} runs backwards; give LOW:HIGH, e.g. 10ms:100ms")
    return ends


def within(found: Front, ends: tuple[int, int] | None) -> list[int]:
    """Return the points that are best for some deadline of a range."""
    if ends is None:
        return list(range(len(found)))
    first = int(np.searchsorted(found.latency_ns, ends[0], side="right")) - 1
    last = int(np.searchsorted(found.latency_ns, ends[1], side="right")) - 1
    if last < 0:
        fastest = found.latency_ns[0] / 1e6
        raise InfeasibleError(
            f"no plan is as fast as {ends[1] / 1e6:g} ms: the fastest takes {fastest:.4g} ms"
        )
    return list(range(max(first, 0), last + 1))


def table(found: Front, points: list[int]) -> list[dict[str, Any]]:
    """Return one row per point."""
    names = found.problem.devices
    rows = []
    for point in points:
        choices = [
            task.choices[pick]
            for task, pick in zip(found.problem.tasks, found.selection(point), strict=True)
        ]
        used = dict.fromkeys(names[choice.device] for choice in choices)
        latency_ns, energy_pj = int(found.latency_ns[point]), int(found.energy_pj[point])
        rows.append(
            {
                "latency_ms": latency_ns / 1e6,
                "dynamic_mj": energy_pj / 1e9,
                "energy_mj": (energy_pj + found.problem.idle_mw * latency_ns) / 1e9,
                "accuracy_loss": int(found.accuracy_loss_ppm[point]) / 1e6,
                "devices": "+".join(used),
                "layers": " ".join(f"{names[c.device]}/{c.point}/{c.variant}" for c in choices),
            }
        )
    return rows


def csv_bytes(rows: list[dict[str, Any]]) -> bytes:
    """Return rows as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def picture(rows: list[dict[str, Any]], title: str) -> bytes:
    """Return a PNG of the front.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    latencies = [row["latency_ms"] for row in rows]
    axes.step(latencies, [row["dynamic_mj"] for row in rows], where="post", linewidth=1)
    axes.plot(latencies, [row["dynamic_mj"] for row in rows], ".", markersize=3)
    axes.set_xlabel("latency / ms")
    axes.set_ylabel("energy above idle / mJ")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    return png(figure)


def pareto(
    model: Model,
    platform: PlatformName,
    deadline_range: Annotated[
        str, typer.Option(help="only plans that are best in it, e.g. 10ms:100ms")
    ] = "",
    memory: Memory = "",
    profile: ProfileFiles = None,
    shape: Shape = None,
    out: FrontFile = None,
    plot: FrontPicture = None,
    as_json: AsJson = False,
) -> None:
    """Show every plan that no other beats in both latency and energy: exact and complete."""
    check_writable(out, plot)
    ends = parse_range(deadline_range) if deadline_range else None
    target = boards.load(platform)
    network = load_network(model, shape)
    costs = metrics.estimate(network, target, measured_rows(profile or ()))
    limits = Limits(memory_bytes=units.memory_bytes(memory, "memory") if memory else None)
    found = front(build_problem(network, costs, target, Request(limits=limits)))
    rows = table(found, within(found, ends))
    image = picture(rows, f"{network.name} on {platform}: {len(rows)} plans") if plot else b""
    if out is not None:
        write_atomic(out, csv_bytes(rows))
    if plot is not None:
        write_atomic(plot, image)
    if as_json:
        render.print_json(
            {
                "network": network.name,
                "platform": platform,
                "complete": found.complete,
                "runtime_s": found.runtime_s,
                "points": rows,
            }
        )
        return
    _show(rows, f"{network.name} on {platform}")
    for path in filter(None, (out, plot)):
        render.console().print(f"wrote {path}", soft_wrap=True)


def _show(rows: list[dict[str, Any]], what: str) -> None:
    """Print up to `SHOWN` rows, evenly spread."""
    last = len(rows) - 1
    shown = rows if last < SHOWN else [rows[k * last // (SHOWN - 1)] for k in range(SHOWN)]
    columns = (">latency ms", ">energy above idle mJ", ">energy mJ", "devices")
    cells = (
        (f"{r['latency_ms']:.3f}", f"{r['dynamic_mj']:.3f}", f"{r['energy_mj']:.3f}", r["devices"])
        for r in shown
    )
    title = f"{what}: {len(rows)} Pareto-optimal plans, {len(shown)} shown"
    render.console().print(render.table(title, columns, cells))
