"""``heterolith run``: run a plan, or plan and run, on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import typer

from heterolith import api
from heterolith.cli import render
from heterolith.cli.files import check_writable, read_arrays, write_atomic
from heterolith.cli.options import (
    AsJson,
    Ask,
    Deadline,
    FpgaDevice,
    Memory,
    Objective,
    ObjectiveName,
    PeakPower,
    Pins,
    Power,
    ProfileFiles,
    Shape,
    Threads,
    load_network,
)
from heterolith.errors import InputError
from heterolith.scheduler import Plan
from heterolith.sw import Array, Network


def run(
    source: Annotated[
        Path, typer.Argument(metavar="MODEL.onnx|plan.json", help="network, or a plan of one")
    ],
    inputs: Annotated[
        str, typer.Option("--input", help=".npy, .npz with one array per input, or random:SEED")
    ],
    platform: Annotated[str, typer.Option(help="board(s); needed with a network")] = "",
    deadline: Deadline = "",
    power: Power = "",
    peak_power: PeakPower = "",
    memory: Memory = "",
    objective: ObjectiveName = Objective.energy,
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
        FpgaDevice, typer.Option(help="what computes FPGA layers, to the same bits")
    ] = FpgaDevice.golden,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write the output (.npy; .npz if there are several)"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="compare with float32 ONNX Runtime (extra verify)")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a plan on this machine, FPGA layers bit for bit on the accelerator's golden model."""
    check_writable(out)
    ask = Ask(
        platform=platform,
        deadline=deadline,
        power=power,
        peak_power=peak_power,
        memory=memory,
        objective=objective.value,
        profile=tuple(profile or ()),
        pin=tuple(pin or ()),
    )
    network, made = _plan_of(source, ask, model, shape)
    given: str | Array | Mapping[str, Array] = inputs
    if not inputs.startswith("random:"):
        given = read_arrays(Path(inputs))
    values = api.make_inputs(network, given)
    samples = _samples(network, calibrate)
    result = api.run(
        made,
        network,
        values,
        calibration=samples,
        threads=threads,
        device=device.value,
        check=check,
    )
    if out is not None:
        write_atomic(out, _array_file(result.outputs))
    if as_json:
        render.print_json(_summary(result))
    else:
        render.show_run(result)


def _plan_of(
    source: Path, ask: Ask, model: Path | None, shape: Sequence[str] | None
) -> tuple[Network, Plan]:
    if source.suffix != ".json":
        if not ask.platform:
            raise InputError("a network needs --platform, e.g. --platform ultra96-v2+jetson-tx2")
        network = load_network(source, shape)
        return network, ask.plan(network)
    plan = Plan.load(source)
    if ask.platform and ask.platform != plan.platform:
        raise InputError(
            f"{source} was made for {plan.platform}, not {ask.platform}; plan again for that one"
        )
    path = model or Path(plan.model)
    if not plan.model and model is None:
        raise InputError(f"{source} names no model file; give it with --model MODEL.onnx")
    return load_network(path, shape), plan


def _samples(network: Network, path: Path | None) -> list[dict[str, Array]] | None:
    if path is None:
        return None
    array = read_arrays(path)
    if isinstance(array, dict) or len(network.inputs) != 1:
        raise InputError(f"{path}: calibration takes one .npy for a network with one input")
    name = network.inputs[0]
    shape = network.tensors[name].shape
    if array.ndim != len(shape) or array.shape[1:] != shape[1:] or len(array) < shape[0]:
        raise InputError(
            f"{path} has shape {array.shape}; calibration wants (samples, *{shape[1:]})"
        )
    dtype = network.tensors[name].dtype
    starts = range(0, len(array) - shape[0] + 1, shape[0])
    return [{name: array[start : start + shape[0]].astype(dtype)} for start in starts]


def _array_file(outputs: Mapping[str, Array]) -> bytes:
    data = BytesIO()
    if len(outputs) == 1:
        np.save(data, next(iter(outputs.values())), allow_pickle=False)
    else:
        np.savez(data, allow_pickle=True, **outputs)
    return data.getvalue()


def _summary(result: api.RunResult) -> dict[str, object]:
    deviation = asdict(result.deviation) if result.deviation is not None else {}
    return {
        "network": result.plan.network,
        "platform": result.plan.platform,
        "devices_used": list(result.devices_used),
        "kinds_used": list(result.kinds_used),
        "backends": dict(result.trace.backends),
        "calibration": result.calibration,
        **deviation,
        "top1": {name: int(np.argmax(value)) for name, value in result.outputs.items()},
        "predicted_latency_ms": result.plan.metrics.latency_ns / 1e6,
        "predicted_energy_mj": result.plan.metrics.energy_pj / 1e9,
        "host_time_ms": result.trace.latency_ns / 1e6,
        "outputs": {name: list(value.shape) for name, value in result.outputs.items()},
    }
