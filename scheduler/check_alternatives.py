"""The checker's part on alternatives: replays the plan with one choice changed.

Like `check` it shares no code with solver or timeline: the execution model stands here once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from heterolith.scheduler.check_points import needed_changes
from heterolith.scheduler.plan import Alternative, Plan
from heterolith.scheduler.problem import Choice, Problem

TOLERANCE = 1e-9
"""Relative tolerance of objectives, which are floating point."""
UNITS = {"latency": 1e6, "period": 1e6, "energy": 1e9, "power": 1e3, "scalenet": 1.0}
"""How many ns, pJ, mW or 1 make the certificate's unit."""


@dataclass(slots=True)
class _Sums:
    """Figures of a replay; ``busy`` holds (time, change of power) where a limit asks for it."""

    latency_ns: int
    energy_pj: int
    cost: float
    busy: list[tuple[int, int]]
    loads: list[int] = field(default_factory=list)
    finish: list[tuple[int, int]] = field(default_factory=list)


_Step = tuple[tuple[int, ...] | int, tuple[int, ...], Choice | None, int]
"""Tensors read (or the domain that changes), tensors made, choice, member that is delivered."""


def check_alternatives(problem: Problem, plan: Plan, choices: Sequence[Choice]) -> Iterator[str]:
    """Check every alternative of every layer.

    Parameters
    ----------
    choices
        The choice of every task in the plan.
    """
    for index, (task, row) in enumerate(zip(problem.tasks, plan.assignments, strict=True)):
        others = list(task.choices)
        others.remove(choices[index])
        if len(others) != len(row.alternatives):
            yield f"layer {row.layer!r} has {len(row.alternatives)} alternatives, not {len(others)}"
            continue
        for choice, found in zip(others, row.alternatives, strict=True):
            changed = [*choices[:index], choice, *choices[index + 1 :]]
            if not _same(found, _expected(problem, changed, choice)):
                yield f"layer {row.layer!r}: the alternative {found.device}/{found.point} is not so"


def _same(found: Alternative, expected: Alternative) -> bool:
    if found.objective is None or expected.objective is None:
        return found == expected
    distance = abs(found.objective - expected.objective)
    close = distance <= TOLERANCE * max(1e-9, abs(expected.objective))
    rest = ("device", "point", "variant", "latency_ns", "energy_pj", "blocked")
    return close and all(getattr(found, name) == getattr(expected, name) for name in rest)


def _expected(problem: Problem, choices: Sequence[Choice], choice: Choice) -> Alternative:
    needed, why = needed_changes(problem, choices)
    sums = None if why else _replay(problem, choices, needed)
    objective = None if sums is None else _objective(problem, sums) / UNITS[problem.objective]
    blocked = "operating points" if why else "no route"
    return Alternative(
        device=problem.devices[choice.device],
        point=choice.point,
        variant=choice.variant,
        latency_ns=choice.latency_ns,
        energy_pj=choice.energy_pj,
        objective=objective,
        blocked=blocked if sums is None else ", ".join(_broken(problem, choices, sums)),
    )


def _steps(
    problem: Problem, choices: Sequence[Choice], needed: Sequence[tuple[int, int, str, str]]
) -> list[_Step]:
    """Return tasks, changes of points and deliveries in their order."""
    steps: list[_Step] = []
    for index, (task, chosen) in enumerate(zip(problem.tasks, choices, strict=True)):
        steps += [(row, (), None, -1) for at, row, *_ in needed if at == index]
        steps.append((task.inputs, task.outputs, chosen, -1))
        delivered = [m for m in enumerate(problem.members) if m[1].tasks[-1] == index]
        steps += [(member.outputs, (), None, number) for number, member in delivered]
    return [*steps, (problem.outputs, (), None, -1)]


