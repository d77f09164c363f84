"""Vivado's part: a bitstream from the Tcl in ``boards/vivado``.

Vivado runs nowhere in this project's checks; what stands here is tested with a program that takes
its place, and no bitstream of it has been on a board yet.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from heterolith import bitstreams, boards
from heterolith.errors import InputError
from heterolith.hw.overlay.boards import PYNQ_NAMES, expected

_HASH = re.compile(r"ConfigHash 64'h([0-9a-f]{16})")


def vivado() -> str:
    """Return the path of Vivado: on PATH, else below ``XILINX_VIVADO``.

    Raises
    ------
    InputError
        If there is none.
    """
    home = os.environ.get("XILINX_VIVADO", "")
    path = shutil.which("vivado") or (shutil.which("vivado", path=f"{home}/bin") if home else None)
    if path is None:
        raise InputError(
            "a bitstream needs Vivado and none is on PATH; install Vivado 2022.1 or later and "
            "source its settings64.sh, or run without a board: heterolith simulate ultra96-v2 "
            "COMMAND"
        )
    return path


def script(board: str) -> Path:
    """Return the Tcl of a board after a look at the configuration hash in it.

    Raises
    ------
    InputError
        If the board has none, or it is of another configuration.
    """
    manifest = expected(board)
    path = Path(boards.__file__).parent / "vivado" / f"{board}.tcl"
    found = _HASH.search(path.read_text(encoding="utf-8"))
    there = found.group(1) if found else "none"
    if there != manifest.config_hash:
        raise InputError(
            f"{path} builds configuration {there}, this program has {manifest.config_hash} "
            f"({manifest.configuration}); correct its parameters"
        )
    return path


def build(board: str, out: Path, url: str = "") -> Path:
    """Build a board's bitstream: hours.

    Parameters
    ----------
    out
        Folder for what Vivado leaves; the overlay comes into ``<out>/<board>``.
    url
        Folder on the web that the files will be published in, for PYNQ's link files.

    Returns
    -------
    Path
        The folder with bitstream, handoff file and manifest.

    Raises
    ------
    InputError
        If Vivado is not there or fails; the end of its output is in the message.
    """
    source, tool = script(board), vivado()
    version = _run([tool, "-version"], Path.cwd()).split("\n")[0].strip()
    out.mkdir(parents=True, exist_ok=True)
    _run([tool, "-mode", "batch", "-nojournal", "-source", str(source)], out)
    folder, md5 = out / board, {}
    folder.mkdir(exist_ok=True)
    for suffix in (".bit", ".hwh"):
        built, name = out / "build" / f"{board}{suffix}", f"{bitstreams.OVERLAY}{suffix}"
        if not built.is_file():
            raise InputError(f"Vivado ended without {built}; look at {out}/vivado.log")
        shutil.copyfile(built, folder / name)
        md5[name] = bitstreams.checksum(folder / name)
    manifest = replace(expected(board), tool=version, md5=md5)
    (folder / bitstreams.NAME).write_text(manifest.text(), encoding="utf-8")
    if url:
        for name, text in bitstreams.links(manifest, PYNQ_NAMES[board], url).items():
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        end = (done.stdout + done.stderr).strip()[-1000:]
        raise InputError(f"{' '.join(command)} failed in {folder}:\n{end}")
    return done.stdout
