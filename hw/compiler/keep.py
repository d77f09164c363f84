"""Figures that compiler and cycle model gave, kept in the user's cache folder.

One file per name, complete since it is renamed into place. The file's own name is a hash over the
figures' and over every source they depend on, so that another version never finds it. A cache that
cannot be read or written saves no time, no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from heterolith.hw.device.functional import cache_folder

SOURCES = ("*.py", "compiler/*.py", "timing/*.py")
"""What the figures depend on, in the folder above."""


@cache
def _version() -> bytes:
    digest = sha256()
    for pattern in SOURCES:
        for path in sorted(Path(__file__).parents[1].glob(pattern)):
            digest.update(path.read_bytes())
    return digest.digest()


def _path(name: str) -> Path:
    digest = sha256(_version() + name.encode()).hexdigest()
    return cache_folder() / "cycles" / f"{digest[:32]}.json"


def kept_figures(name: str) -> dict[str, int] | None:
    """Return the figures kept under a name, ``None`` if there are none."""
    with contextlib.suppress(OSError, ValueError):
        figures = json.loads(_path(name).read_text(encoding="utf-8"))
        if isinstance(figures, dict):
            return {str(key): int(value) for key, value in figures.items()}
    return None


def keep_figures(name: str, figures: Mapping[str, int]) -> None:
    """Keep figures under a name."""
    path = _path(name)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(dict(figures), file)
        Path(temporary).replace(path)