def _replay(
    problem: Problem, choices: Sequence[Choice], needed: Sequence[tuple[int, int, str, str]]
) -> _Sums | None:
    """Carry out the tasks in order, with the ``needed`` changes; None if a tensor has no route."""
    free = [0] * len(problem.devices)
    link_free = [0] * len(problem.links)
    watched = problem.limits.peak_power_mw is not None
    arrived: dict[tuple[int, int], int] = {}
    made: list[tuple[int, int]] = [(problem.home, 0)] * len(problem.tensors)
    sums = _Sums(0, 0, 0.0, [])
    sums.loads = [0] * len(free + link_free)
    ends_ns: list[int] = []
    for inputs, outputs, choice, member_index in _steps(problem, choices, needed):
        if isinstance(inputs, int):
            domain = problem.domains[inputs]
            begin_ns = max(*free, *link_free)
            free = [begin_ns + (domain.switch_ns or 0)] * len(free)
            link_free = [free[0]] * len(link_free)
            made = [(at, free[0]) for at, _ in made]
            arrived = dict.fromkeys(arrived, free[0])
            sums.energy_pj += domain.switch_pj
            continue
        device = problem.home if choice is None else choice.device
        start_ns = 0 if choice is None else free[device]
        for tensor in inputs:
            origin, now_ns = made[tensor]
            if origin != device and (tensor, device) not in arrived:
                route = problem.tensors[tensor].routes.get((origin, device))
                if route is None:
                    return None
                for hop in route:
                    begin_ns = max(now_ns, link_free[hop.link])
                    now_ns = link_free[hop.link] = begin_ns + hop.latency_ns
                    sums.energy_pj += hop.energy_pj
                    sums.cost += hop.cost
                    sums.loads[len(free) + hop.link] += hop.latency_ns
                    if watched:
                        sums.busy += [(begin_ns, hop.power_mw), (now_ns, -hop.power_mw)]
                arrived[tensor, device] = now_ns
            start_ns = max(
                start_ns, made[tensor][1] if origin == device else arrived[tensor, device]
            )
        end_ns = start_ns if choice is None else start_ns + choice.latency_ns
        sums.latency_ns = max(sums.latency_ns, end_ns)
        if member_index >= 0:
            own = problem.members[member_index].tasks
            sums.finish.append((member_index, max(end_ns, *(ends_ns[task] for task in own))))
        if choice is not None:
            free[device] = end_ns
            ends_ns.append(end_ns)
            sums.loads[device] += choice.latency_ns
            sums.energy_pj += choice.energy_pj
            sums.cost += choice.cost
            for tensor in outputs:
                made[tensor] = (device, end_ns)
            if watched:
                sums.busy += [(start_ns, choice.power_mw), (end_ns, -choice.power_mw)]
    return sums


def _objective(problem: Problem, sums: _Sums) -> float:
    if problem.objective == "latency":
        return sums.latency_ns
    if problem.objective == "period":
        return max(sums.loads)
    if problem.objective == "scalenet":
        return sums.cost
    window_ns = _window_ns(problem, sums)
    energy_pj = problem.idle_mw * window_ns + sums.energy_pj
    if problem.objective == "energy":
        return energy_pj
    return energy_pj / window_ns if window_ns else problem.idle_mw


def _window_ns(problem: Problem, sums: _Sums) -> int:
    limits = problem.limits
    fixed_ns = limits.deadline_ns if limits.period_ns is None else limits.period_ns
    return sums.latency_ns if fixed_ns is None else fixed_ns


def _broken(problem: Problem, choices: Sequence[Choice], sums: _Sums) -> Iterator[str]:
    """Yield the names of the limits that the figures break."""
    limits, idle_mw = problem.limits, problem.idle_mw
    if limits.deadline_ns is not None and sums.latency_ns > limits.deadline_ns:
        yield "deadline_ns"
    bounds = (problem.members[row].deadline_ns for row, _ in sums.finish)
    if any(b is not None and end > b for b, (_, end) in zip(bounds, sums.finish, strict=True)):
        yield "member deadline"
    if limits.period_ns is not None and max(sums.loads) > limits.period_ns:
        yield "period_ns"
    budget_pj = limits.energy_pj
    if budget_pj is not None and idle_mw * _window_ns(problem, sums) + sums.energy_pj > budget_pj:
        yield "energy_pj"
    loss_limit = limits.accuracy_loss_ppm
    if loss_limit is not None and sum(c.accuracy_loss_ppm for c in choices) > loss_limit:
        yield "accuracy_loss_ppm"
    cap_mw = limits.average_power_mw
    if cap_mw is not None:
        # Without a window idling stretches the period as long as idle power is below the limit.
        open_ended = limits.deadline_ns is None and limits.period_ns is None
        room_pj = 0 if open_ended else (cap_mw - idle_mw) * _window_ns(problem, sums)
        stretches = open_ended and cap_mw > idle_mw
        if cap_mw < idle_mw or (sums.energy_pj > room_pj and not stretches):
            yield "average_power_mw"
    if limits.peak_power_mw is not None:
        now_mw = top_mw = 0
        for _, change_mw in sorted(sums.busy):
            now_mw += change_mw
            top_mw = max(top_mw, now_mw)
        if idle_mw + top_mw > limits.peak_power_mw:
            yield "peak_power_mw"
    use = [0] * len(problem.memories)
    for domain in {problem.memory_of[choice.device] for choice in choices}:
        placed = (c.weight_bytes for c in choices if problem.memory_of[c.device] == domain)
        use[domain] = problem.activation_bytes + sum(placed)
    if limits.memory_bytes is not None and max(use, default=0) > limits.memory_bytes:
        yield "memory_bytes"
    if any(a > b for a, b in zip(use, problem.memory_capacity_bytes, strict=True)):
        yield "memory_capacity_bytes"
