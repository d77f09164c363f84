"""A placement problem in integers that the solver's tables can add up.

A label's figures are its time and some additive quantities (dynamic energy, SCALENet cost, weights
per memory domain); *criteria* are the linear forms of them that objective and limits depend on.
Only quantities that can matter are kept, and only choices that a best feasible plan can use.
Invariant: for every selection of kept choices the criteria equal those of `timeline.evaluate`
(the SCALENet cost up to its fixed-point rounding).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heterolith.errors import InputError
from heterolith.scheduler.problem import Choice, Hop, Problem

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

LARGEST = 2**62
"""No figure may reach this; it also stands for "not there" and "no limit"."""
COST_RANGE = 2**50
"""SCALENet costs are rounded to integers so that the dearest plan costs at most this."""
FULL = 2**20
"""Value of a plan under the aim ``limits`` if it just keeps them."""


@dataclass(frozen=True, slots=True)
class Option:
    """A kept choice: its index in the task, and its figures."""

    index: int
    device: int
    latency_ns: int
    power_mw: int
    amounts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Leg:
    """One hop of a route with its figures."""

    link: int
    latency_ns: int
    power_mw: int
    amounts: tuple[int, ...]


Route = tuple[Leg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The numbers of one problem under one aim.

    Attributes
    ----------
    aim
        What is minimised, see `build_model`.
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
    options: tuple[tuple[Option, ...], ...]
    routes: tuple[dict[tuple[int, int], Route], ...]
    names: tuple[str, ...]
    forms: Ints
    limits: tuple[int, ...]
    scales: tuple[int, ...]
    slack_mw: int | None
    cost_step: float

    @property
    def quantities(self) -> int:
        """Number of additive quantities."""
        return int(self.forms.shape[1]) - 1


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Upper bounds of what any plan can add up to."""

    latency_ns: int
    energy_pj: int
    cost: float
    weight_bytes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Criterion:
    """A linear form of quantities by name, its limit, and its scale in the value (0: none)."""

    form: dict[str, int]
    limit: int | None
    scale: int = 0


def _bounds(problem: Problem) -> _Bounds:
    latency_ns = energy_pj = 0
    cost = 0.0
    weights = [0] * len(problem.memories)
    for task in problem.tasks:
        for choice in task.choices:
            if min(choice.latency_ns, choice.energy_pj, choice.weight_bytes, choice.cost) < 0:
                raise InputError(f"a choice of task {task.name!r} is below zero; correct its row")
        latency_ns += max(choice.latency_ns for choice in task.choices)
        energy_pj += max(choice.energy_pj for choice in task.choices)
        cost += max(choice.cost for choice in task.choices)
        for domain in range(len(weights)):
            placed = (c.weight_bytes for c in task.choices if problem.memory_of[c.device] == domain)
            weights[domain] += max(placed, default=0)
    for tensor in problem.tensors:
        for hop in (hop for route in tensor.routes.values() for hop in route):
            if min(hop.latency_ns, hop.energy_pj, hop.cost) < 0:
                raise InputError(f"a hop of tensor {tensor.name!r} is below zero; correct its row")
            latency_ns += hop.latency_ns
            energy_pj += hop.energy_pj
            cost += hop.cost
    bounds = _Bounds(latency_ns, energy_pj, cost, tuple(weights))
    span_ns = max(latency_ns, problem.limits.deadline_ns or 0)
    largest = max(problem.idle_mw * span_ns + energy_pj, span_ns, *weights, 0)
    if largest >= LARGEST:
        raise InputError(
            f"costs of {problem.name!r} add up to {largest:.3g} (pJ, ns or bytes), the bound is "
            f"{LARGEST:.3g}; check the units of the profile"
        )
    return bounds


def weight_limits(problem: Problem) -> tuple[int, ...]:
    """Return, per memory domain, how many bytes of weights fit beside the activations."""
    cap = problem.limits.memory_bytes
    return tuple(
        (capacity if cap is None else min(capacity, cap)) - problem.activation_bytes
        for capacity in problem.memory_capacity_bytes
    )


def _energy_limit_pj(problem: Problem) -> int | None:
    """Return the bound of the dynamic energy that the average-power limit implies."""
    cap_mw, deadline_ns = problem.limits.average_power_mw, problem.limits.deadline_ns
    if cap_mw is None:
        return None
    if cap_mw < problem.idle_mw:
        return -1
    if deadline_ns is not None:
        return (cap_mw - problem.idle_mw) * deadline_ns
    return 0 if cap_mw == problem.idle_mw else None


def _value_criteria(problem: Problem, aim: str) -> list[_Criterion]:
    limits = problem.limits
    if aim == "limits":
        return []
    if aim == "period":
        above_idle_mw = (limits.average_power_mw or 0) - problem.idle_mw
        return [_Criterion({"time": 1}, None, 1), _Criterion({"energy": 1}, None, above_idle_mw)]
    if aim == "memory":
        rooms = enumerate(weight_limits(problem))
        return [_Criterion({f"weights {domain}": 1}, room, 1) for domain, room in rooms]
    if problem.objective == "latency":
        return [_Criterion({"time": 1}, limits.deadline_ns, 1)]
    if problem.objective == "scalenet":
        return [_Criterion({"cost": 1}, None, 1)]
    if limits.deadline_ns is None:
        return [_Criterion({"time": problem.idle_mw, "energy": 1}, None, 1)]
    return [_Criterion({"energy": 1}, _energy_limit_pj(problem), 1)]


