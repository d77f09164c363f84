"""The independent checker: recomputes every figure of a plan from its problem.

It shares no code with solver or timeline. Where they replay the dispatch order, this file takes the
start and end times of the plan as given and tests them against the execution model of
`heterolith.scheduler.problem`: precedence, exclusive devices and links, service in dispatch order,
no start later than its causes demand.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace

from heterolith.scheduler.check_alternatives import check_alternatives
from heterolith.scheduler.check_points import check_changes
from heterolith.scheduler.plan import Assignment, Plan, Transfer
from heterolith.scheduler.problem import HOME, Choice, Hop, Problem

TOLERANCE = 1e-9
"""Relative tolerance of the figures that a plan holds as floating point."""


def check(problem: Problem, plan: Plan) -> tuple[str, ...]:
    """Return what is wrong with a plan; empty if it is sound.

    Every violation names the layer, tensor, device or figure it is about. Figures are recomputed
    only once the plan's structure is sound.
    """
    if problem.members:
        problem = _in_plan_order(problem, plan)
    choices: list[Choice] = []
    legs: list[list[Hop]] = []
    structure = [*_assignments(problem, plan, choices), *_transfers(problem, plan, legs)]
    if structure:
        return tuple(structure)
    hops = [hop for route in legs for hop in route]
    return (
        *_timing(problem, plan, legs),
        *check_changes(problem, plan, choices),
        *_figures(problem, plan, choices, hops),
        *_limits(problem, plan),
        *_certificate(problem, plan, choices, hops),
        *check_alternatives(problem, plan, choices),
    )


def _in_plan_order(problem: Problem, plan: Plan) -> Problem:
    """Return the problem with its tasks in the plan's order, or as it is if that is no order."""
    place = {row.layer: position for position, row in enumerate(plan.assignments)}
    names = [task.name for task in problem.tasks]
    if sorted(place) != sorted(names):
        return problem
    new = {index: place[name] for index, name in enumerate(names)}
    late = [
        tensor.producer
        for index, task in enumerate(problem.tasks)
        for tensor in (problem.tensors[t] for t in task.inputs)
        if tensor.producer != HOME and new[tensor.producer] >= new[index]
    ]
    if late:
        return problem
    members = (replace(m, tasks=tuple(sorted(new[t] for t in m.tasks))) for m in problem.members)
    return replace(
        problem,
        tasks=tuple(problem.tasks[index] for index in sorted(new, key=lambda index: new[index])),
        tensors=tuple(
            t if t.producer == HOME else replace(t, producer=new[t.producer])
            for t in problem.tensors
        ),
        members=tuple(members),
    )


def _assignments(problem: Problem, plan: Plan, choices: list[Choice]) -> Iterator[str]:
    """Check that every task has one row with a real choice; append the choices found."""
    if [row.layer for row in plan.assignments] != [task.name for task in problem.tasks]:
        yield "the layers of the plan are not the tasks of the problem in their order"
        return
    for row, task in zip(plan.assignments, problem.tasks, strict=True):
        fitting = [
            choice
            for choice in task.choices
            if (problem.devices[choice.device], choice.point, choice.variant)
            == (row.device, row.point, row.variant)
            and choice.energy_pj == row.energy_pj
            and choice.latency_ns == row.end_ns - row.start_ns
        ]
        if fitting:
            choices.append(fitting[0])
        else:
            yield (
                f"layer {row.layer!r} has no choice {row.device}/{row.point}/{row.variant} of "
                f"{row.end_ns - row.start_ns} ns and {row.energy_pj} pJ"
            )


def _wanted(problem: Problem, plan: Plan) -> list[tuple[int, str, str]]:
    """Return (tensor, origin, target) of every transfer that the placement needs, in order."""
    made = {
        tensor: row.device
        for task, row in zip(problem.tasks, plan.assignments, strict=True)
        for tensor in task.outputs
    }
    home = problem.devices[problem.home]
    delivered = {member.tasks[-1]: member.outputs for member in problem.members}
    readers = []
    for index, (task, row) in enumerate(zip(problem.tasks, plan.assignments, strict=True)):
        readers += [(tensor, row.device) for tensor in task.inputs]
        readers += [(tensor, home) for tensor in delivered.get(index, ())]
    readers += [(tensor, home) for tensor in problem.outputs]
    wanted = []
    for tensor, device in dict.fromkeys(readers):
        origin = home if problem.tensors[tensor].producer == HOME else made[tensor]
        if origin != device:
            wanted.append((tensor, origin, device))
    return wanted


