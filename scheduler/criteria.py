"""What objective and limits depend on: linear forms of time, energy, loads, losses and weights.

A criterion is kept only if some plan can break its limit, or if it is the value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from heterolith.errors import InputError
from heterolith.scheduler.integers import FULL, LARGEST
from heterolith.scheduler.problem import Choice, Hop, Problem


@dataclass(frozen=True, slots=True)
class Bounds:
    """Upper bounds of what any plan can add up to; loads are of devices, then links."""

    latency_ns: int
    energy_pj: int
    cost: float
    weight_bytes: tuple[int, ...]
    loss_ppm: int
    load_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Criterion:
    """A linear form of quantities by name, its limit, and its scale in the value (0: none)."""

    form: dict[str, int]
    limit: int | None
    scale: int = 0


def upper_bounds(problem: Problem) -> Bounds:
    """Return upper bounds of what any plan adds up to.

    Raises
    ------
    InputError
        If a figure is negative, no whole number, or the totals overflow.
    """
    energy_pj = loss_ppm = 0
    cost = 0.0
    weights, loads = [0] * len(problem.memories), [0] * len(problem.devices + problem.links)
    latency_ns = 0
    for task in problem.tasks:
        for choice in task.choices:
            _refuse_negative(choice, f"a choice of task {task.name!r}")
            if not 0 <= choice.device < len(problem.devices):
                raise InputError(
                    f"a choice of task {task.name!r} is on device {choice.device}, the problem has "
                    f"{len(problem.devices)}; correct its row"
                )
        latency_ns += max(choice.latency_ns for choice in task.choices)
        energy_pj += max(choice.energy_pj for choice in task.choices)
        cost += max(choice.cost for choice in task.choices)
        loss_ppm += max(choice.accuracy_loss_ppm for choice in task.choices)
        for domain in range(len(weights)):
            placed = (c.weight_bytes for c in task.choices if problem.memory_of[c.device] == domain)
            weights[domain] += max(placed, default=0)
        for device in range(len(problem.devices)):
            own = (c.latency_ns for c in task.choices if c.device == device)
            loads[device] += max(own, default=0)
    for tensor in problem.tensors:
        for hop in (hop for route in tensor.routes.values() for hop in route):
            _refuse_negative(hop, f"a hop of tensor {tensor.name!r}")
            latency_ns += hop.latency_ns
            energy_pj += hop.energy_pj
            cost += hop.cost
            loads[len(problem.devices) + hop.link] += hop.latency_ns
    for domain_ in problem.domains:
        latency_ns += (domain_.switch_ns or 0) * len(problem.tasks)
        energy_pj += domain_.switch_pj * len(problem.tasks)
    bounds = Bounds(latency_ns, energy_pj, cost, tuple(weights), loss_ppm, tuple(loads))
    span_ns = max(latency_ns, problem.fixed_window_ns or 0)
    largest = max(problem.idle_mw * span_ns + energy_pj, span_ns, *weights, 0)
    if largest >= LARGEST:
        raise InputError(
            f"costs of {problem.name!r} add up to {largest:.3g} (pJ, ns or bytes), the bound is "
            f"{LARGEST:.3g}; check the units of the profile"
        )
    return bounds


def _refuse_negative(item: Choice | Hop, what: str) -> None:
    figures = {"latency_ns": item.latency_ns, "energy_pj": item.energy_pj}
    if isinstance(item, Choice):
        figures["weight_bytes"] = item.weight_bytes
        figures["accuracy_loss_ppm"] = item.accuracy_loss_ppm
    remedy = "correct its row"
    if isinstance(item, Hop):
        remedy += ", or leave its route out if the link has no bandwidth"
    for name, figure in figures.items():
        if not isinstance(figure, int):
            raise InputError(f"{what}: {name} is {figure!r}, no whole number; {remedy}")
        if figure < 0:
            raise InputError(f"{what}: {name} is {figure}, below zero; {remedy}")
    if not (isinstance(item.cost, (int, float)) and 0 <= item.cost < math.inf):
        raise InputError(f"{what}: cost is {item.cost!r}; it must be a number from 0 up")


def weight_limits(problem: Problem) -> tuple[int, ...]:
    """Return, per memory domain, how many bytes of weights fit beside the activations."""
    cap = problem.limits.memory_bytes
    return tuple(
        (capacity if cap is None else min(capacity, cap)) - problem.activation_bytes
        for capacity in problem.memory_capacity_bytes
    )


def _energy_limit_pj(problem: Problem) -> int | None:
    """Return the bound of the dynamic energy that average power and energy budget imply."""
    cap_mw, window_ns = problem.limits.average_power_mw, problem.fixed_window_ns
    bounds = []
    if problem.limits.energy_pj is not None and window_ns is not None:
        bounds.append(problem.limits.energy_pj - problem.idle_mw * window_ns)
    if cap_mw is not None and cap_mw < problem.idle_mw:
        bounds.append(-1)
    elif cap_mw is not None and window_ns is not None:
        bounds.append((cap_mw - problem.idle_mw) * window_ns)
    elif cap_mw == problem.idle_mw:
        bounds.append(0)
    return min(bounds, default=None)


def _budget_pj(problem: Problem) -> int | None:
    """Return the energy budget where the window is the latency."""
    return problem.limits.energy_pj if problem.fixed_window_ns is None else None


def _value_criteria(problem: Problem, aim: str) -> list[Criterion]:
    limits = problem.limits
    if aim == "limits":
        return []
    if aim == "period":
        above_idle_mw = (limits.average_power_mw or 0) - problem.idle_mw
        return [Criterion({"time": 1}, None, 1), Criterion({"energy": 1}, None, above_idle_mw)]
    if aim == "memory":
        rooms = enumerate(weight_limits(problem))
        return [Criterion({f"weights {domain}": 1}, room, 1) for domain, room in rooms]
    if problem.objective == "latency":
        return [Criterion({"time": 1}, limits.deadline_ns, 1)]
    if problem.objective == "period":
        serving = range(len(problem.devices + problem.links))
        return [Criterion({f"load {row}": 1}, limits.period_ns, 1) for row in serving]
    if problem.objective == "scalenet":
        return [Criterion({"cost": 1}, None, 1)]
    if problem.fixed_window_ns is None:
        form = {"time": problem.idle_mw, "energy": 1}
        return [Criterion(form, _budget_pj(problem), 1)]
    return [Criterion({"energy": 1}, _energy_limit_pj(problem), 1)]


def criteria(problem: Problem, aim: str, bounds: Bounds) -> list[Criterion]:
    """Return the value's criteria first, then those of every limit that some plan can break."""
    rows = _value_criteria(problem, aim)
    reachable: list[tuple[dict[str, int], int | None, int]] = []
    if aim != "period":
        energy_limit_pj = _energy_limit_pj(problem)
        reachable.append(({"time": 1}, problem.limits.deadline_ns, bounds.latency_ns))
        reachable.append(({"energy": 1}, energy_limit_pj, bounds.energy_pj))
    if aim != "period" and _budget_pj(problem) is not None:
        most_pj = problem.idle_mw * bounds.latency_ns + bounds.energy_pj
        form = {"time": problem.idle_mw, "energy": 1}
        reachable.append((form, _budget_pj(problem), most_pj))
    reachable.append(({"loss": 1}, problem.limits.accuracy_loss_ppm, bounds.loss_ppm))
    for row, load_ns in enumerate(bounds.load_ns):
        reachable.append(({f"load {row}": 1}, problem.limits.period_ns, load_ns))
    for domain, room in enumerate(weight_limits(problem)):
        reachable.append(({f"weights {domain}": 1}, max(room, 0), bounds.weight_bytes[domain]))
    binding = [
        (Criterion(form, limit), most)
        for form, limit, most in reachable
        if limit is not None and most > limit
    ]
    if aim == "limits":
        return [_overrun(row, most) for row, most in binding] or [Criterion({}, None, 1)]
    known = [row.form for row in rows]
    return rows + [row for row, _ in binding if row.form not in known]


def _overrun(row: Criterion, most: int) -> Criterion:
    """Return a criterion that is at most `FULL` if a limit is kept, close to it at the limit."""
    limit = row.limit or 0
    shift = max(0, min(FULL.bit_length(), 61 - most.bit_length()))
    scale = -(-(limit << shift) // FULL)
    shifted = {name: factor << shift for name, factor in row.form.items()}
    return Criterion(shifted, None, max(1, scale))
