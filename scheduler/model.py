"""A placement problem in integers that the solver's tables can add up.

A label's figures are its time and some additive quantities (dynamic energy, SCALENet cost, weights
per memory domain); *criteria* are the linear forms of them that objective and limits depend on.
Only quantities that can matter are kept, and only choices that a best feasible plan can use.
Invariant: for every selection of kept choices the criteria equal those of `timeline.evaluate`
(the SCALENet cost up to its fixed-point rounding).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from heterolith.scheduler.criteria import criteria, upper_bounds
from heterolith.scheduler.criteria import weight_limits as weight_limits
from heterolith.scheduler.integers import COST_RANGE
from heterolith.scheduler.integers import FULL as FULL
from heterolith.scheduler.integers import LARGEST as LARGEST
from heterolith.scheduler.integers import Bools as Bools
from heterolith.scheduler.integers import Floats as Floats
from heterolith.scheduler.integers import Ints as Ints
from heterolith.scheduler.options import Converter
from heterolith.scheduler.options import Leg as Leg
from heterolith.scheduler.options import Option as Option
from heterolith.scheduler.options import Route as Route
from heterolith.scheduler.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The numbers of one problem under one aim.

    Attributes
    ----------
    aim
        What is minimised, see `build_model`.
    modes
        Operating points of the whole platform: per mode the point of every domain. A problem
        without domains has one mode.
    changes
        int64 array of shape (1 + quantities, modes, modes): what changing between two modes takes;
        `LARGEST` in row 0 where it cannot be done. None if no domain can switch.
    options
        Kept choices per task.
    routes
        Per tensor: (origin, target) -> legs.
    names
        The additive quantities: ``energy``, ``cost``, ``weights m`` for memory domain m.
    forms
        int64 array of shape (criteria, 1 + quantities): criterion = form @ (time, *amounts).
    limits
        Bound per criterion, `LARGEST` if there is none.
    scales
        The value of a plan is the largest of ceil(criterion / scale) over criteria with scale > 0;
        for the problem's own objective that is criterion 0 with scale 1.
    slack_mw
        Peak-power limit above idle if it can bind between concurrent items, else None.
    cost_step
        Value of one unit of the fixed-point SCALENet cost.
    """

    problem: Problem
    aim: str
    modes: tuple[tuple[str, ...], ...]
    changes: Ints | None
    options: tuple[tuple[Option, ...], ...]
    routes: tuple[dict[tuple[int, int], Route], ...]
    names: tuple[str, ...]
    forms: Ints
    limits: tuple[int, ...]
    scales: tuple[int, ...]
    slack_mw: int | None
    cost_step: float

    @property
    def states(self) -> int:
        """Number of (mode, device) pairs; state = mode * devices + device."""
        return len(self.modes) * len(self.problem.devices)

    @property
    def home_states(self) -> Ints:
        """The states of the home device."""
        return np.arange(len(self.modes)) * len(self.problem.devices) + self.problem.home

    @property
    def quantities(self) -> int:
        """Number of additive quantities."""
        return int(self.forms.shape[1]) - 1


def in_units(model: Model, bound: float) -> int | float:
    """Turn a lower bound of the model's value into the objective's unit."""
    problem = model.problem
    if problem.objective == "scalenet":
        return max(0.0, bound * model.cost_step * (1 - 1e-9))
    # Values are whole numbers; rounding of the bound must not lift it by one.
    whole = max(0, math.ceil(bound - abs(bound) * 1e-9 - 1e-6))
    window_ns = problem.fixed_window_ns
    if problem.objective in ("latency", "period") or window_ns is None:
        return whole
    energy_pj = problem.idle_mw * window_ns + whole
    return energy_pj / window_ns if problem.objective == "power" else energy_pj


def restrict(model: Model, modes: Sequence[int]) -> Model:
    """Return the model with some of its modes only."""
    kept = list(modes)
    return replace(
        model,
        modes=tuple(model.modes[mode] for mode in kept),
        changes=None if model.changes is None else model.changes[:, kept][:, :, kept],
        options=tuple(
            tuple(
                Option(
                    device=option.device,
                    there=option.there[kept],
                    index=option.index[kept],
                    latency_ns=option.latency_ns[kept],
                    power_mw=option.power_mw[kept],
                    amounts=option.amounts[:, kept],
                )
                for option in options
                if option.there[kept].any()
            )
            for options in model.options
        ),
    )


def build_model(problem: Problem, *, aim: str = "objective", concurrent: bool = True) -> Model:
    """Return the numbers of a problem.

    Parameters
    ----------
    aim
        What to minimise: the problem's ``objective``; the ``period``, that is the larger of the
        latency and the time over which the average-power limit is kept (the deadline is left out);
        ``memory``, the largest sum of weights in one domain; or ``limits``, the largest part of a
        limit that is used, in units of 1 / `FULL`.
    concurrent
        Keep the peak-power limit between concurrent items. Without it only single items above the
        limit are ruled out, and values are lower bounds.

    Raises
    ------
    InputError
        If a cost is below zero or the totals overflow.
    """
    bounds = upper_bounds(problem)
    rows = criteria(problem, aim, bounds)
    names = sorted({name for row in rows for name in row.form} - {"time"})
    guarded = concurrent and problem.limits.peak_power_mw is not None
    timed = guarded or any(row.form.get("time") for row in rows)
    convert = Converter(problem, names, bounds.cost / COST_RANGE or 1.0, timed)
    return Model(
        problem=problem,
        aim=aim,
        modes=convert.modes,
        changes=convert.changes(),
        options=tuple(convert.options(task.choices, guarded) for task in problem.tasks),
        routes=tuple(convert.routes(tensor.routes) for tensor in problem.tensors),
        names=tuple(names),
        forms=np.array([[row.form.get(n, 0) for n in ("time", *names)] for row in rows], np.int64),
        limits=tuple(LARGEST if r.limit is None else min(r.limit, LARGEST) for r in rows),
        scales=tuple(row.scale for row in rows),
        slack_mw=convert.slack_mw if guarded else None,
        cost_step=convert.cost_step,
    )
