"""Run the conformance suite: ``python -m heterolith.sw.backend --report [--json]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from heterolith.errors import InputError
from heterolith.sw.backend.report import markdown, summary, text
from heterolith.sw.backend.suite import cases, failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 if all covered cases pass, 1 if not."""
    parser = argparse.ArgumentParser(
        prog="python -m heterolith.sw.backend", description="ONNX conformance"
    )
    parser.add_argument("--report", action="store_true", help="run all covered cases and count")
    parser.add_argument("--json", action="store_true", help="the same as data")
    parser.add_argument("--write", metavar="FILE", type=Path, help="write the page of operators")
    given = parser.parse_args(arguments)
    if not (given.report or given.json or given.write):
        parser.print_help()
        return 1
    try:
        found = cases()
        if given.write:
            _replace(given.write, markdown(found))
        failed = failures() if given.report or given.json else {}
    except (InputError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if given.report or given.json:
        data = summary(found, failed)
        sys.stdout.write((json.dumps(data, indent=1) if given.json else text(data)) + "\n")
    return 1 if failed else 0


def _replace(path: Path, content: str) -> None:
    """Write a file under another name first, so that it is never there by half."""
    part = path.with_name(path.name + ".part")
    part.write_text(content, encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
