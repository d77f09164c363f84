"""Floor 5: the command line. Exit codes: 0 ok, 1 wrong input, 2 infeasible, 130 interrupted.

Compiled bundles run with numpy alone; every other command needs the packages of a host.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from heterolith.cli.bundle import names_bundle, run_bundle


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every refusal is one line on standard error."""
    given = sys.argv[1:] if arguments is None else [str(argument) for argument in arguments]
    if names_bundle(given):
        return run_bundle(given[1:])
    try:
        from heterolith.cli import terminal
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("heterolith"):
            raise
        sys.stderr.write(
            f"error: {error.name} is not installed; install it with: pip install heterolith, "
            "or run a compiled bundle, which needs numpy alone: heterolith run net.hlb\n"
        )
        return 1
    return terminal.main(given)


__all__ = ["main"]
