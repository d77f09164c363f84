"""What a bitstream says about itself: board, hashes of what it was built from, tool, checksums.

One ``manifest.json`` stands beside each bitstream; it is JSON so that a board reads it with the
standard library. Invariant: `check` passes only for the program that the bitstream was built for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from hashlib import md5
from pathlib import Path

from heterolith.errors import InputError

NAME = "manifest.json"

SIMULATED = "none: the simulated device runs the RTL in Verilator"
"""The tool of an overlay that holds no bitstream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One overlay.

    Attributes
    ----------
    configuration, config_hash
        Name and fingerprint of the accelerator configuration.
    command_set
        Hash of registers and commands.
    tool
        What built it, with its version.
    md5
        File name -> checksum, as PYNQ's link files have it.
    """

    board: str
    configuration: str
    config_hash: str
    command_set: str
    tool: str = SIMULATED
    md5: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return the manifest as the text of its file."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def check(self, config_hash: str, command_set: str) -> None:
        """Refuse a bitstream of another configuration or command set.

        Raises
        ------
        InputError
            With both hashes and the remedy.
        """
        remedy = f"build it again: heterolith bitstream build --board {self.board}"
        for what, there, here in (
            ("configuration", self.config_hash, config_hash),
            ("command set", self.command_set, command_set),
        ):
            if there != here:
                raise InputError(
                    f"the bitstream for {self.board} was built from {what} {there}, "
                    f"this program has {here}; {remedy}"
                )


def checksum(path: Path) -> str:
    """Return the MD5 of a file: PYNQ's link files ask for it, nothing rests on its strength."""
    return md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def read(path: Path) -> Manifest:
    """Read a manifest.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        return Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, ValueError, TypeError) as error:
        raise InputError(f"{path} is no manifest of a bitstream ({error})") from error


def beside(bitstream: Path) -> Manifest | None:
    """Return the manifest of a bitstream: itself if it is simulated, else the file beside it."""
    with bitstream.open("rb") as file:
        if file.read(1) == b"{":
            return read(bitstream)
    path = bitstream.with_name(NAME)
    return read(path) if path.is_file() else None


def verify(folder: Path) -> Manifest:
    """Return the manifest of a folder after a look at every file's checksum.

    Raises
    ------
    InputError
        If a file is missing or differs.
    """
    manifest = read(folder / NAME)
    for name, expected in manifest.md5.items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path} is in the manifest but missing; copy the folder again")
        if checksum(path) != expected:
            raise InputError(f"{path} has MD5 {checksum(path)}, not {expected}; copy it again")
    return manifest


def links(manifest: Manifest, key: str, url: str) -> dict[str, str]:
    """Return PYNQ's link files for a published bitstream: file name -> text.

    Parameters
    ----------
    key
        PYNQ's name of the board, e.g. ``Ultra96``.
    url
        Folder that the files were uploaded to.
    """
    return {
        f"{name}.link": json.dumps(
            {key: {"url": f"{url.rstrip('/')}/{name}", "md5sum": digest}}, indent=1
        )
        + "\n"
        for name, digest in manifest.md5.items()
    }
