"""``heterolith compile``: a plan as one file that a board runs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Optional

import typer

from heterolith import api
from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import AsJson, Ask, Pins, Shape
from heterolith.cli.source import plan_of, samples_of
from heterolith.errors import InputError
from heterolith.scheduler.bundle_file import SUFFIX, bundle_bytes


def compile_plan(
    source: Annotated[
        Path,
        typer.Argument(metavar="MODEL.onnx|plan.json", help="a plan, or a network to plan"),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="file to write (.hlb)")],
    platform: Annotated[str, typer.Option(help="board(s); needed with a network")] = "",
    pin: Pins = None,
    shape: Shape = None,
    model: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="the network of a plan, if its file has moved"),
    ] = None,
    calibrate: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help=".npy of samples (first axis) for int8 ranges; default: synthetic"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compile a plan into one file that runs on a board with numpy alone: heterolith run net.hlb.

    Of a network given without a plan, every layer that the accelerator computes is placed on it.
    """
    if out.suffix != SUFFIX:
        raise InputError(f"{out} does not end in {SUFFIX}, by which heterolith run knows a bundle")
    check_writable(out)
    ask = Ask(platform=platform, pin=tuple(pin or ()))
    network, plan = plan_of(source, ask, model, shape, on_fpga=True)
    bundle = api.compile_plan(plan, network, samples_of(network, calibrate))
    data = bundle_bytes(bundle)
    write_atomic(out, data)
    segments = bundle.compiled.segments
    if as_json:
        render.print_json(
            {
                "bundle": str(out),
                "bytes": len(data),
                "network": network.name,
                "platform": plan.platform,
                "configurations": {x: asdict(s.config) for x, s in bundle.sites.items()},
                "calibration": bundle.quantized.calibration,
                "segments": {name: s.predicted_cycles for name, s in segments.items()},
                "predicted_cycles": sum(s.predicted_cycles for s in segments.values()),
                "notes": list(plan.notes),
            }
        )
        return
    console = render.console()
    for name, segment in segments.items():
        commands = segment.code.size // 64
        console.print(f"{name}: {commands} commands, {segment.predicted_cycles:,} cycles predicted")
    for note in plan.notes:
        console.print(f"note: {note}")
    console.print(f"int8 calibration: {bundle.quantized.calibration}")
    console.print(f"wrote {out}, {len(data) / 1e6:.2f} MB", soft_wrap=True)
