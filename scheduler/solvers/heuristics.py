"""Fast heuristics and the rules that others use: baselines, and first plans.

HEFT (Topcuoglu, Hariri, Wu, IEEE TPDS 13, 2002) and PEFT (Arabnejad, Barbosa, IEEE TPDS 25, 2014)
place the task of the highest rank where it ends soonest. The largest supported subgraph is what
run-times with one accelerator do: the largest connected part that the accelerator can compute goes
there, the rest stays at home. All of them place one network; domains keep one point throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import mean

from heterolith.scheduler.objective import broken_limits, value
from heterolith.scheduler.problem import HOME, Choice, Problem, reordered
from heterolith.scheduler.timeline import PointsError, Replay, Timeline, UnreachableError, evaluate

Offers = tuple[tuple[int, ...], ...]
"""Per task the choices that may be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A rule's placement: choices, order of dispatch (empty: the problem's), figures.

    ``objective`` is None where limits are broken; ``broken`` names them.
    """

    name: str
    selection: tuple[int, ...]
    order: tuple[int, ...]
    timeline: Timeline
    objective: float | None
    broken: tuple[str, ...]


def system_points(problem: Problem) -> list[Offers]:
    """Return the choices that are left at each operating point of the platform."""
    domains = [set(domain.devices) for domain in problem.domains]
    names = [
        dict.fromkeys(c.point for task in problem.tasks for c in task.choices if c.device in held)
        for held in domains
    ]
    found = []
    for points in product(*names):
        at = {device: points[row] for row, held in enumerate(domains) for device in held}
        offers = tuple(
            tuple(k for k, c in enumerate(task.choices) if at.get(c.device, c.point) == c.point)
            for task in problem.tasks
        )
        if all(offers):
            found.append(offers)
    return found


def finish(
    name: str, problem: Problem, selection: Sequence[int], order: Sequence[int] = ()
) -> Baseline | None:
    """Return a placement with its figures, or None if it cannot be carried out."""
    try:
        if order:
            ordered = reordered(problem, order)
            timeline = evaluate(ordered, [selection[task] for task in order])
        else:
            timeline = evaluate(problem, selection)
    except (UnreachableError, PointsError):
        return None
    broken = broken_limits(problem, timeline)
    return Baseline(
        name=name,
        selection=tuple(selection),
        order=tuple(order),
        timeline=timeline,
        objective=None if broken else value(problem, timeline),
        broken=broken,
    )


def best_of(found: Sequence[Baseline | None]) -> Baseline | None:
    """Return the best placement: within the limits first, then of least objective or latency."""
    rows = [row for row in found if row is not None]

    def key(row: Baseline) -> tuple[bool, float]:
        missed = row.objective is None
        return missed, row.timeline.latency_ns if row.objective is None else row.objective

    return min(rows, key=key, default=None)


def only(problem: Problem, device: int, name: str = "") -> Baseline | None:
    """Place everything on one device, and what it cannot compute at home (or anywhere)."""
    rows = []
    for offers in system_points(problem):
        for key in (_latency, _energy):
            picks = [
                min(
                    own,
                    key=lambda k: (
                        _rank(task.choices[k].device, device, problem.home),
                        key(task.choices[k]),
                    ),
                )
                for task, own in zip(problem.tasks, offers, strict=True)
            ]
            rows.append(finish(name or f"{problem.devices[device]} only", problem, picks))
    return best_of(rows)


def _rank(device: int, wanted: int, home: int) -> int:
    return 0 if device == wanted else 1 if device == home else 2


def _latency(choice: Choice) -> int:
    return choice.latency_ns


def _energy(choice: Choice) -> int:
    return choice.energy_pj


def best_single(problem: Problem) -> Baseline | None:
    """Return the best placement that keeps to one device."""
    every = [only(problem, device, "best single") for device in range(len(problem.devices))]
    return best_of(every)


def greedy(problem: Problem, cost: Callable[[Choice], float] | None = None) -> Baseline | None:
    """Place each task where its own cost is least: SCALENet's policy as published, no look-ahead.

    Parameters
    ----------
    cost
        Of a choice; by default its numerical cost.
    """
    price = cost or (lambda choice: choice.cost)
    rows = []
    for offers in system_points(problem):
        picks = [
            min(own, key=lambda k: price(task.choices[k]))
            for task, own in zip(problem.tasks, offers, strict=True)
        ]
        rows.append(finish("greedy", problem, picks))
    return best_of(rows)


def heft(problem: Problem, *, optimistic: bool = False, fastest: bool = False) -> Baseline | None:
    """Return HEFT's placement, or PEFT's if ``optimistic``, at the best point of the platform.

    Parameters
    ----------
    fastest
        Run at the fastest point alone, as the published algorithms do, which know no others.
    """
    name = "PEFT" if optimistic else "HEFT"
    every = system_points(problem)
    if fastest:
        every = sorted(every, key=lambda offers: _sum_ns(problem, offers))[:1]
    return best_of([_heft(name, problem, offers, optimistic=optimistic) for offers in every])


def _sum_ns(problem: Problem, offers: Offers) -> int:
    rows = zip(problem.tasks, offers, strict=True)
    return sum(task.choices[k].latency_ns for task, own in rows for k in own)


def _heft(name: str, problem: Problem, offers: Offers, *, optimistic: bool) -> Baseline | None:
    tables = _optimistic_ns(problem, offers)
    if optimistic:
        ranks = [mean(row.values()) for row in tables]
        order = _by_rank(problem, ranks)
    else:
        ranks = _upward_ns(problem, offers)
        order = sorted(range(len(ranks)), key=lambda k: (-ranks[k], k))
    replay = Replay(problem)
    replay.lasts = {}
    picks = [0] * len(problem.tasks)
    for task in order:
        trials = []
        for k in offers[task]:
            choice = problem.tasks[task].choices[k]
            trial = replay.copy()
            try:
                trial.dispatch(task, choice)
            except UnreachableError:
                continue
            end_ns = trial.spans[-1][1]
            ahead = tables[task][choice.device] if optimistic else 0
            trials.append((end_ns + ahead, choice.energy_pj, k))
        if not trials:
            return None
        picks[task] = min(trials)[2]
        replay.dispatch(task, problem.tasks[task].choices[picks[task]])
    return finish(name, problem, picks, order)


def _readers(problem: Problem) -> list[list[tuple[int, int]]]:
    """Return, per task, (reader, tensor)."""
    rows: list[list[tuple[int, int]]] = [[] for _ in problem.tasks]
    for index, task in enumerate(problem.tasks):
        for tensor in task.inputs:
            maker = problem.tensors[tensor].producer
            if maker != HOME:
                rows[maker].append((index, tensor))
    return rows


def _route_ns(problem: Problem, tensor: int, origin: int, target: int) -> int:
    hops = problem.tensors[tensor].routes.get((origin, target), ())
    return 0 if origin == target else sum(hop.latency_ns for hop in hops)


def _upward_ns(problem: Problem, offers: Offers) -> list[float]:
    """Return HEFT's upward ranks: mean latency and mean transfer along the longest path."""
    ranks = [0.0] * len(problem.tasks)
    readers = _readers(problem)
    for index in range(len(ranks) - 1, -1, -1):
        task, tail = problem.tasks[index], 0.0
        for reader, tensor in readers[index]:
            routes = problem.tensors[tensor].routes.values()
            ways = [sum(hop.latency_ns for hop in hops) for hops in routes]
            tail = max(tail, (mean(ways) if ways else 0.0) + ranks[reader])
        # A little more per task, so that ranks of tasks without latency descend too.
        ranks[index] = mean(task.choices[k].latency_ns for k in offers[index]) + tail + 1e-3
    return ranks


