"""The commands for a terminal, with all packages: what ``heterolith`` runs on a host."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer

from heterolith.cli.app import app
from heterolith.cli.bundle import INTERRUPTED
from heterolith.cli.render import complain
from heterolith.errors import HeterolithError, InfeasibleError

CommandLineError: Any = typer.BadParameter.__mro__[2]
"""click.ClickException, wherever this version of typer keeps it."""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every refusal is one line on standard error."""
    command = typer.main.get_command(app)
    try:
        code = command.main(
            args=list(arguments),
            prog_name="heterolith",
            standalone_mode=False,
        )
    except InfeasibleError as error:
        complain("infeasible", str(error))
        return 2
    except HeterolithError as error:
        complain("error", str(error))
        return 1
    except CommandLineError as error:
        complain("error", error.format_message())
        return 1
    except (KeyboardInterrupt, typer.Abort):  # newer versions of typer return the code
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if code == INTERRUPTED:
        complain("interrupted", "files that were written are complete in themselves")
    return int(code or 0)
