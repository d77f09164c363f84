"""The overlay of each board: manifest and handoff file, generated and committed.

``python -m heterolith.hw.overlay`` rewrites them, ``--check`` compares them and exits with 1 where
one is stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heterolith import bitstreams, boards
from heterolith.errors import unknown_name
from heterolith.hw.config import ArrayConfig, config
from heterolith.hw.export import command_set
from heterolith.hw.overlay.handoff import REFERENCE_MHZ, Clocking, handoff

PYNQ_NAMES = {"kv260": "KV260", "pynq-z2": "Pynq-Z2", "ultra96-v2": "Ultra96", "zcu104": "ZCU104"}
"""Boards that a bitstream can be built for, and what PYNQ calls them in link files."""

_PL_PLL = {"kv260": ("RPLL", 45), "ultra96-v2": ("IOPLL", 45), "zcu104": ("IOPLL", 45)}
"""PLL of the PL clocks and its multiplier, inferred from ``clocks_mhz`` of the boards' files: the
KV260 has 299.997 MHz at boot, which its I/O PLL of 999.99 MHz does not divide to.
"""

SIMULATED = tuple(_PL_PLL)
"""Boards with a simulated device: Zynq UltraScale+, which every PYNQ from 3.1 on knows."""


def array(board: str) -> ArrayConfig:
    """Return the accelerator configuration of a board.

    Raises
    ------
    InputError
        If the board has no overlay.
    """
    if board not in PYNQ_NAMES:
        raise unknown_name("board that a bitstream can be built for", board, PYNQ_NAMES)
    return config(boards.load(board).device("fpga").array)


def clocking(board: str) -> Clocking:
    """Return the clocks of a board after its overlay is loaded."""
    platform, (source, pl_pll) = boards.load(board), _PL_PLL[board]
    return Clocking(
        source=source,
        pl_pll=pl_pll,
        cpu_pll=round(2 * platform.device("cpu").mhz / REFERENCE_MHZ),
        divisor=round(pl_pll * REFERENCE_MHZ / platform.device("fpga").mhz),
    )


def expected(board: str) -> bitstreams.Manifest:
    """Return what the manifest of a bitstream for this program says, less tool and checksums."""
    built = array(board)
    return bitstreams.Manifest(
        board=board,
        configuration=built.name,
        config_hash=built.fingerprint(),
        command_set=command_set(),
    )


def files(board: str) -> dict[str, str]:
    """Return the generated files of a board: path below ``bitstreams/`` -> text."""
    fabric = boards.load(board).device("fpga").fabric
    part, manifest = fabric.part if fabric else "", expected(board).text()
    return {
        f"{board}/{bitstreams.NAME}": manifest,
        f"{board}/heterolith.hwh": handoff(board, part, clocking(board)),
        # Where PYNQ looks for the bitstream of a device of this name, and of no other.
        f"heterolith/heterolith.bit.d/heterolith.{board}.bit": manifest,
    }


def stale(root: Path) -> dict[Path, str]:
    """Return the generated files under ``root`` that are missing or differ, with their text."""
    wanted = {root / name: text for board in SIMULATED for name, text in files(board).items()}
    return {
        path: text
        for path, text in wanted.items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }


def main(arguments: Sequence[str], root: Path | None = None) -> int:
    """Run the command line of this module; returns the exit code."""
    check = list(arguments) == ["--check"]
    paths = stale(root or bitstreams.folder())
    for path, text in paths.items():
        print(f"{'stale' if check else 'wrote'}: {path}")  # noqa: T201
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if check and paths else 0