def _optimistic_ns(problem: Problem, offers: Offers) -> list[dict[int, int]]:
    """Return PEFT's table: per task and device, the longest path to the end if all goes best."""
    readers = _readers(problem)
    table: list[dict[int, int]] = [{} for _ in problem.tasks]
    fastest: list[dict[int, int]] = []
    for task, own in zip(problem.tasks, offers, strict=True):
        rows: dict[int, int] = {}
        for k in own:
            choice = task.choices[k]
            known = rows.get(choice.device, choice.latency_ns)
            rows[choice.device] = min(known, choice.latency_ns)
        fastest.append(rows)
    for index in range(len(problem.tasks) - 1, -1, -1):
        for device in fastest[index]:
            table[index][device] = max(
                (
                    min(
                        table[reader][there]
                        + fastest[reader][there]
                        + _route_ns(problem, tensor, device, there)
                        for there in fastest[reader]
                    )
                    for reader, tensor in readers[index]
                ),
                default=0,
            )
    return table


def _by_rank(problem: Problem, ranks: Sequence[float]) -> list[int]:
    """Return an order in which the ready task of the highest rank comes next."""
    readers = _readers(problem)
    waits = [0] * len(ranks)
    for index in range(len(ranks)):
        waits[index] = len(
            {problem.tensors[t].producer for t in problem.tasks[index].inputs} - {HOME}
        )
    ready = [index for index, count in enumerate(waits) if not count]
    order = []
    while ready:
        index = max(ready, key=lambda k: (ranks[k], -k))
        ready.remove(index)
        order.append(index)
        for reader in {reader for reader, _ in readers[index]}:
            waits[reader] -= 1
            if not waits[reader]:
                ready.append(reader)
    return order


def largest_subgraph(problem: Problem) -> Baseline | None:
    """Place the largest connected supported part on one accelerator, the rest at home."""
    rows = []
    for accelerator in range(len(problem.devices)):
        if accelerator == problem.home:
            continue
        able = {
            index
            for index, task in enumerate(problem.tasks)
            if any(choice.device == accelerator for choice in task.choices)
        }
        part = _largest_part(problem, able)
        for offers in system_points(problem):
            picks = []
            for index, own in enumerate(offers):
                wanted = accelerator if index in part else problem.home
                choices = problem.tasks[index].choices
                picks.append(
                    min(own, key=lambda k: (choices[k].device != wanted, choices[k].latency_ns))
                )
            rows.append(finish("largest subgraph", problem, picks))
    return best_of(rows)


def _largest_part(problem: Problem, able: set[int]) -> set[int]:
    """Return the largest connected set of tasks, neighbours being maker and reader."""
    near: dict[int, set[int]] = {index: set() for index in able}
    for index in able:
        for tensor in problem.tasks[index].inputs:
            maker = problem.tensors[tensor].producer
            if maker in near:
                near[index].add(maker)
                near[maker].add(index)
    largest: set[int] = set()
    left = set(able)
    while left:
        part, frontier = set(), [left.pop()]
        while frontier:
            index = frontier.pop()
            part.add(index)
            fresh = near[index] & left
            left -= fresh
            frontier += fresh
        if len(part) > len(largest):
            largest = part
    return largest
