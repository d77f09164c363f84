"""``heterolith plan``: place a network, show why, write plan and picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from heterolith.cli import render
from heterolith.cli.files import check_writable, write_atomic
from heterolith.cli.options import (
    AsJson,
    Ask,
    Deadline,
    Memory,
    Model,
    Objective,
    ObjectiveName,
    PeakPower,
    Pins,
    PlatformName,
    Power,
    ProfileFiles,
    Shape,
    TimeLimit,
    json_bytes,
    load_network,
)
from heterolith.errors import InfeasibleError
from heterolith.scheduler.gantt import picture


def make_plan(
    model: Model,
    platform: PlatformName,
    deadline: Deadline = "",
    power: Power = "",
    peak_power: PeakPower = "",
    memory: Memory = "",
    accuracy_loss: Annotated[
        str, typer.Option(help="bound on the sum of measured losses of top-1, e.g. 1%")
    ] = "",
    variants: Annotated[
        bool, typer.Option("--variants", help="low ranks among the --profile rows may be chosen")
    ] = False,
    objective: ObjectiveName = Objective.energy,
    profile: ProfileFiles = None,
    pin: Pins = None,
    shape: Shape = None,
    time_limit: TimeLimit = "60s",
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write the plan (JSON)"),
    ] = None,
    gantt: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="write a Gantt picture (PNG; extra plot)"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Place every layer at the least objective within hard limits, with a certificate."""
    check_writable(out, gantt)
    ask = Ask(
        platform=platform,
        deadline=deadline,
        power=power,
        peak_power=peak_power,
        memory=memory,
        accuracy_loss=accuracy_loss,
        variants=variants,
        objective=objective.value,
        profile=tuple(profile or ()),
        pin=tuple(pin or ()),
        time_limit=time_limit,
    )
    network = load_network(model, shape)
    try:
        made = ask.plan(network)
    except InfeasibleError as error:
        if as_json:
            render.print_json({"feasible": False, "reason": str(error)})
        raise
    image = picture(made) if gantt is not None else b""
    if out is not None:
        write_atomic(out, json_bytes(made))
    if gantt is not None:
        write_atomic(gantt, image)
    if as_json:
        render.print_json(made.to_json() | {"resources": render.resources(made, network)})
    else:
        render.show_plan(made, network)
        for path in filter(None, (out, gantt)):
            render.console().print(f"wrote {path}", soft_wrap=True)
