"""Running several times, and whether compiling CPU layers first pays for that.

Numpy and the standard library alone, as bundles run with these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from typing import Any, Protocol

from heterolith.errors import InputError
from heterolith.scheduler.dispatch import Trace
from heterolith.sw import Array

TRIED_FROM_RUNS = 20
"""Runs from which on compiling is tried unasked: half of those that it repays need fewer, see
`benchmarks/cpu_units.py`."""
_TRIAL_RUNS = 3


class Runs(Protocol):
    """What is repeated: a plan's runner or a bundle's."""

    def run(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], Trace]:
        """Run once."""

    def compile_cpu(self, wanted: bool = True) -> None:
        """Compile CPU layers, or go back to single ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """Host times of runs with CPU layers one by one and compiled, ``kept`` those of the last run.

    Attributes
    ----------
    compile_ms
        ``None`` if nothing was compiled.
    """

    layers_ms: tuple[float, ...]
    compiled_ms: tuple[float, ...]
    compile_ms: float | None
    kept: str

    @property
    def tried(self) -> bool:
        """Whether both were measured and the faster one kept."""
        return bool(self.layers_ms and self.compiled_ms)

    def data(self) -> dict[str, Any]:
        """Return the times as JSON data."""
        return {
            "runs": len(self.layers_ms) + len(self.compiled_ms),
            "host_time_ms": median(self._times),
            "cpu_layers": self.kept,
            "cpu_compile_ms": self.compile_ms,
        }

    def lines(self, kind: str) -> list[str]:
        """Return the times in words; ``kind`` says what they are."""
        count = len(self._times)
        of = f"median of {count} runs, " if count > 1 else ""
        found = [f"time on this host {median(self._times):.1f} ms ({of}{kind})"]
        if self.tried:
            found.append(
                f"CPU layers: {median(self.layers_ms):.1f} ms one by one, "
                f"{median(self.compiled_ms):.1f} ms compiled in {self.compile_ms:.1f} ms; "
                f"the faster was kept: {self.kept}"
            )
        elif self.compile_ms is not None:
            found.append(f"CPU layers were compiled in {self.compile_ms:.1f} ms")
        elif count > 1:
            found.append(
                f"CPU layers ran one by one: with --compile-cpu they are compiled, from "
                f"{TRIED_FROM_RUNS} runs on that is tried"
            )
        return found

    @property
    def _times(self) -> tuple[float, ...]:
        return self.compiled_ms if self.kept == "compiled" else self.layers_ms


def repeated(
    runner: Runs, inputs: Mapping[str, Array], runs: int, compile_cpu: bool | None
) -> tuple[dict[str, Array], Trace, Repeated]:
    """Run some times; return outputs and trace of the last run, and all times.

    Parameters
    ----------
    compile_cpu
        ``None`` tries both from `TRIED_FROM_RUNS` runs on, and keeps the faster.

    Raises
    ------
    InputError
        If the number of runs is not positive.
    """
    if runs < 1:
        raise InputError(f"{runs} runs compute nothing; give 1 or more")
    times: dict[str, list[float]] = {"one by one": [], "compiled": []}
    trial = compile_cpu is None and runs >= TRIED_FROM_RUNS
    kept, compile_ms = "one by one", None
    for done in range(runs):
        if (done == 0 and compile_cpu) or (done == _TRIAL_RUNS and trial):
            start_ns = perf_counter_ns()
            runner.compile_cpu()
            compile_ms = (perf_counter_ns() - start_ns) / 1e6
            kept = "compiled"
        # The first run of each kind also touches its memory for the first time.
        if trial and done == 2 * _TRIAL_RUNS and min(times[kept]) > min(times["one by one"]):
            runner.compile_cpu(False)
            kept = "one by one"
        outputs, trace = runner.run(inputs)
        times[kept].append(trace.latency_ns / 1e6)
    return (
        outputs,
        trace,
        Repeated(
            layers_ms=tuple(times["one by one"]),
            compiled_ms=tuple(times["compiled"]),
            compile_ms=compile_ms,
            kept=kept,
        ),
    )
