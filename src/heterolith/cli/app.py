"""The commands, and those that only show: boards, inspect."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

import heterolith
from heterolith import boards
from heterolith.cli import bitstream, render
from heterolith.cli.accuracy import accuracy
from heterolith.cli.bench import commands as bench_commands
from heterolith.cli.codesign import design_command
from heterolith.cli.compare import compare
from heterolith.cli.compile import compile_plan
from heterolith.cli.cost import cost
from heterolith.cli.explain import explain
from heterolith.cli.fit import evaluate, fit
from heterolith.cli.options import AsJson, Model, Shape, load_network
from heterolith.cli.pareto import pareto
from heterolith.cli.plan import make_plan
from heterolith.cli.profile import profile
from heterolith.cli.run import run
from heterolith.cli.taskset import commands as taskset_commands
from heterolith.cli.taskset import sweep_command
from heterolith.sw import offload

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Place the layers of an ONNX network on FPGA, CPU and GPU under deadline, power and "
    "memory; prove how good the plan is; run it.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"heterolith {heterolith.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    del version


app.command("plan")(make_plan)
app.command("explain")(explain)
app.command("compare")(compare)
app.command("pareto")(pareto)
app.command("codesign")(design_command)
app.command("run")(run)
app.command("compile")(compile_plan)
app.command("profile")(profile)
app.command("fit")(fit)
app.command("evaluate")(evaluate)
app.command("accuracy")(accuracy)
app.command("cost")(cost)
app.add_typer(taskset_commands, name="taskset")
app.command("sweep")(sweep_command)
app.add_typer(bench_commands, name="bench")
app.add_typer(bitstream.app, name="bitstream")
app.command("simulate", context_settings={"allow_interspersed_args": False})(bitstream.simulate)


@app.command("boards")
def show_boards(
    name: Annotated[str, typer.Argument(help="one board, or several joined by +")] = "",
    as_json: AsJson = False,
) -> None:
    """List the boards, or show one with every figure and its source."""
    if name:
        platform = boards.load(name)
        if as_json:
            extra = {"idle_w": platform.idle_w, "operating_points": platform.n_operating_points}
            render.print_json({**asdict(platform), **extra})
        else:
            render.show_platform(platform)
        return
    platforms = [boards.load(known) for known in boards.names()]
    rows: list[dict[str, Any]] = [
        {
            "name": platform.name,
            "devices": [device.kind for device in platform.devices],
            "idle_w": round(platform.idle_w, 3),
            "operating_points": platform.n_operating_points,
            "description": "; ".join(device.description for device in platform.devices),
        }
        for platform in platforms
    ]
    if as_json:
        render.print_json(rows)
        return
    columns = ("name", "devices", ">idle W", ">operating points", "what")
    cells = (
        (r["name"], "+".join(r["devices"]), r["idle_w"], r["operating_points"], r["description"])
        for r in rows
    )
    out = render.console()
    out.print(render.table("", columns, cells))
    out.print(
        "join boards with +, e.g. ultra96-v2+jetson-tx2; other links: "
        + ", ".join(f"a+b@{link}" for link in boards.links())
    )


@app.command()
def inspect(model: Model, shape: Shape = None, as_json: AsJson = False) -> None:
    """Show the layers of a network after import and fusion."""
    network = load_network(model, shape)
    support = {layer.name: offload.support(network, layer) for layer in network.layers}
    if not as_json:
        render.show_network(network, support)
        return
    render.print_json(
        {
            "network": network.name,
            "opset": network.opset,
            "fingerprint": network.fingerprint(),
            "inputs": {name: list(network.tensors[name].shape) for name in network.inputs},
            "outputs": {name: list(network.tensors[name].shape) for name in network.outputs},
            "macs": sum(layer.macs for layer in network.layers),
            "parameters": sum(int(value.size) for value in network.constants.values()),
            "layers": [
                {
                    "name": layer.name,
                    "op": layer.op,
                    "shape": list(network.tensors[layer.outputs[0]].shape),
                    "macs": layer.macs,
                    "parameters": network.parameters(layer),
                    "nodes": list(layer.nodes),
                    "fpga": support[layer.name] or "yes",
                }
                for layer in network.layers
            ],
            "removed": [{"node": node, "reason": reason} for node, reason in network.removed],
        }
    )