def _transfers(problem: Problem, plan: Plan, legs: list[list[Hop]]) -> Iterator[str]:
    """Check that the plan has the hops of every wanted transfer and no others."""
    if len(plan.assignments) != len(problem.tasks):
        return
    index = {name: number for number, name in enumerate(problem.devices)}
    given: dict[tuple[str, str, str], list[Transfer]] = defaultdict(list)
    for row in plan.transfers:
        given[row.tensor, row.origin, row.target].append(row)
    for tensor, origin, target in _wanted(problem, plan):
        name = problem.tensors[tensor].name
        rows = given.pop((name, origin, target), [])
        ends = (index.get(origin, -1), index.get(target, -1))
        route = problem.tensors[tensor].routes.get(ends)
        if route is None:
            yield f"tensor {name!r} has no route from {origin} to {target}"
            continue
        found = [(r.link, r.end_ns - r.start_ns, r.energy_pj, r.bytes) for r in rows]
        expected = [(problem.links[h.link], h.latency_ns, h.energy_pj, h.bytes) for h in route]
        if found != expected:
            yield f"tensor {name!r} does not travel from {origin} to {target} over its route"
        legs.append(list(route))
    for name, origin, target in given:
        yield f"tensor {name!r} travels from {origin} to {target}, which nothing needs"


def _timing(problem: Problem, plan: Plan, legs: Sequence[Sequence[Hop]]) -> Iterator[str]:
    """Check each start against the latest of its causes, in dispatch order."""
    free: Counter[str] = Counter()
    ready: dict[tuple[int, str], int] = {}
    hops = iter(plan.transfers)
    paused_ns = 0
    wanted = {
        (tensor, device): (origin, route)
        for (tensor, origin, device), route in zip(_wanted(problem, plan), legs, strict=True)
    }

    def arrive(tensor: int, device: str) -> Iterator[str]:
        if (tensor, device) in ready or (tensor, device) not in wanted:
            return
        origin, route = wanted[tensor, device]
        now = ready.get((tensor, origin), paused_ns)
        for _ in route:
            hop = next(hops)
            cause = max(now, free[hop.link])
            if hop.tensor != problem.tensors[tensor].name or hop.target != device:
                yield f"the crossing of {hop.tensor!r} is not in dispatch order"
            if hop.start_ns != cause:
                yield f"tensor {hop.tensor!r} crosses {hop.link} at {hop.start_ns}, not {cause} ns"
            now = free[hop.link] = hop.end_ns
        ready[tensor, device] = now

    home = problem.devices[problem.home]
    delivered = {member.tasks[-1]: member for member in problem.members}
    pauses = {row.layer: row for row in plan.changes}
    for index, (task, row) in enumerate(zip(problem.tasks, plan.assignments, strict=True)):
        if task.name in pauses:
            end_ns = pauses[task.name].end_ns
            for name in (*problem.devices, *problem.links):
                free[name] = max(free[name], end_ns)
            ready.update((key, max(at_ns, end_ns)) for key, at_ns in list(ready.items()))
            paused_ns = end_ns
        for tensor in task.inputs:
            yield from arrive(tensor, row.device)
        arrivals = [ready.get((tensor, row.device), paused_ns) for tensor in task.inputs]
        cause = max(free[row.device], *arrivals, 0)
        if row.start_ns != cause:
            yield f"layer {row.layer!r} starts at {row.start_ns}, not {cause} ns"
        free[row.device] = row.end_ns
        ready.update(dict.fromkeys(((tensor, row.device) for tensor in task.outputs), row.end_ns))
        if index in delivered:
            for tensor in delivered[index].outputs:
                yield from arrive(tensor, home)
    for tensor in problem.outputs:
        yield from arrive(tensor, home)
    yield from _members(problem, plan, ready)


