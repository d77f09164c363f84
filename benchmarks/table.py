"""Result tables that grow step by step: a long study survives Ctrl-C and goes on where it stopped.

Finished steps are kept in build/benchmarks until the table is whole and takes its place in
benchmarks/results. Run: python benchmarks/table.py. Lists the tables under way.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

SIDE = Path(__file__).parents[1] / "build" / "benchmarks"
Row = dict[str, Any]


def grow(
    path: Path,
    settings: str,
    steps: Mapping[str, Callable[[], list[Row]]],
    *,
    only: str = "*",
    anew: bool = False,
) -> Iterator[Row]:
    """Yield the rows of steps in order; write the table once all are there.

    Parameters
    ----------
    path
        The table, CSV; its columns are those of the first row.
    settings
        What the rows depend on, part of a file name: steps are taken up under the same settings.
    steps
        What makes the rows of each step, by name.
    only
        Take the steps alone whose names match, a pattern of `fnmatch`.
    anew
        Forget the steps that were finished before.

    Raises
    ------
    SystemExit
        With 130 on Ctrl-C; finished steps are kept.
    """
    side = SIDE / f"{path.stem}-{settings}.part"
    side.parent.mkdir(parents=True, exist_ok=True)
    if anew:
        side.unlink(missing_ok=True)
    known = _known(side)
    for name, step in steps.items():
        if not fnmatchcase(name, only):
            continue
        if name not in known:
            try:
                known[name] = step()
            except KeyboardInterrupt:
                print(f"{len(known)} of {len(steps)} steps are kept", file=sys.stderr)
                sys.exit(130)
            with side.open("a", encoding="utf-8") as file:
                file.write(json.dumps([name, known[name]]) + "\n")
        yield from known[name]
    if set(known) < set(steps):
        return
    write(path, [row for name in steps for row in known[name]])
    side.unlink()


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; what a row lacks stays empty."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    whole = path.with_suffix(".tmp")
    with whole.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    whole.replace(path)


def _known(side: Path) -> dict[str, list[Row]]:
    """Return the finished steps; one that was cut off in the middle of its line is none."""
    if not side.exists():
        return {}
    lines = side.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        side.write_text("".join(lines[:-1]), encoding="utf-8")
        lines.pop()
    return dict(map(json.loads, lines))


def main() -> None:
    """List the tables under way."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for side in sorted(SIDE.glob("*.part")):
        print(f"{side.stem}: {len(_known(side))} steps")


if __name__ == "__main__":
    main()
