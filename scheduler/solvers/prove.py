"""Bounds from programs in a process of their own, beside the search.

Linear programs first, with sets of work added that take longer than they say (`windows`), then
integer programs.

A second process has a core of its own, and ends when it is told to, which HiGHS inside of this one
would not: its time limit is only looked at between long steps. Run as a program it reads programs
from the standard input and prints a line of JSON after each solution.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, sleep

from heterolith.scheduler.solvers.formulate import Formulation
from heterolith.scheduler.solvers.linear import Offers, Program, combine, picked
from heterolith.scheduler.solvers.milp import solve_milp
from heterolith.scheduler.solvers.windows import Item, violated

WATCH_S = 0.5
"""How often the second process looks whether the first is still there."""
CUTS = 10
"""Linear programs that a row gets before its integer program."""
GAPS = (1e-3, 2e-4, 1e-5)
"""Relative gaps that each program is solved to, one after the other."""
FIRST_S, GROWTH = 4.0, 3.0
"""Seconds for the first solution of a program, and the factor for each further one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Which program was solved, a bound of its goal, and the choices of its best solution."""

    row: int
    bound: float
    selection: tuple[int, ...]


@dataclass(slots=True)
class _Row:
    """A program, how to read it, a bound of its goal, and what has been done for that."""

    program: Program
    offers: Offers
    latency: int
    loads: list[list[Item]]
    bound: float
    cuts: int = 0
    proved: int = 0
    slice_s: float = FIRST_S


class Prover:
    """A process that raises the bounds of programs, the lowest first."""

    def __init__(
        self, formulations: Sequence[Formulation], bounds: Sequence[float], limit_s: float
    ) -> None:
        with tempfile.TemporaryFile() as file:
            parts = zip(formulations, bounds, strict=True)
            rows = [_Row(f.program.plain(), f.offers, f.latency, f.loads, b) for f, b in parts]
            pickle.dump((rows, limit_s), file)
            file.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(os.getpid())],
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        os.set_blocking(self._output.fileno(), False)
        self._rest = b""

    def findings(self) -> list[Finding]:
        """Return what is new."""
        self._rest += self._output.read() or b""
        *lines, self._rest = self._rest.split(b"\n")
        rows = map(json.loads, lines)
        return [Finding(row=r, bound=b, selection=tuple(s)) for r, b, s in rows]

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._output.close()


def prove(rows: Sequence[_Row], limit_s: float) -> None:
    """Solve programs, always the one whose bound is lowest, and print what is found."""
    end_s = perf_counter() + limit_s
    while (left_s := end_s - perf_counter()) > 0:
        index = min(range(len(rows)), key=lambda k: rows[k].bound)
        row, selection = rows[index], tuple[int, ...]()
        if row.cuts < CUTS:
            _cut(row, left_s)
        elif row.proved == len(GAPS):
            break  # the lowest bound is as good as it can get
        else:
            selection = _branch(row, left_s)
        sys.stdout.write(json.dumps([index, row.bound, selection]) + "\n")
        sys.stdout.flush()


def _cut(row: _Row, limit_s: float) -> None:
    """Solve the linear program; add sets of work that take longer than its latency."""
    program = row.program
    outcome = solve_milp(program, time_limit_s=limit_s, relaxed=True)
    row.bound = max(row.bound, outcome.bound)
    values = outcome.values
    sums = [s for items in row.loads if values for s in violated(items, row.latency, values)]
    for terms in sums:
        program.at_least(combine([(row.latency, 1), *((v, -c) for v, c in terms.items())]))
    row.program = program.plain()
    row.cuts = row.cuts + 1 if sums else CUTS


def _branch(row: _Row, limit_s: float) -> tuple[int, ...]:
    """Solve the integer program for a while; return the choices of its best solution, if any."""
    gap = GAPS[row.proved]
    outcome = solve_milp(row.program, time_limit_s=min(row.slice_s, limit_s), gap=gap)
    row.bound = max(row.bound, outcome.bound)
    row.proved += outcome.proved
    row.slice_s *= GROWTH
    return picked(row.offers, outcome.values) if outcome.values else ()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended without a word, as by SIGKILL."""
    while os.getppid() == parent:
        sleep(WATCH_S)
    os._exit(1)  # HiGHS may be at work for a long time yet


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which ends this
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    prove(*pickle.load(sys.stdin.buffer))
