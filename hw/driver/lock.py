"""One process at a time on an accelerator.

The kernel drops a lock with its process, however that ends, so none goes stale.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from heterolith.errors import InputError

FOLDER_VARIABLE = "HETEROLITH_LOCKS"
"""Environment variable with the folder of lock files, by default that of temporary files."""


@dataclass(slots=True)
class Lock:
    """A lock held from construction on.

    Raises
    ------
    InputError
        If another process holds it, or this one does already; the holder is named.
    """

    name: str
    _file: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        folder = Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())
        path = folder / f"heterolith-{self.name}.lock"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InputError(
                f"cannot open {path}: {error.strerror}; set {FOLDER_VARIABLE}"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 200).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            raise InputError(
                f"{self.name} is in use by {holder}; close it there or end that process"
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, f"process {os.getpid()} ({' '.join(sys.argv)[:120]})\n".encode())

    @property
    def held(self) -> bool:
        """Whether it has not been released."""
        return self._file >= 0

    def release(self) -> None:
        """Let others in; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