def _members(problem: Problem, plan: Plan, ready: dict[tuple[int, str], int]) -> Iterator[str]:
    """Recompute the latency of each of several networks."""
    home = problem.devices[problem.home]
    found = dict(plan.members)
    if len(found) != len(problem.members):
        yield f"the plan has {len(found)} networks, the problem {len(problem.members)}"
        return
    for member in problem.members:
        ends_ns = [plan.assignments[task].end_ns for task in member.tasks]
        end_ns = max(*ends_ns, *(ready.get((tensor, home), 0) for tensor in member.outputs), 0)
        if found.get(member.name) != end_ns:
            yield f"network {member.name!r} ends at {found.get(member.name)}, recomputed {end_ns}"
        if member.deadline_ns is not None and end_ns > member.deadline_ns:
            yield f"network {member.name!r} misses its deadline {member.deadline_ns} at {end_ns} ns"


def _figures(
    problem: Problem, plan: Plan, choices: Sequence[Choice], hops: Sequence[Hop]
) -> Iterator[str]:
    """Recompute latency, energy, powers and memory."""
    rows: tuple[Assignment | Transfer, ...] = (*plan.assignments, *plan.transfers)
    ends = [row.end_ns for row in rows]
    dynamic_pj = sum(c.energy_pj for c in choices) + sum(h.energy_pj for h in hops)
    dynamic_pj += sum(row.energy_pj for row in plan.changes)
    latency_ns, period_ns = max(ends, default=0), plan.metrics.period_ns
    limits = problem.limits
    window_ns = limits.deadline_ns if limits.period_ns is None else limits.period_ns
    shortest_ns = latency_ns if window_ns is None else window_ns
    if window_ns is None and limits.average_power_mw is not None:
        spare_mw = limits.average_power_mw - problem.idle_mw
        if spare_mw > 0:
            shortest_ns = max(shortest_ns, -(-dynamic_pj // spare_mw))
    idle_pj = problem.idle_mw * period_ns
    weights: Counter[int] = Counter()
    for choice in choices:
        weights[problem.memory_of[choice.device]] += choice.weight_bytes
    used = {problem.memory_of[choice.device] for choice in choices}
    memory = tuple(
        (name, weights[domain] + problem.activation_bytes * (domain in used))
        for domain, name in enumerate(problem.memories)
    )
    exact = {
        "latency_ns": latency_ns,
        "period_ns": shortest_ns,
        "energy_pj": idle_pj + dynamic_pj,
        "idle_energy_pj": idle_pj,
        "peak_power_mw": problem.idle_mw + _peak_mw(rows),
        "memory_bytes": memory,
        "busiest_ns": _busiest_ns(choices, hops),
        "accuracy_loss_ppm": sum(choice.accuracy_loss_ppm for choice in choices),
    }
    for name, value in exact.items():
        if getattr(plan.metrics, name) != value:
            yield f"{name} is {getattr(plan.metrics, name)}, recomputed {value}"
    average_mw = (idle_pj + dynamic_pj) / period_ns if period_ns else float(problem.idle_mw)
    if not _close(plan.metrics.average_power_mw, average_mw):
        yield f"average_power_mw is {plan.metrics.average_power_mw}, recomputed {average_mw}"


def _busiest_ns(choices: Sequence[Choice], hops: Sequence[Hop]) -> int:
    """Return the longest work of any device or link."""
    work: Counter[tuple[str, int]] = Counter()
    for choice in choices:
        work["device", choice.device] += choice.latency_ns
    for hop in hops:
        work["link", hop.link] += hop.latency_ns
    return max(work.values(), default=0)


def _peak_mw(items: Sequence[Assignment | Transfer]) -> int:
    """Return the largest sum of dynamic powers, looked for at the start of every item."""
    rows = [row for row in items if row.end_ns > row.start_ns]
    powers = [-(-row.energy_pj // (row.end_ns - row.start_ns)) for row in rows]
    peak = 0
    for at_ns in {row.start_ns for row in rows}:
        running = (p for p, r in zip(powers, rows, strict=True) if r.start_ns <= at_ns < r.end_ns)
        peak = max(peak, sum(running))
    return peak


def _limits(problem: Problem, plan: Plan) -> Iterator[str]:
    limits, metrics = problem.limits, plan.metrics
    named = {
        name: getattr(limits, name)
        for name in (field.name for field in fields(limits))
        if getattr(limits, name) is not None
    }
    if dict(plan.limits) != named:
        yield f"limits are {dict(plan.limits)}, the problem has {named}"
    if limits.deadline_ns is not None and metrics.latency_ns > limits.deadline_ns:
        yield f"latency {metrics.latency_ns} ns is above the deadline {limits.deadline_ns} ns"
    if limits.average_power_mw is not None:
        budget_pj = limits.average_power_mw * metrics.period_ns
        if metrics.energy_pj > budget_pj or problem.idle_mw > limits.average_power_mw:
            yield f"average power {metrics.average_power_mw} mW is above {limits.average_power_mw}"
    if limits.peak_power_mw is not None and metrics.peak_power_mw > limits.peak_power_mw:
        yield f"peak power {metrics.peak_power_mw} mW is above {limits.peak_power_mw} mW"
    if limits.period_ns is not None and metrics.busiest_ns > limits.period_ns:
        yield f"the busiest resource works {metrics.busiest_ns} ns, period {limits.period_ns} ns"
    loss_limit, loss = limits.accuracy_loss_ppm, metrics.accuracy_loss_ppm
    if loss_limit is not None and loss > loss_limit:
        yield f"accuracy loss {loss} ppm is above {loss_limit} ppm"
    window_ns = limits.deadline_ns if limits.period_ns is None else limits.period_ns
    span_ns = metrics.latency_ns if window_ns is None else window_ns
    energy_pj = problem.idle_mw * span_ns + metrics.energy_pj - metrics.idle_energy_pj
    if limits.energy_pj is not None and energy_pj > limits.energy_pj:
        yield f"energy {energy_pj} pJ is above the budget {limits.energy_pj} pJ"
    capacities = dict(zip(problem.memories, problem.memory_capacity_bytes, strict=True))
    for name, use in metrics.memory_bytes:
        bound = min(capacities[name], limits.memory_bytes or capacities[name])
        if use > bound:
            yield f"memory {name} holds {use} bytes, the bound is {bound}"


def _certificate(
    problem: Problem, plan: Plan, choices: Sequence[Choice], hops: Sequence[Hop]
) -> Iterator[str]:
    certificate, metrics = plan.certificate, plan.metrics
    dynamic_pj = metrics.energy_pj - metrics.idle_energy_pj
    fixed_ns = problem.limits.period_ns or problem.limits.deadline_ns
    window_ns = fixed_ns or metrics.latency_ns
    energy_pj = problem.idle_mw * window_ns + dynamic_pj
    value, unit = {
        "latency": (metrics.latency_ns / 1e6, "ms"),
        "period": (metrics.busiest_ns / 1e6, "ms"),
        "energy": (energy_pj / 1e9, "mJ"),
        "power": (energy_pj / window_ns / 1e3 if window_ns else problem.idle_mw / 1e3, "W"),
        "scalenet": (sum(c.cost for c in choices) + sum(h.cost for h in hops), "1"),
    }[problem.objective]
    if plan.objective != problem.objective or certificate.unit != unit:
        yield f"objective {plan.objective} in {certificate.unit}, not {problem.objective} in {unit}"
    if not _close(certificate.objective, value):
        yield f"objective is {certificate.objective}, recomputed {value}"
    if certificate.lower_bound > certificate.objective * (1 + TOLERANCE):
        yield f"lower bound {certificate.lower_bound} is above objective {certificate.objective}"
    gap = certificate.objective - certificate.lower_bound
    gap = gap / certificate.objective if certificate.objective else 0.0
    if abs(certificate.gap - gap) > TOLERANCE:
        yield f"gap is {certificate.gap}, recomputed {gap}"


def _close(found: float, expected: float) -> bool:
    return abs(found - expected) <= TOLERANCE * max(1.0, abs(expected))
