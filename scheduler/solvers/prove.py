"""Bounds from integer programs in a process of their own, beside the search.

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

import numpy as np

from heterolith.scheduler.solvers.formulate import Formulation
from heterolith.scheduler.solvers.linear import Offers, Program, picked
from heterolith.scheduler.solvers.milp import solve_milp

WATCH_S = 0.5
"""How often the second process looks whether the first is still there."""
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


class Prover:
    """A process that raises the bounds of programs, the lowest first."""

    def __init__(
        self, formulations: Sequence[Formulation], bounds: Sequence[float], limit_s: float
    ) -> None:
        with tempfile.TemporaryFile() as file:
            parts = zip(formulations, bounds, strict=True)
            rows = [(f.program.plain(), f.offers, bound) for f, bound in parts]
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


def prove(rows: Sequence[tuple[Program, Offers, float]], limit_s: float) -> None:
    """Solve programs, always the one whose bound is lowest, and print what is found."""
    end_s = perf_counter() + limit_s
    bounds = np.array([bound for _, _, bound in rows])
    rounds, slices_s = [0] * len(rows), [FIRST_S] * len(rows)
    while perf_counter() < end_s:
        row = int(bounds.argmin())
        if rounds[row] == len(GAPS):
            break  # the lowest bound is as good as it can get
        program, offers, _ = rows[row]
        left_s = min(slices_s[row], end_s - perf_counter())
        outcome = solve_milp(program, time_limit_s=left_s, gap=GAPS[rounds[row]])
        bounds[row] = max(bounds[row], outcome.bound)
        rounds[row] += outcome.proved
        slices_s[row] *= GROWTH
        selection = picked(offers, outcome.values) if outcome.values else ()
        sys.stdout.write(json.dumps([row, float(bounds[row]), selection]) + "\n")
        sys.stdout.flush()


def _end_with(parent: int) -> None:
    """End this process when its parent has ended without a word, as by SIGKILL."""
    while os.getppid() == parent:
        sleep(WATCH_S)
    os._exit(1)  # HiGHS may be at work for a long time yet


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the search, which ends this
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    prove(*pickle.load(sys.stdin.buffer))
