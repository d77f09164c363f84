"""``heterolith codesign``: which accelerator to build for some networks, and where layers run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress

from heterolith import boards, units
from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import AsJson, FrontFile, FrontPicture, Power, Shape, load_network
from heterolith.cli.pareto import csv_bytes
from heterolith.errors import InputError
from heterolith.hw.geometry import rtl_parameters
from heterolith.scheduler.codesign import Design, Goal, Point, codesign
from heterolith.scheduler.gantt import new_figure, png

T = TypeVar("T")


def per_model(given: Sequence[T], models: int, option: str, usual: T) -> list[T]:
    """Return one value per model: given once for all, once each, or not at all."""
    if len(given) not in (0, 1, models):
        raise InputError(
            f"{option} is given {len(given)} times for {models} models; give it once, or once each"
        )
    return list(given) if len(given) == models else [*(given or [usual])] * models


def goals(
    models: Sequence[Path],
    deadlines: Sequence[str],
    weights: Sequence[float],
    shapes: Sequence[str],
) -> list[Goal]:
    """Return what a command line asks for each network; raises `InputError` where it is wrong."""
    limits = per_model(deadlines, len(models), "--deadline", "")
    parts = per_model(weights, len(models), "--weight", 1.0)
    if not all(0 < part < float("inf") for part in parts):
        raise InputError(f"weights are {parts}; each must be above 0 and finite")
    bounds = [units.time_ns(text, "deadline") if text else None for text in limits]
    networks = [load_network(model, shapes) for model in models]
    return [
        Goal(network=network, deadline_ns=bound, weight=part)
        for network, bound, part in zip(networks, bounds, parts, strict=True)
    ]


def row(point: Point) -> dict[str, Any]:
    """Return a point as one line of the table."""
    config = point.config
    layers: dict[str, int] = {}
    for plan in point.served:
        for device, count in plan.layers:
            layers[device] = layers.get(device, 0) + count
    return {
        "latency_ms": point.latency_ns / 1e6,
        "energy_mj": point.energy_pj / 1e9,
        "share": point.share,
        "objective": point.objective,
        "clock_mhz": config.clock_mhz,
        "n_pe": config.n_pe,
        "pixels": config.pixels,
        "lanes": config.lanes,
        "requantizers": config.requantizers,
        "weight_buffer_bytes": config.weight_buffer_bytes,
        "activation_buffer_bytes": config.activation_buffer_bytes,
        "accumulator_buffer_bytes": config.accumulator_buffer_bytes,
        "axi_data_bits": config.axi_data_bits,
        "lut": round(point.area.lut),
        "ff": round(point.area.ff),
        "dsp": point.area.dsp,
        "bram36": point.area.bram36,
        "layers": " ".join(f"{device}:{count}" for device, count in layers.items()),
    }


def detail(point: Point) -> dict[str, Any]:
    """Return a point with the parameters of the RTL and the plan of each network."""
    plans = [
        {
            "network": plan.network,
            "latency_ms": plan.latency_ns / 1e6,
            "energy_mj": plan.energy_pj / 1e9,
            "gap": plan.gap,
            "layers": dict(plan.layers),
            "devices": list(plan.devices),
        }
        for plan in point.served
    ]
    return {
        **row(point),
        "config": asdict(point.config),
        "rtl_parameters": rtl_parameters(point.config),
        "plans": plans,
    }


def picture(points: Sequence[Point], title: str) -> bytes:
    """Return a PNG of the front; raises `MissingExtraError` if matplotlib is not installed."""
    figure = new_figure(7, 4.5)
    axes = figure.subplots()
    drawn = axes.scatter(
        [point.latency_ns / 1e6 for point in points],
        [point.energy_pj / 1e9 for point in points],
        c=[point.share * 100 for point in points],
        s=24,
    )
    figure.colorbar(drawn, label="part used / %")
    axes.set_xlabel("latency / ms")
    axes.set_ylabel("energy / mJ")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    return png(figure)


def searched(wanted: Sequence[Goal], board: str, power: str) -> Design:
    """Return the front, with a progress bar on standard error."""
    platform = boards.load(board)
    power_mw = units.power_mw(power, "power") if power else None
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("costing", total=None)

        def show(stage: str, done: int, every: int) -> None:
            progress.update(task, description=stage, completed=done, total=every)

        return codesign(wanted, platform, power_mw=power_mw, progress=show)


def design_command(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL.onnx...", help="ONNX networks")],
    board: Annotated[str, typer.Option(help="board with one FPGA, see: heterolith boards")],
    deadline: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="latency bound, e.g. 33ms; once for all models, or once each"),
    ] = None,
    weight: Annotated[
        Optional[list[float]],  # noqa: UP045
        typer.Option(help="weight of a model's energy in the sum; once each"),
    ] = None,
    power: Power = "",
    shape: Shape = None,
    out: FrontFile = None,
    plot: FrontPicture = None,
    as_json: AsJson = False,
) -> None:
    """Search accelerators and clocks for a board's FPGA together with the placement."""
    check_writable(out, plot)
    wanted = goals(models, deadline or [], weight or [], shape or [])
    found = searched(wanted, board, power)
    rows = [row(point) for point in found.points]
    names = "+".join(goal.network.name for goal in wanted)
    title = f"{names} on {board}: {len(rows)} of {found.screened} configurations"
    image = picture(found.points, title) if plot else b""
    if out is not None:
        write_atomic(out, csv_bytes(rows))
    if plot is not None:
        write_atomic(plot, image)
    if as_json:
        render.print_json(
            {
                "networks": [goal.network.name for goal in wanted],
                "board": board,
                "screened": found.screened,
                "placed": found.placed,
                "screen_errors": list(found.screen_errors),
                "points": [detail(point) for point in found.points],
            }
        )
        return
    _show(rows, title, [path for path in (out, plot) if path is not None])


def _show(rows: Sequence[dict[str, Any]], title: str, written: Sequence[Path]) -> None:
    columns = (
        *(">latency ms", ">energy mJ", ">part", ">MHz", "n_pe x pixels x lanes", ">requantizers"),
        *(">weights KiB", ">activations KiB", ">sums KiB", "layers"),
    )
    cells = (
        (
            f"{r['latency_ms']:.3f}",
            f"{r['energy_mj']:.3f}",
            f"{r['share']:.0%}",
            f"{r['clock_mhz']:g}",
            f"{r['n_pe']} x {r['pixels']} x {r['lanes']}",
            r["requantizers"],
            r["weight_buffer_bytes"] // 1024,
            r["activation_buffer_bytes"] // 1024,
            r["accumulator_buffer_bytes"] // 1024,
            r["layers"],
        )
        for r in rows
    )
    console = render.console()
    console.print(render.table(title, columns, cells))
    console.print("latency simulated, area fitted, power in proportion to area and clock (assumed)")
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)
