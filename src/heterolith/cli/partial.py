"""What a command has done so far, as lines of JSON beside its output: for ``--resume``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from heterolith.cli.files import read_text, write_atomic
from heterolith.errors import InputError

SUFFIX = ".partial"


class Partial:
    """Rows of one command; without an output nothing is kept.

    The first line holds a key of what was asked, every further one a row.
    """

    def __init__(self, out: Path | None) -> None:
        self.path = None if out is None else out.with_name(out.name + SUFFIX)

    def start(self, key: str) -> None:
        """Begin anew, without the rows of any earlier run."""
        self._write(key, "w")

    def append(self, row: object) -> None:
        """Keep a row.

        Raises
        ------
        InputError
            If the file system refuses.
        """
        self._write(row, "a")

    def resume(self, key: str, of: str) -> list[Any]:
        """Return the rows of an interrupted run; a line that was cut off is dropped.

        Parameters
        ----------
        of
            What the key depends on, in words.

        Raises
        ------
        InputError
            If there is no such run, it was asked something else, or its file is damaged.
        """
        path = self.path
        if path is None or not path.exists():
            raise InputError(f"nothing to resume: there is no {path}; run without --resume")
        first, *lines = read_text(path).split("\n")
        if first != json.dumps(key):
            raise InputError(f"{path} is of another {of}; give the same arguments, or remove it")
        try:
            rows = [json.loads(line) for line in lines[:-1]]
        except ValueError as error:
            raise InputError(f"{path} is damaged: {error}; run without --resume") from error
        write_atomic(path, "\n".join([first, *lines[:-1], ""]).encode())
        return rows

    def remove(self) -> None:
        """Forget all rows."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _write(self, row: object, mode: str) -> None:
        if self.path is None:
            return
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error.strerror}") from error
