"""``heterolith bitstream`` and ``heterolith simulate``: overlays, and running without a board."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from heterolith import bitstreams
from heterolith.cli import render
from heterolith.cli.options import AsJson
from heterolith.errors import InputError
from heterolith.hw.overlay import PYNQ_NAMES, SIMULATED, expected
from heterolith.hw.overlay.build import build as build_bitstream
from heterolith.hw.pynq_sim import environment

app = typer.Typer(no_args_is_help=True, help="Overlays for boards: list, build, check, install.")

Board = Annotated[str, typer.Option("--board", help="see: heterolith bitstream list")]
Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="what build made: bitstream, handoff, manifest")
]


def _installed() -> str:
    """Return the board whose bitstream PYNQ would find, or an empty text."""
    folder = bitstreams.folder() / bitstreams.OVERLAY
    return bitstreams.verify(folder).board if (folder / bitstreams.NAME).is_file() else ""


@app.command("list")
def list_overlays(as_json: AsJson = False) -> None:
    """List the boards with the hashes that a bitstream for this program has; none is shipped."""
    installed = _installed()
    rows = [
        {
            "board": board,
            "pynq": PYNQ_NAMES[board],
            "configuration": (manifest := expected(board)).configuration,
            "config_hash": manifest.config_hash,
            "command_set": manifest.command_set,
            "simulated": board in SIMULATED,
            "bitstream": "installed" if board == installed else "none",
        }
        for board in PYNQ_NAMES
    ]
    if as_json:
        render.print_json(rows)
        return
    out = render.console()
    out.print(render.table("", tuple(rows[0]), (row.values() for row in rows)))
    out.print("no bitstream is shipped: build one with Vivado (heterolith bitstream build)")


@app.command()
def build(
    board: Board,
    out: Annotated[Path, typer.Option(help="folder for what Vivado makes")] = Path(
        "build/bitstreams"
    ),
    url: Annotated[
        str, typer.Option(help="where the files will be published, for PYNQ's link files")
    ] = "",
) -> None:
    """Build a bitstream with Vivado: hours."""
    typer.echo(f"{build_bitstream(board, out, url)}: check, copy to the board, install there")


@app.command()
def check(folder: Folder, as_json: AsJson = False) -> None:
    """Compare a bitstream with this program and its files with their checksums."""
    manifest = bitstreams.verify(folder)
    wanted = expected(manifest.board)
    manifest.check(wanted.config_hash, wanted.command_set)
    if as_json:
        render.print_json({"board": manifest.board, "tool": manifest.tool, "ok": True})
        return
    typer.echo(f"{folder}: {manifest.configuration} for {manifest.board}, by {manifest.tool}: ok")


@app.command()
def install(folder: Folder) -> None:
    """Put a built bitstream where pynq.Overlay("heterolith.bit") finds it."""
    manifest = bitstreams.verify(folder)
    wanted = expected(manifest.board)
    manifest.check(wanted.config_hash, wanted.command_set)
    typer.echo(f"installed {bitstreams.install(folder)}")


def simulate(
    board: Annotated[str, typer.Argument(help="one of: " + ", ".join(SIMULATED))],
    command: Annotated[list[str], typer.Argument(help="e.g. python script.py, jupyter lab")],
) -> None:
    """Run a PYNQ script or notebook server, unchanged, on a simulated board (extra pynq)."""
    variables = environment(board)
    try:
        os.execvpe(command[0], command, variables)
    except OSError as error:
        raise InputError(f"cannot run {command[0]}: {error.strerror}") from error
