"""Why a plan is as it is, and why a request has none.

`alternatives` prices every other choice of one layer with the rest of the plan held. For an
infeasible request `explain_infeasible` finds a minimal set of limits that conflict (deletion
filter: a limit whose removal does not help is not part of it) and, for each of them, the nearest
value that is feasible with the others kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from heterolith.scheduler.objective import UNITS, broken_limits, value
from heterolith.scheduler.plan import Alternative
from heterolith.scheduler.problem import Choice, Limits, Problem
from heterolith.scheduler.solve import is_feasible, minimise
from heterolith.scheduler.timeline import (
    PointsError,
    Replay,
    Totals,
    UnreachableError,
    busy_intervals,
    chosen,
    evaluate,
    loads,
    memory_use,
    peak_mw,
)

LARGEST_LAYERS = 3
"""Layers that the message of a missed deadline names."""


def alternatives(problem: Problem, selection: Sequence[int]) -> tuple[tuple[Alternative, ...], ...]:
    """Return, per task, what each other choice would make of the plan, the rest held.

    Objectives are in the certificate's unit.
    """
    choices = chosen(problem, selection)
    if problem.domains or problem.members:
        return tuple(
            tuple(
                _whole(problem, selection, index, pick)
                for pick in range(len(task.choices))
                if pick != selection[index]
            )
            for index, task in enumerate(problem.tasks)
        )
    prefix = Replay(problem)
    rows = []
    for index, taken in enumerate(choices):
        others = (c for k, c in enumerate(problem.tasks[index].choices) if k != selection[index])
        rows.append(tuple(_alternative(problem, prefix, choices, index, c) for c in others))
        prefix.dispatch(index, taken)
    return tuple(rows)


def _shown(problem: Problem, choice: Choice, objective: float | None, blocked: str) -> Alternative:
    return Alternative(
        device=problem.devices[choice.device],
        point=choice.point,
        variant=choice.variant,
        latency_ns=choice.latency_ns,
        energy_pj=choice.energy_pj,
        objective=objective,
        blocked=blocked,
    )


def _whole(problem: Problem, selection: Sequence[int], index: int, pick: int) -> Alternative:
    """Return what a choice would make of the plan, by carrying all of it out anew."""
    choice = problem.tasks[index].choices[pick]
    objective: float | None = None
    try:
        figures = evaluate(problem, (*selection[:index], pick, *selection[index + 1 :]))
    except UnreachableError:
        blocked = "no route"
    except PointsError:
        blocked = "operating points"
    else:
        objective = value(problem, figures) / UNITS[problem.objective][1]
        blocked = ", ".join(broken_limits(problem, figures))
    return _shown(problem, choice, objective, blocked)


def _alternative(
    problem: Problem, prefix: Replay, choices: Sequence[Choice], index: int, choice: Choice
) -> Alternative:
    replay = prefix.copy()
    rest = [choice, *choices[index + 1 :]]
    objective: float | None = None
    blocked = "no route"
    try:
        for offset, later in enumerate(rest):
            replay.dispatch(index + offset, later)
        latency_ns = replay.finish()
    except UnreachableError:
        pass
    else:
        figures = _figures(problem, prefix, replay, [*choices[:index], *rest], latency_ns)
        objective = value(problem, figures) / UNITS[problem.objective][1]
        blocked = ", ".join(broken_limits(problem, figures))
    return _shown(problem, choice, objective, blocked)


def _figures(
    problem: Problem, prefix: Replay, replay: Replay, choices: Sequence[Choice], latency_ns: int
) -> Totals:
    power_mw = 0
    if problem.limits.peak_power_mw is not None:
        cut = len(prefix.spans)
        busy = busy_intervals(prefix, choices[:cut]) + busy_intervals(replay, choices[cut:])
        power_mw = peak_mw(busy)
    loads_ns: tuple[int, ...] = ()
    if problem.objective == "period" or problem.limits.period_ns is not None:
        loads_ns = loads(problem, choices, [*prefix.crossings, *replay.crossings])
    return Totals(
        latency_ns=latency_ns,
        energy_pj=replay.energy_pj,
        cost=replay.cost,
        peak_power_mw=problem.idle_mw + power_mw,
        memory_bytes=memory_use(problem, choices)[1],
        loads_ns=loads_ns,
        accuracy_loss_ppm=sum(choice.accuracy_loss_ppm for choice in choices),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Infeasibility:
    """Why there is no plan.

    Attributes
    ----------
    conflict
        Names of the `Limits` fields that cannot hold together; none of them can be left out.
    nearest
        Per conflicting limit, its nearest feasible value with the others kept, in its own unit.
    message
        All of it in one line.
    """

    conflict: tuple[str, ...]
    nearest: tuple[tuple[str, int], ...]
    message: str


NAMES = {
    "deadline_ns": "deadline",
    "average_power_mw": "average power",
    "peak_power_mw": "peak power",
    "memory_bytes": "memory",
    "period_ns": "period",
    "energy_pj": "energy",
    "accuracy_loss_ppm": "accuracy loss",
}


def explain_infeasible(problem: Problem) -> Infeasibility:
    """Explain a problem for which `solve` found no plan.

    Raises
    ------
    InfeasibleError
        If without one of the limits a plan can be neither found nor ruled out.
    """
    if problem.members:
        message = f"the networks {problem.name} cannot keep their limits together on this platform"
        return Infeasibility(conflict=(), nearest=(), message=message)
    conflict = [name for name in NAMES if getattr(problem.limits, name) is not None]
    for name in tuple(conflict):
        kept = [other for other in conflict if other != name]
        # A peak-power limit with a period is held only beside a deadline: that cannot be left out.
        alone = name == "deadline_ns" and {"period_ns", "peak_power_mw"} <= set(kept)
        if not alone and not is_feasible(_with(problem, kept)):
            conflict = kept
    if not conflict:
        message = f"no placement of {problem.name} fits the memories of the platform or its links"
        return Infeasibility(conflict=(), nearest=(), message=message)
    nearest: dict[str, _Nearest] = {}
    for name in conflict:
        kept = [other for other in conflict if other != name]
        if name == "deadline_ns" and {"period_ns", "peak_power_mw"} <= set(kept):
            continue
        found = _NEAREST[name](_with(problem, kept))
        if found is not None:
            nearest[name] = found
    return Infeasibility(
        conflict=tuple(conflict),
        nearest=tuple((name, found.amount) for name, found in nearest.items()),
        message=_message(problem, conflict, nearest),
    )


def _with(problem: Problem, kept: Sequence[str]) -> Problem:
    """Return the problem under some of its limits, with an objective that needs no deadline."""
    limits = Limits(**{name: getattr(problem.limits, name) for name in kept})
    return replace(problem, objective="latency", limits=limits)


@dataclass(frozen=True, slots=True)
class _Nearest:
    """A feasible value of a limit, the plan that has it, and whether none is nearer."""

    amount: int
    selection: tuple[int, ...]
    proved: bool


def _least_deadline(problem: Problem) -> _Nearest | None:
    aim = "objective" if problem.limits.average_power_mw is None else "period"
    found = minimise(problem, aim=aim)
    return None if found is None else _Nearest(found.value, found.selection, found.proved)


def _least_average(problem: Problem) -> _Nearest | None:
    found = minimise(replace(problem, objective="energy"))
    if found is None:
        return None
    window_ns = problem.limits.deadline_ns
    amount = problem.idle_mw + 1
    if window_ns is not None:
        dynamic_pj = evaluate(problem, found.selection).energy_pj
        amount = problem.idle_mw + -(-dynamic_pj // window_ns)
    return _Nearest(amount, found.selection, found.proved or window_ns is None)


def _least_peak(problem: Problem) -> _Nearest | None:
    """Bisect between the power of the lightest choices and the peak of some plan."""
    found = minimise(problem)
    if found is None:
        return None
    lightest = (min(c.power_mw for c in task.choices) for task in problem.tasks)
    low = problem.idle_mw + max(lightest, default=0) - 1
    high, selection = evaluate(problem, found.selection).peak_power_mw, found.selection
    probe = low + 1
    while high - low > 1:
        limits = replace(problem.limits, peak_power_mw=probe)
        found = minimise(replace(problem, limits=limits))
        if found is None:
            low = probe
        else:
            selection = found.selection
            high = evaluate(problem, selection).peak_power_mw
        probe = (low + high) // 2
    return _Nearest(high, selection, proved=True)


def _least_memory(problem: Problem) -> _Nearest | None:
    found = minimise(problem, aim="memory")
    if found is None:
        return None
    amount = max(evaluate(problem, found.selection).memory_bytes)
    return _Nearest(amount, found.selection, found.proved)


def _least_period(problem: Problem) -> _Nearest | None:
    found = minimise(replace(problem, objective="period"))
    return None if found is None else _Nearest(found.value, found.selection, found.proved)


def _least_energy(problem: Problem) -> _Nearest | None:
    asked = replace(problem, objective="energy")
    found = minimise(asked)
    if found is None:
        return None
    amount = int(value(asked, evaluate(asked, found.selection)))
    return _Nearest(amount, found.selection, found.proved)


def _least_loss(problem: Problem) -> _Nearest | None:
    """Minimise the loss as if it were the SCALENet cost, which adds up in the same way."""
    tasks = tuple(
        replace(
            task,
            choices=tuple(replace(c, cost=float(c.accuracy_loss_ppm)) for c in task.choices),
        )
        for task in problem.tasks
    )
    tensors = tuple(
        replace(
            tensor,
            routes={
                ends: tuple(replace(hop, cost=0.0) for hop in hops)
                for ends, hops in tensor.routes.items()
            },
        )
        for tensor in problem.tensors
    )
    found = minimise(replace(problem, objective="scalenet", tasks=tasks, tensors=tensors))
    if found is None:
        return None
    loss = evaluate(problem, found.selection).accuracy_loss_ppm
    return _Nearest(loss, found.selection, found.proved)


_NEAREST = {
    "deadline_ns": _least_deadline,
    "average_power_mw": _least_average,
    "peak_power_mw": _least_peak,
    "memory_bytes": _least_memory,
    "period_ns": _least_period,
    "energy_pj": _least_energy,
    "accuracy_loss_ppm": _least_loss,
}


def _quantity(name: str, amount: int, *, up: bool = False) -> str:
    """Return a limit as people write it; rounded up it is a limit that can be kept."""
    unit, scale = {
        "deadline_ns": ("ms", 1e6),
        "period_ns": ("ms", 1e6),
        "memory_bytes": ("MiB", 2.0**20),
        "energy_pj": ("mJ", 1e9),
        "accuracy_loss_ppm": ("%", 1e4),
    }.get(name, ("W", 1e3))
    shown = amount / scale
    if up and shown:
        step = 10.0 ** (math.floor(math.log10(shown)) - 3)
        shown = math.ceil(shown / step - 1e-9) * step
    return f"{shown:.4g} {unit}"


def _message(problem: Problem, conflict: Sequence[str], nearest: dict[str, _Nearest]) -> str:
    asked = " and ".join(f"{NAMES[n]} {_quantity(n, getattr(problem.limits, n))}" for n in conflict)
    together = " together" if len(conflict) > 1 else ""
    kept = ", the other limits kept" if len(conflict) > 1 else ""
    reasons = []
    for name in conflict:
        if name not in nearest:
            reasons.append(f"no {NAMES[name]} is enough{kept}")
            continue
        found = nearest[name]
        amount, known = _quantity(name, found.amount, up=True), "" if found.proved else " found"
        if name == "deadline_ns":
            reasons.append(f"fastest plan{known} takes {amount}{kept}")
        else:
            reasons.append(f"least {NAMES[name]}{known} is {amount}{kept}")
    if conflict == ["deadline_ns"] and "deadline_ns" in nearest:
        reasons[0] += f" ({_slowest(problem, nearest['deadline_ns'].selection)})"
    if "average_power_mw" in conflict:
        reasons.append(f"idle alone is {_quantity('average_power_mw', problem.idle_mw)}")
    return f"{asked} cannot be met{together}: {'; '.join(reasons)}"


def _slowest(problem: Problem, selection: Sequence[int]) -> str:
    """Return the layers that take longest in a plan."""
    choices = chosen(problem, selection)
    pairs = zip(problem.tasks, choices, strict=True)
    slowest = sorted(pairs, key=lambda pair: -pair[1].latency_ns)[:LARGEST_LAYERS]
    parts = (
        f"{task.name} on {problem.devices[choice.device]} {choice.latency_ns / 1e6:.3g} ms"
        for task, choice in slowest
    )
    return ", ".join(parts) + (", ..." if len(choices) > LARGEST_LAYERS else "")
