"""How results look in a terminal: tables, one-line complaints, JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from heterolith.api import RunResult
from heterolith.boards import Platform
from heterolith.cli.summary import print_json as print_json
from heterolith.cli.summary import totals_text
from heterolith.metrics.occupancy import usage
from heterolith.scheduler.explain import NAMES as LIMIT_NAMES
from heterolith.scheduler.gantt import headline, text
from heterolith.scheduler.plan import Plan
from heterolith.scheduler.usage import spans
from heterolith.sw import Network


def console() -> Console:
    """Return the console for results; wide enough for tables when output is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)


def complain(kind: str, message: str) -> None:
    """Print one line on standard error."""
    line = " ".join(message.split())
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        f"[bold red]{kind}:[/bold red] {escape(line)}"
    )


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> Table:
    """Return a table; columns that start with ``>`` are right-aligned."""
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        result.add_column(column.lstrip(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        result.add_row(*(escape(str(cell)) for cell in row))
    return result


def show_platform(platform: Platform) -> None:
    """Print devices, links, rails and their sources."""
    out = console()
    out.print(
        f"[bold]{platform.name}[/bold]  idle {platform.idle_w:.2f} W, home {platform.home}, "
        f"{platform.n_operating_points} operating points"
    )
    out.print(
        table(
            "devices",
            ("name", "kind", "board", ">clock", ">fp32 GMAC/s", ">active W", "what"),
            (
                (
                    d.name,
                    d.kind,
                    d.board,
                    f"{d.mhz:g} MHz",
                    f"{d.fp32_gmacs:.4g}" if d.fp32_gmacs else "-",
                    f"{d.active_w:.3g}",
                    d.description,
                )
                for d in platform.devices
            ),
        )
    )
    out.print(
        table(
            "memories",
            ("name", "board", ">GiB", ">GB/s", "source"),
            (
                (m.name, m.board, f"{m.bytes / 2**30:.3g}", f"{m.bandwidth_gbs:.4g}", m.source)
                for m in platform.memories
            ),
        )
    )
    out.print(
        table(
            "links",
            ("name", "ends", ">MB/s", ">latency us", "source"),
            (
                (
                    k.name,
                    " - ".join(k.ends),
                    f"{k.bandwidth_mbs:.4g}",
                    f"{k.latency_us:g}",
                    k.source,
                )
                for k in platform.links
            ),
        )
    )
    out.print(
        table(
            "rails",
            ("name", "board", ">idle W", "source"),
            ((r.name, r.board, f"{r.idle_w:.4g}", r.source) for r in platform.rails),
        )
    )
    sources = [(d.name, field, why) for d in platform.devices for field, why in d.sources]
    if sources:
        out.print(table("where the figures come from", ("device", "figure", "source"), sources))


def show_network(network: Network, support: Mapping[str, str]) -> None:
    """Print one line per layer; ``support`` maps a layer to why the FPGA does not take it."""
    out = console()
    macs = sum(layer.macs for layer in network.layers)
    weights = sum(value.size for value in network.constants.values())
    out.print(
        f"[bold]{escape(network.name)}[/bold]  opset {network.opset}, "
        f"{len(network.layers)} layers, {macs / 1e6:.1f} MMAC, {weights / 1e6:.2f} M parameters"
    )
    out.print(
        table(
            "",
            ("layer", "op", "output", ">MMAC", ">parameters", "nodes", "FPGA"),
            (
                (
                    layer.name,
                    layer.op,
                    "×".join(map(str, network.tensors[layer.outputs[0]].shape)),
                    f"{layer.macs / 1e6:.3f}",
                    network.parameters(layer),
                    len(layer.nodes),
                    support[layer.name] or "yes",
                )
                for layer in network.layers
            ),
        )
    )
    if network.removed:
        out.print(f"{len(network.removed)} nodes compute nothing at inference and are left out")


def resources(plan: Plan, network: Network) -> dict[str, dict[str, float]]:
    """Return, per device and link, its occupancy (0 to 1) and queueing delays (ms)."""
    return {
        name: {
            "occupancy": used.occupancy,
            "queued_ms": used.queued_ns / 1e6,
            "longest_queued_ms": used.longest_queued_ns / 1e6,
        }
        for name, used in usage(spans(plan, network)).items()
    }


def show_plan(plan: Plan, network: Network) -> None:
    """Print headline, certificate, lanes over time, and each layer with its next-best place."""
    out, certificate = console(), plan.certificate
    out.print(f"[bold]{escape(headline(plan))}[/bold]")
    proof = "proved optimal" if certificate.gap <= 0 else f"within {certificate.gap:.2%} of optimal"
    out.print(
        f"objective {plan.objective} = {certificate.objective:.6g} {certificate.unit}, {proof} "
        f"(lower bound {certificate.lower_bound:.6g}; {escape(certificate.method)}, "
        f"{certificate.runtime_s:.2f} s)"
    )
    used = resources(plan, network)
    for name, line in text(plan).items():
        of, queue = used[name], ""
        if of["longest_queued_ms"]:
            queue = f", queue {of['queued_ms']:.3g} ms (longest {of['longest_queued_ms']:.3g})"
        out.print(f"  {name:>16} │{line}│ {of['occupancy']:>4.0%} busy{queue}")
    rows = []
    for row in plan.assignments:
        others = [a for a in row.alternatives if a.objective is not None]
        best = min(others, key=lambda a: (bool(a.blocked), a.objective), default=None)
        why = "no other device computes it"
        if best is not None:
            why = f"{best.device}: {best.objective:.6g} {certificate.unit}"
            broken = ", ".join(LIMIT_NAMES.get(name, name) for name in best.blocked.split(", "))
            why += f" (breaks {broken})" if broken else ""
        rows.append(
            (
                row.layer,
                row.op,
                row.device,
                row.variant,
                f"{row.start_ns / 1e6:.3f}",
                f"{(row.end_ns - row.start_ns) / 1e6:.3f}",
                f"{row.energy_pj / 1e9:.3f}",
                row.source,
                why,
            )
        )
    columns = ("layer", "op", "device", "as", ">start ms", ">ms", ">mJ", "source", "next best")
    out.print(table("", columns, rows))
    for note in plan.notes:
        out.print(f"note: {escape(note)}")


def show_run(result: RunResult, times: Iterable[str]) -> None:
    """Print what computed each device's layers, times, deviation and predicted figures."""
    out, plan = console(), result.plan
    out.print(f"[bold]{escape(headline(plan))}[/bold] (predicted)")
    layers = dict.fromkeys(result.devices_used, 0)
    for row in plan.assignments:
        layers[row.device] += 1
    backends = dict(result.trace.backends)
    rows = ((name, count, backends[name]) for name, count in layers.items())
    out.print(table("", ("device", ">layers", "computed here by"), rows))
    out.print(f"int8 calibration: {escape(result.calibration)}")
    for line in times:
        out.print(line)
    if result.segments:
        streams = "stream" if len(result.segments) == 1 else "streams"
        found = totals_text(result.totals)
        out.print(f"FPGA: {len(result.segments)} command {streams}{found and ', ' + found}")
    for note in result.plan.notes:
        out.print(f"note: {escape(note)}")
    if result.deviation is not None:
        deviation = result.deviation
        agrees = "agrees" if deviation.top1_agrees else "differs"
        out.print(
            f"against {escape(deviation.reference)}: largest error {deviation.max_abs_error:.3g} "
            f"absolute, {deviation.max_rel_error:.3g} relative; top-1 {agrees}"
        )
