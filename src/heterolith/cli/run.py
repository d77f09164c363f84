"""``heterolith run``: run a plan, or plan and run, on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Optional

import typer

from heterolith import api
from heterolith.cli import render
from heterolith.cli.files import check_writable, read_arrays, write_atomic
from heterolith.cli.options import (
    AsJson,
    Ask,
    CompileCpu,
    Deadline,
    FpgaDevice,
    Memory,
    OptionalObjective,
    PeakPower,
    Pins,
    Power,
    ProfileFiles,
    Repeat,
    Shape,
    Threads,
)
from heterolith.cli.progress import bar
from heterolith.cli.repeat import Repeated, repeated
from heterolith.cli.source import plan_of, samples_of
from heterolith.cli.summary import array_file, check_exact, run_data, totals_data
from heterolith.sw import Array


def run(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL.onnx|plan.json|net.hlb", help="network, a plan of one, or that compiled"
        ),
    ],
    inputs: Annotated[
        str, typer.Option("--input", help=".npy, .npz with one array per input, or random:SEED")
    ],
    platform: Annotated[str, typer.Option(help="board(s); needed with a network")] = "",
    deadline: Deadline = "",
    power: Power = "",
    peak_power: PeakPower = "",
    memory: Memory = "",
    objective: OptionalObjective = None,
    profile: ProfileFiles = None,
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
    threads: Threads = None,
    device: Annotated[
        Optional[FpgaDevice],  # noqa: UP045
        typer.Option(
            help="what computes FPGA layers, to the same bits; default: golden. With a network and "
            "no other wish, every layer that the accelerator computes is placed on it"
        ),
    ] = None,
    repeat: Repeat = 1,
    compile_cpu: CompileCpu = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write the output (.npy; .npz if there are several)"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="compare with float32 ONNX Runtime (extra verify)")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a plan on this machine, FPGA layers bit for bit as the accelerator computes them."""
    check_writable(out)
    ask = Ask(
        platform=platform,
        deadline=deadline,
        power=power,
        peak_power=peak_power,
        memory=memory,
        objective=objective.value if objective else "",
        profile=tuple(profile or ()),
        pin=tuple(pin or ()),
    )
    backend = device.value if device else "golden"
    network, made = plan_of(source, ask, model, shape, on_fpga=backend != "golden")
    given: str | Array | Mapping[str, Array] = inputs
    if not inputs.startswith("random:"):
        given = read_arrays(Path(inputs))
    values = api.make_inputs(network, given)
    samples = samples_of(network, calibrate)
    options = api.segment_options(backend)
    if backend == "rtl":
        options = replace(options, watch=bar)
    with api.Runner(
        made, network, calibration=samples, threads=threads, device=backend, options=options
    ) as runner:
        outputs, trace, times = repeated(runner, values, repeat, compile_cpu)
        result = api.RunResult(
            outputs=outputs,
            trace=trace,
            plan=made,
            calibration=runner.calibration,
            segments=runner.segments(),
            totals=runner.totals(),
        )
    check_exact(result.totals)
    if check:
        result = replace(result, deviation=api.compare(network, values, result.outputs))
    if out is not None:
        write_atomic(out, array_file(result.outputs))
    if as_json:
        render.print_json(_summary(result, times))
    else:
        render.show_run(result, times.lines("measured; not the board's"))


def _summary(result: api.RunResult, times: Repeated) -> dict[str, object]:
    deviation = asdict(result.deviation) if result.deviation is not None else {}
    return {
        "network": result.plan.network,
        "platform": result.plan.platform,
        "devices_used": list(result.devices_used),
        "kinds_used": list(result.kinds_used),
        "backends": dict(result.trace.backends),
        "calibration": result.calibration,
        **deviation,
        **totals_data(result.totals),
        "segments": [asdict(segment) for segment in result.segments],
        "notes": list(result.plan.notes),
        **run_data(result.plan, result.outputs, result.trace),
        **times.data(),
    }
