"""``heterolith cost``: layer x resource x operating point."""

from __future__ import annotations

from io import BytesIO, StringIO
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import typer

from heterolith import boards
from heterolith.boards import OperatingPoint, Platform
from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import AsJson, Model, PlatformName, Shape, load_network
from heterolith.errors import InputError
from heterolith.metrics import models
from heterolith.metrics.models import Stored
from heterolith.metrics.table import CostTable, cost_table

SUFFIX = ".cost.json"


def cost(
    model: Model,
    platform: PlatformName,
    folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--models",
            metavar="DIR",
            help="fitted models DEVICE.cost.json, DEVICE.power.cost.json; others: data sheet",
        ),
    ] = None,
    points: Annotated[
        str,
        typer.Option(
            help="nominal, all, a number of points spread over all, or e.g. gpu=1300.5,emc=1866"
        ),
    ] = "nominal",
    extrapolate: Annotated[
        bool, typer.Option("--extrapolate", help="flag figures outside a fitted range, not refuse")
    ] = False,
    shape: Shape = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write every figure (.csv, or .npz arrays of layer x device x point)"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what every layer costs on every device at operating points, with intervals."""
    check_writable(out)
    target = boards.load(platform)
    chosen = parse_points(target, points)
    fitted = load_models(folder, target) if folder is not None else {}
    table = cost_table(load_network(model, shape), target, fitted, chosen)
    if not extrapolate:
        _refuse(table)
    if out is not None:
        write_atomic(out, _npz(table) if out.suffix == ".npz" else _csv(table, target).encode())
    if as_json:
        render.print_json(_json(table, target))
    else:
        _show(table, target)
        if out is not None:
            render.console().print(f"wrote {out}", soft_wrap=True)


