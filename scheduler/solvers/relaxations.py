"""Lower bounds of several networks: one integer relaxation per system of operating points.

Without the choice of points the programs are small, and their least bound is higher than that of
one program with it. Invariant: no plan has an objective below `Relaxations.bound`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import perf_counter

from heterolith.scheduler.model import Model, build_model, restrict
from heterolith.scheduler.problem import Problem
from heterolith.scheduler.solvers.formulate import Formulation, relax
from heterolith.scheduler.solvers.milp import Outcome, solve_milp
from heterolith.scheduler.solvers.prove import Finding, Prover

MOST_PROGRAMS = 64
"""Above this many systems of operating points, one program holds them all."""
PROVED_MODES = 16
"""Systems whose bounds a second process raises."""
GAP = 2e-3
"""Relative gap of integer programs whose solutions are only starts."""


WORTHWHILE = 4
"""Times the linear program's time that an integer program must be given to be tried at all."""
THREADS = 2
"""Linear programs that are solved at once: HiGHS leaves the interpreter to the other thread."""


@dataclass(slots=True)
class Relaxation:
    """The program of one system of operating points and the best bound of its goal so far.

    ``points`` are the points of devices: (device, point); none where the program chooses them.
    ``linear_s`` is how long the linear program took.
    """

    part: Model
    points: tuple[tuple[int, str], ...]
    bound: float = 0.0
    linear_s: float = 0.0
    _written: Formulation | None = field(default=None, repr=False)

    @property
    def formulation(self) -> Formulation:
        """The program, written when it is first asked for."""
        if self._written is None:
            self._written = relax(self.part)
        return self._written

    def selection(self, latency_ns: int | None, seconds: float) -> tuple[int, ...] | None:
        """Return best choices of the relaxation within a latency, or None if there are none.

        Parameters
        ----------
        seconds
            Time for the integer program; without a solution by then the linear one has to do.
        """
        program, latency = self.formulation.program, self.formulation.latency
        wide = program.highs[latency]
        program.highs[latency] = min(wide, latency_ns or wide)
        try:
            values: list[float] = []
            if seconds >= WORTHWHILE * self.linear_s:
                values = solve_milp(program, time_limit_s=seconds, gap=GAP).values
            if not values:
                values = solve_milp(program, time_limit_s=seconds, relaxed=True).values
        finally:
            program.highs[latency] = wide
        return self.formulation.selection(values) if values else None

    def fastest(self, seconds: float) -> tuple[int, ...] | None:
        """Return choices of the linear program's least latency, or None if time is too short."""
        program = self.formulation.program
        goal, program.goal = program.goal, self.formulation.latency
        try:
            outcome = solve_milp(program, time_limit_s=seconds, relaxed=True)
        finally:
            program.goal = goal
        return self.formulation.selection(outcome.values) if outcome.values else None


class Relaxations:
    """All relaxations of a problem, the most promising first."""

    def __init__(self, problem: Problem) -> None:
        model = build_model(problem, concurrent=False)
        self.model, self.rows = model, list[Relaxation]()
        self._ahead: list[Relaxation] = []
        self._prover: Prover | None = None
        if model.changes is not None or len(model.modes) > MOST_PROGRAMS:
            self.rows = [Relaxation(model, ())] if all(model.options) else []
            return
        for mode, names in enumerate(model.modes):
            part = restrict(model, [mode])
            if all(part.options):
                points = tuple(
                    (device, name)
                    for name, domain in zip(names, problem.domains, strict=True)
                    for device in domain.devices
                )
                self.rows.append(Relaxation(part, points))

    @property
    def bound(self) -> float:
        """Lower bound of the goal; infinite if there is provably no plan."""
        return min((row.bound for row in self.rows), default=float("inf"))

    def solve(self, seconds: Callable[[], float]) -> list[tuple[Relaxation, Outcome]]:
        """Solve the linear programs; return their solutions, lowest bound first.

        Parameters
        ----------
        seconds
            Time that the next program may take.
        """

        def solved(row: Relaxation) -> Outcome | None:
            if seconds() <= 0:
                return None
            program, begin_s = row.formulation.program, perf_counter()
            outcome = solve_milp(program, time_limit_s=seconds(), relaxed=True)
            row.linear_s = perf_counter() - begin_s
            return outcome

        pool = ThreadPoolExecutor(THREADS)
        try:
            outcomes = list(pool.map(solved, self.rows))
        finally:
            pool.shutdown(cancel_futures=True)
        found = [(row, made) for row, made in zip(self.rows, outcomes, strict=True) if made]
        for row, outcome in found:
            row.bound = outcome.bound
        self.rows = sorted((r for r in self.rows if r.bound < float("inf")), key=lambda r: r.bound)
        return sorted((f for f in found if f[1].values), key=lambda f: f[0].bound)

    def start(self, limit_s: float) -> None:
        """Have a second process raise the bounds."""
        self._ahead = self.rows[:PROVED_MODES]
        formulations = [row.formulation for row in self._ahead]
        self._prover = Prover(formulations, [row.bound for row in self._ahead], limit_s)

    def news(self) -> list[tuple[Relaxation, Finding]]:
        """Take over what the second process has found."""
        findings = [] if self._prover is None else self._prover.findings()
        for finding in findings:
            row = self._ahead[finding.row]
            row.bound = max(row.bound, finding.bound)
        return [(self._ahead[finding.row], finding) for finding in findings]

    def stop(self) -> None:
        """End the second process."""
        if self._prover is not None:
            self._prover.stop()
            self._prover = None
