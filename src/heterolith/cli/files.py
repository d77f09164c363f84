"""Files that are read and written by commands: checked before the work, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from heterolith.errors import InputError
from heterolith.sw import Array


def check_writable(*paths: Path | None) -> None:
    """Refuse output paths that cannot be written, before any work is done.

    Missing parent folders are made.

    Raises
    ------
    InputError
        If a path is a folder or its folder does not take files.
    """
    for path in filter(None, paths):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make folder {path.parent}: {error.strerror}") from error
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder; give a file name")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InputError(f"cannot write {path}: permission denied; choose another folder")


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    InputError
        If the file system refuses.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            Path(temporary).chmod(0o666 & ~_umask())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def read_arrays(path: Path) -> Array | dict[str, Array]:
    """Read an ``.npy`` array or the named arrays of an ``.npz``.

    Raises
    ------
    InputError
        If the file is missing or is neither.
    """
    try:
        content: Any = np.load(path, allow_pickle=False)
        if isinstance(content, np.lib.npyio.NpzFile):
            with content:
                return dict(content.items())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is no .npy or .npz file of numbers: {error}") from error
    return np.asarray(content)


def read_text(path: Path) -> str:
    """Read a UTF-8 text file; raises `InputError` if it is missing or not text."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text: {error}") from error