def load_models(folder: Path, platform: Platform) -> dict[str, Stored]:
    """Read the models of a folder by the device their file names.

    Raises
    ------
    InputError
        If the folder has none, one names no device of the platform, or is damaged.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    if not paths:
        raise InputError(f"{folder} has no file *{SUFFIX}; write one with: heterolith fit --out")
    known = {device.name for device in platform.devices}
    found = {}
    for path in paths:
        name = path.name.removesuffix(SUFFIX)
        stored = models.load(path)
        wanted = "power" if name.endswith(".power") else "latency"
        if name.removesuffix(".power") not in known:
            raise InputError(
                f"{path} is named after no device of {platform.name}; name it DEVICE{SUFFIX}, "
                f"devices: {', '.join(sorted(known))}"
            )
        if stored.model.metric != wanted:
            raise InputError(
                f"{path} predicts {stored.model.metric}, its name says {wanted}; call a power "
                f"model DEVICE.power{SUFFIX}"
            )
        found[name] = stored
    return found


def parse_points(platform: Platform, text: str) -> list[OperatingPoint | None]:
    """Turn the option into operating points; ``None`` is the nominal one.

    Raises
    ------
    InputError
        If the text is none of the forms, or no point has these clocks.
    """
    if text == "nominal" or not platform.dvfs:
        return [None]
    every: list[OperatingPoint | None] = list(platform.operating_points())
    if text == "all":
        return every
    if text.isdecimal() and int(text):
        step = max(1, len(every) // int(text))
        return every[::step][: int(text)]
    names = [domain.name for domain in platform.dvfs]
    try:
        wanted = {k: float(v) for k, v in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise InputError(
            f"points {text!r} are neither nominal, all, a number, nor DOMAIN=MHZ,...; domains: "
            f"{', '.join(names)}"
        ) from error
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise InputError(f"{platform.name} has no domain {unknown[0]!r}; {', '.join(names)}")
    found = [
        point
        for point in every
        if point is not None
        and all(dict(zip(names, point.mhz, strict=True))[k] == v for k, v in wanted.items())
    ]
    if not found:
        raise InputError(f"no operating point has {text}; see: heterolith boards {platform.name}")
    return list(found)


def _refuse(table: CostTable) -> None:
    fitted = [index for index, source in enumerate(table.sources) if source == "fitted"]
    wrong = np.argwhere(table.outside[:, fitted] != "")
    if len(wrong):
        layer, column, point = wrong[0]
        reason = table.outside[layer, fitted[column], point]
        raise InputError(
            f"{table.layers[layer]} on {table.devices[fitted[column]]}: {reason} ({len(wrong)} "
            "figures are outside their model's range); fit with such samples, or take flagged "
            "figures without an interval: --extrapolate"
        )


def _name(point: OperatingPoint | None, platform: Platform) -> str:
    if point is None:
        return "nominal"
    domains = zip(platform.dvfs, point.mhz, point.core_masks, strict=True)
    return " ".join(f"{d.name}={mhz:g}{'/' + mask if mask else ''}" for d, mhz, mask in domains)


def _json(table: CostTable, platform: Platform) -> dict[str, object]:
    return {
        "layers": list(table.layers),
        "devices": list(table.devices),
        "sources": dict(zip(table.devices, table.sources, strict=True)),
        "points": [_name(point, platform) for point in table.points],
        "axes": ["layer", "device", "point"],
        "latency_ns": table.latency_ns.tolist(),
        "low_ns": table.low_ns.tolist(),
        "high_ns": table.high_ns.tolist(),
        "energy_pj": table.energy_pj.tolist(),
        "outside": table.outside.tolist(),
    }


def _npz(table: CostTable) -> bytes:
    data = BytesIO()
    np.savez_compressed(
        data,
        layers=np.array(table.layers),
        devices=np.array(table.devices),
        latency_ns=table.latency_ns,
        low_ns=table.low_ns,
        high_ns=table.high_ns,
        energy_pj=table.energy_pj,
        outside=table.outside != "",
    )
    return data.getvalue()


def _csv(table: CostTable, platform: Platform) -> str:
    text = StringIO()
    text.write("layer,device,point,latency_ns,low_ns,high_ns,energy_pj,source,outside\n")
    names = [_name(point, platform) for point in table.points]
    for i, layer in enumerate(table.layers):
        for j, device in enumerate(table.devices):
            for k, point in enumerate(names):
                figures = (a[i, j, k] for a in (table.latency_ns, table.low_ns, table.high_ns,
                                                table.energy_pj))  # fmt: skip
                cells = ("" if np.isnan(value) else f"{value:.6g}" for value in figures)
                why = str(table.outside[i, j, k]).replace('"', "'")
                text.write(
                    f'"{layer}",{device},{point},{",".join(cells)},{table.sources[j]},"{why}"\n'
                )
    return text.getvalue()


def _show(table: CostTable, platform: Platform) -> None:
    """Print layers at the first point, and sums at up to twenty."""
    out = render.console()
    heads = [f">{device} us" for device in table.devices]
    rows = [
        (layer, *(_cell(table, i, j) for j in range(len(table.devices))))
        for i, layer in enumerate(table.layers)
    ]
    out.print(render.table(f"at {_name(table.points[0], platform)}", ("layer", *heads), rows))
    sums = [
        (
            _name(point, platform),
            *(f"{np.nansum(table.latency_ns[:, j, k]) / 1e6:.3f}" for j in range(len(heads))),
            *(f"{np.nansum(table.energy_pj[:, j, k]) / 1e9:.3f}" for j in range(len(heads))),
        )
        for k, point in list(enumerate(table.points))[:20]
    ]
    columns = ("point", *(f">{d} ms" for d in table.devices), *(f">{d} mJ" for d in table.devices))
    out.print(render.table("sum over the layers a device computes", columns, sums))
    sources = ", ".join(f"{d}: {s}" for d, s in zip(table.devices, table.sources, strict=True))
    out.print(f"{sources}; ! outside the fitted range, - not computed there")


def _cell(table: CostTable, layer: int, device: int) -> str:
    value = table.latency_ns[layer, device, 0]
    if np.isnan(value):
        return "-"
    text = f"{value / 1e3:.1f}"
    high = table.high_ns[layer, device, 0]
    if table.sources[device] == "fitted" and np.isfinite(high):
        text += f" ({table.low_ns[layer, device, 0] / 1e3:.1f}-{high / 1e3:.1f})"
    return text + ("!" if table.outside[layer, device, 0] else "")
