"""OR-tools CP-SAT (extra ``solve``): the same program, solved by constraint propagation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from heterolith.errors import MissingExtraError
from heterolith.scheduler.solvers.linear import Program
from heterolith.scheduler.solvers.milp import Outcome

if TYPE_CHECKING:
    from ortools.sat.python.cp_model import CpModel, IntVar

MOST = 2**50
"""CP-SAT wants products within 64 bits: bounds of variables are cut here."""


def solve_cpsat(
    program: Program,
    *,
    time_limit_s: float,
    workers: int = 2,
    hint: Mapping[int, int] | None = None,
) -> Outcome:
    """Minimise a program's goal with CP-SAT.

    Parameters
    ----------
    hint
        Variable -> value of a known solution, to start from.

    Raises
    ------
    MissingExtraError
        If ortools is not installed.
    """
    try:
        from ortools.sat.python import cp_model
    except ModuleNotFoundError as error:
        raise MissingExtraError("ortools", "solve") from error
    model = cp_model.CpModel()
    variables = [
        model.new_int_var(low, min(high, MOST), f"v{index}")
        for index, (low, high) in enumerate(zip(program.lows, program.highs, strict=True))
    ]
    _constrain(model, program, variables)
    for variable, value in (hint or {}).items():
        model.add_hint(variables[variable], value)
    model.minimize(variables[program.goal])
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = time_limit_s
    solver.parameters.num_workers = workers
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return Outcome(values=[], bound=float("inf"), proved=True)
    known = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    return Outcome(
        values=[float(solver.value(v)) for v in variables] if known else [],
        bound=float(solver.best_objective_bound),
        proved=status == cp_model.OPTIMAL,
    )


def _constrain(model: CpModel, program: Program, variables: Sequence[IntVar]) -> None:
    """Add rows and implications."""
    for terms, low, high in program.rows:
        total = sum(c * variables[v] for v, c in terms.items())
        if low is not None:
            model.add(total >= low)
        if high is not None:
            model.add(total <= high)
    for variable, terms, value in program.implications:
        literal = model.new_bool_var(f"l{variable}")
        model.add(literal == variables[variable])
        total = sum(c * variables[v] for v, c in terms.items())
        model.add(total >= value).only_enforce_if(literal)
