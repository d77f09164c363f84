"""The execution model once more, in its plainest form: an oracle for solver and checker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import product
from random import Random

from heterolith.scheduler.check_points import needed_changes
from heterolith.scheduler.problem import HOME, Limits, Problem


@dataclass(frozen=True)
class Outcome:
    """Figures of one selection."""

    latency_ns: int
    energy_pj: int
    peak_mw: int
    memory: tuple[int, ...]
    cost: float
    loads: tuple[int, ...] = ()
    loss_ppm: int = 0


def carry_out(problem: Problem, selection: tuple[int, ...]) -> Outcome | None:
    """Return what a selection costs, or None if a tensor cannot travel."""
    device_free: dict[int, int] = {}
    link_free: dict[int, int] = {}
    where: dict[tuple[int, int], int] = {}
    origin: dict[int, int] = {}
    busy: list[tuple[int, int, int]] = []
    energy, cost, latency = 0, 0.0, 0
    weights = [0] * len(problem.memories)
    touched: set[int] = set()
    for index, tensor in enumerate(problem.tensors):
        if tensor.producer == HOME:
            origin[index] = problem.home
            where[index, problem.home] = 0

    crossed: Counter[int] = Counter()

    def fetch(index: int, device: int) -> int | None:
        nonlocal energy, cost
        if (index, device) not in where:
            hops = problem.tensors[index].routes.get((origin[index], device))
            if hops is None:
                return None
            now = where[index, origin[index]]
            for hop in hops:
                begin = max(now, link_free.get(hop.link, 0))
                now = begin + hop.latency_ns
                link_free[hop.link] = now
                busy.append((begin, now, hop.power_mw))
                energy += hop.energy_pj
                crossed[hop.link] += hop.latency_ns
                cost += hop.cost
            where[index, device] = now
        return where[index, device]

    choices = [task.choices[pick] for task, pick in zip(problem.tasks, selection, strict=True)]
    needed, why = needed_changes(problem, choices)
    if why:
        return None
    work: Counter[int] = Counter()
    for position, (task, choice) in enumerate(zip(problem.tasks, choices, strict=True)):
        for row in (row for at, row, *_ in needed if at == position):
            pause = latency_so_far(device_free, link_free) + (problem.domains[row].switch_ns or 0)
            device_free = dict.fromkeys(range(len(problem.devices)), pause)
            link_free = dict.fromkeys(range(len(problem.links)), pause)
            where = dict.fromkeys(where, pause)
            energy += problem.domains[row].switch_pj
        work[choice.device] += choice.latency_ns
        begin = device_free.get(choice.device, 0)
        for index in task.inputs:
            arrival = fetch(index, choice.device)
            if arrival is None:
                return None
            begin = max(begin, arrival)
        end = begin + choice.latency_ns
        device_free[choice.device] = end
        latency = max(latency, end)
        busy.append((begin, end, choice.power_mw))
        energy += choice.energy_pj
        cost += choice.cost
        domain = problem.memory_of[choice.device]
        weights[domain] += choice.weight_bytes
        touched.add(domain)
        for index in task.outputs:
            origin[index] = choice.device
            where[index, choice.device] = end
    for index in problem.outputs:
        arrival = fetch(index, problem.home)
        if arrival is None:
            return None
        latency = max(latency, arrival)
    peak = max(
        (sum(p for a, b, p in busy if a <= at < b) for at, stop, _ in busy if at < stop), default=0
    )
    memory = tuple(
        weight + (problem.activation_bytes if domain in touched else 0)
        for domain, weight in enumerate(weights)
    )
    loads = (*work.values(), *crossed.values(), 0)
    loss = sum(choice.accuracy_loss_ppm for choice in choices)
    return Outcome(latency, energy, peak + problem.idle_mw, memory, cost, loads, loss)


def latency_so_far(*free: dict[int, int]) -> int:
    """Return when the last of devices and links is free."""
    return max((at for table in free for at in table.values()), default=0)


def feasible(problem: Problem, outcome: Outcome) -> bool:
    """Whether an outcome keeps every limit."""
    limits = problem.limits
    caps = [
        min(capacity, limits.memory_bytes) if limits.memory_bytes is not None else capacity
        for capacity in problem.memory_capacity_bytes
    ]
    if any(use > cap for use, cap in zip(outcome.memory, caps, strict=True)):
        return False
    if limits.deadline_ns is not None and outcome.latency_ns > limits.deadline_ns:
        return False
    if limits.peak_power_mw is not None and outcome.peak_mw > limits.peak_power_mw:
        return False
    if limits.period_ns is not None and max(outcome.loads) > limits.period_ns:
        return False
    if limits.accuracy_loss_ppm is not None and outcome.loss_ppm > limits.accuracy_loss_ppm:
        return False
    window = limits.period_ns if limits.period_ns is not None else limits.deadline_ns
    span = outcome.latency_ns if window is None else window
    total = problem.idle_mw * span + outcome.energy_pj
    if limits.energy_pj is not None and total > limits.energy_pj:
        return False
    cap = limits.average_power_mw
    if cap is None:
        return True
    if window is not None:
        return total <= cap * window
    return cap > problem.idle_mw or (cap == problem.idle_mw and outcome.energy_pj == 0)


def objective(problem: Problem, outcome: Outcome) -> float:
    """Return the value to make least."""
    if problem.objective == "latency":
        return outcome.latency_ns
    if problem.objective == "period":
        return max(outcome.loads)
    if problem.objective == "scalenet":
        return outcome.cost
    window = problem.limits.period_ns or problem.limits.deadline_ns or outcome.latency_ns
    energy = problem.idle_mw * window + outcome.energy_pj
    if problem.objective == "power":
        return energy / window
    return energy


def best(problem: Problem) -> float | None:
    """Return the least objective over every selection, or None if none is feasible."""
    values = [
        objective(problem, outcome)
        for selection in product(*(range(len(task.choices)) for task in problem.tasks))
        if (outcome := carry_out(problem, selection)) is not None and feasible(problem, outcome)
    ]
    return min(values, default=None)


def random_limits(seed: int, names: tuple[str, ...]) -> Limits:
    """Return limits in the range where the random problems are neither free nor hopeless."""
    rng = Random(seed)
    ranges = {
        "deadline_ns": (20, 150),
        "average_power_mw": (2, 25),
        "peak_power_mw": (5, 80),
        "memory_bytes": (10, 60),
        "period_ns": (20, 90),
        "energy_pj": (200, 1500),
        "accuracy_loss_ppm": (0, 15),
    }
    return Limits(**{name: rng.randint(*ranges[name]) for name in names})