def _criteria(problem: Problem, aim: str, bounds: _Bounds) -> list[_Criterion]:
    """Return the value's criteria first, then those of every limit that some plan can break."""
    rows = _value_criteria(problem, aim)
    reachable: list[tuple[dict[str, int], int | None, int]] = []
    if aim != "period":
        energy_limit_pj = _energy_limit_pj(problem)
        reachable.append(({"time": 1}, problem.limits.deadline_ns, bounds.latency_ns))
        reachable.append(({"energy": 1}, energy_limit_pj, bounds.energy_pj))
    for domain, room in enumerate(weight_limits(problem)):
        reachable.append(({f"weights {domain}": 1}, max(room, 0), bounds.weight_bytes[domain]))
    binding = [
        (_Criterion(form, limit), most)
        for form, limit, most in reachable
        if limit is not None and most > limit
    ]
    if aim == "limits":
        return [_overrun(row, most) for row, most in binding] or [_Criterion({}, None, 1)]
    known = [row.form for row in rows]
    return rows + [row for row, _ in binding if row.form not in known]


def _overrun(row: _Criterion, most: int) -> _Criterion:
    """Return a criterion that is at most `FULL` if a limit is kept, close to it at the limit."""
    limit = row.limit or 0
    shift = max(0, min(FULL.bit_length(), 61 - most.bit_length()))
    scale = -(-(limit << shift) // FULL)
    return _Criterion(dict.fromkeys(row.form, 1 << shift), None, max(1, scale))


class _Converter:
    """Turns choices and hops into amounts, and drops what no feasible plan can use."""

    def __init__(self, problem: Problem, names: list[str], cost_step: float, timed: bool) -> None:
        self.problem, self.names, self.cost_step, self.timed = problem, names, cost_step, timed
        peak_mw = problem.limits.peak_power_mw
        self.slack_mw = LARGEST if peak_mw is None else peak_mw - problem.idle_mw
        self.rooms = weight_limits(problem)

    def amounts(self, item: Choice | Hop, domain: int = -1) -> tuple[int, ...]:
        row = []
        for name in self.names:
            if name == "energy":
                row.append(item.energy_pj)
            elif name == "cost":
                row.append(round(item.cost / self.cost_step))
            else:
                here = isinstance(item, Choice) and name == f"weights {domain}"
                row.append(item.weight_bytes if here and isinstance(item, Choice) else 0)
        return tuple(row)

    def options(self, choices: tuple[Choice, ...], concurrent: bool) -> tuple[Option, ...]:
        kept: list[Option] = []
        for index, choice in enumerate(choices):
            domain = self.problem.memory_of[choice.device]
            if choice.power_mw > self.slack_mw or choice.weight_bytes > self.rooms[domain]:
                continue
            option = Option(
                index=index,
                device=choice.device,
                latency_ns=choice.latency_ns if self.timed else 0,
                power_mw=choice.power_mw,
                amounts=self.amounts(choice, domain),
            )
            if not any(_covers(other, option, concurrent) for other in kept):
                kept = [other for other in kept if not _covers(option, other, concurrent)]
                kept.append(option)
        return tuple(kept)

    def routes(
        self, routes: Mapping[tuple[int, int], tuple[Hop, ...]]
    ) -> dict[tuple[int, int], Route]:
        return {
            ends: tuple(
                Leg(
                    link=hop.link,
                    latency_ns=hop.latency_ns if self.timed else 0,
                    power_mw=hop.power_mw,
                    amounts=self.amounts(hop),
                )
                for hop in hops
            )
            for ends, hops in routes.items()
            if all(hop.power_mw <= self.slack_mw for hop in hops)
        }


def _covers(a: Option, b: Option, concurrent: bool) -> bool:
    """Whether a is never worse than b; where power adds up, a shorter run may overlap more."""
    if a.device != b.device or any(x > y for x, y in zip(a.amounts, b.amounts, strict=True)):
        return False
    if concurrent:
        return a.latency_ns == b.latency_ns and a.power_mw <= b.power_mw
    return a.latency_ns <= b.latency_ns


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
    bounds = _bounds(problem)
    rows = _criteria(problem, aim, bounds)
    names = sorted({name for row in rows for name in row.form} - {"time"})
    guarded = concurrent and problem.limits.peak_power_mw is not None
    timed = guarded or any(row.form.get("time") for row in rows)
    convert = _Converter(problem, names, bounds.cost / COST_RANGE or 1.0, timed)
    return Model(
        problem=problem,
        aim=aim,
        options=tuple(convert.options(task.choices, guarded) for task in problem.tasks),
        routes=tuple(convert.routes(tensor.routes) for tensor in problem.tensors),
        names=tuple(names),
        forms=np.array([[row.form.get(n, 0) for n in ("time", *names)] for row in rows], np.int64),
        limits=tuple(LARGEST if r.limit is None else min(r.limit, LARGEST) for r in rows),
        scales=tuple(row.scale for row in rows),
        slack_mw=convert.slack_mw if guarded else None,
        cost_step=convert.cost_step,
    )
