"""HiGHS through scipy: solve a program, with a bound that holds whenever it stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from heterolith.scheduler.model import Floats
from heterolith.scheduler.solvers.linear import Program

TOLERANCE = 1e-6
"""HiGHS keeps rows to about this, relative to their scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a solver found.

    Attributes
    ----------
    values
        Per variable, or empty if no solution is known.
    bound
        No solution has a goal below it; infinite if there is provably none.
    proved
        Whether ``values`` are optimal, or there is provably nothing.
    """

    values: list[float]
    bound: float
    proved: bool


def solve_milp(
    program: Program, *, time_limit_s: float, gap: float = 1e-9, relaxed: bool = False
) -> Outcome:
    """Minimise a program's goal with HiGHS.

    Parameters
    ----------
    gap
        Relative gap at which HiGHS may stop.
    relaxed
        Leave out that variables are whole numbers: a bound, quickly.
    """
    from scipy.optimize import Bounds, milp

    if not isinstance(program.ready, _Ready):
        program.ready = _prepare(program)
    scale, constraints = program.ready.scale, program.ready.constraints
    cost = np.zeros(len(program.lows))
    cost[program.goal] = 1.0
    result = milp(
        cost,
        integrality=np.zeros(len(cost)) if relaxed else np.array(program.whole, int),
        bounds=Bounds(np.array(program.lows) / scale, _tops(program) / scale),
        constraints=constraints,
        options={"time_limit": max(time_limit_s, 0.01), "mip_rel_gap": gap},
    )
    if result.status == 2:
        return Outcome(values=[], bound=np.inf, proved=True)
    bound = getattr(result, "mip_dual_bound", None)
    if bound is None:
        bound = result.fun if result.status == 0 and result.fun is not None else 0.0
    values = [] if result.x is None else (result.x * scale).tolist()
    limit = float(bound) * scale[program.goal]
    return Outcome(
        values=values,
        bound=0.0 if not np.isfinite(limit) else limit - abs(limit) * TOLERANCE,
        proved=result.status == 0,
    )


@dataclass(frozen=True, slots=True)
class _Ready:
    """Rows as a sparse matrix, and the unit of each variable."""

    scale: Floats
    constraints: Any


def _prepare(program: Program) -> _Ready:
    from scipy.optimize import LinearConstraint
    from scipy.sparse import csr_matrix

    scale = _scale(program)
    units = scale.tolist()
    entries: list[float] = []
    columns: list[int] = []
    starts, lower, upper = [0], [], []
    for terms, low, high in (*program.rows, *_implied(program)):
        row = [coefficient * units[variable] for variable, coefficient in terms.items()]
        size = max(map(abs, row), default=1.0) or 1.0
        columns += terms
        entries += [value / size for value in row]
        starts.append(len(columns))
        lower.append(-np.inf if low is None else low / size)
        upper.append(np.inf if high is None else high / size)
    matrix = csr_matrix((entries, columns, starts), shape=(len(lower), len(scale)))
    return _Ready(scale, LinearConstraint(matrix, lower, upper))


def _scale(program: Program) -> Floats:
    """Return units per variable, so that large integers become numbers of moderate size."""
    highs = np.array(program.highs, float)
    times = [high for high, whole in zip(program.highs, program.whole, strict=True) if not whole]
    unit = np.ones(len(highs))
    largest = max((high for high in times if 1 < high < 2**61), default=1)
    unit[(highs > 1) & (highs < 2**61)] = float(largest)
    # The goal has no bound of its own: its unit is the largest coefficient it is held against.
    weights = [
        abs(c) for terms, _, _ in program.rows if program.goal in terms for c in terms.values()
    ]
    unit[program.goal] = float(max(weights, default=1))
    if any(terms.get(program.goal) and len(terms) == 2 for terms, _, _ in program.rows):
        unit[program.goal] = max(unit[program.goal], float(largest))
    return unit


def _tops(program: Program) -> Floats:
    """Return the upper bounds; a variable without a real one has none."""
    highs = np.array(program.highs, float)
    return np.where(highs >= 2.0**61, np.inf, highs)


def _implied(program: Program) -> list[tuple[dict[int, int], int | None, int | None]]:
    """Turn implications into rows with the smallest sufficient constant."""
    rows: list[tuple[dict[int, int], int | None, int | None]] = []
    for variable, terms, value in program.implications:
        room = max(0, value - program.least(terms))
        rows.append(({**terms, variable: -room}, value - room, None))
    return rows
