"""The exceptions a user can meet.

Every message states the value, the bound it broke and the remedy, on one line. The command line
maps `InputError` to exit code 1 and `InfeasibleError` to exit code 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class HeterolithError(Exception):
    """Base of all errors that this package raises on purpose."""


class InputError(HeterolithError, ValueError):
    """What the user gave is wrong: a file, a name, a shape, a unit."""


class MissingExtraError(InputError):
    """An optional dependency is not installed; the message names the extra."""

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"{module} is not installed; install it with: pip install 'heterolith[{extra}]'"
        )


class InfeasibleError(HeterolithError):
    """No plan meets the limits; the message names the binding one and the nearest value."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Build the error for a name that is not known, with near matches.

    Parameters
    ----------
    kind
        What the name should be, e.g. ``"platform"``.
    name
        What was given.
    known
        The names that exist.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return InputError(f"unknown {kind} {name!r}; {hint}")
