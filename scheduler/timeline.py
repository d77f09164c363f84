"""What a placement costs: start and end of every task and link crossing, and the figures.

This is the execution model of `heterolith.scheduler.problem` in plain Python; the solver's tables
must agree with it to the last nanosecond and picojoule, and are checked against it. Replaying is
incremental: a `Replay` can be copied between two tasks and carried on with other choices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from heterolith.errors import InputError
from heterolith.scheduler.modules import split
from heterolith.scheduler.problem import HOME, Choice, Domain, Hop, Problem

Busy = tuple[int, int, int]
"""Start in ns, end in ns, dynamic power in mW of one running task or crossing."""


class UnreachableError(InputError):
    """A tensor is wanted on a device to which no route leads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """One hop of a transfer; ``origin`` and ``target`` are the ends of the whole transfer."""

    tensor: int
    origin: int
    target: int
    hop: Hop
    start_ns: int
    end_ns: int


class PointsError(InputError):
    """Tasks of one domain run at different points where it cannot switch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A domain changes its operating point before a task, with everything idle."""

    domain: int
    task: int
    origin: str
    target: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums and maxima that objective and limits depend on.

    Attributes
    ----------
    energy_pj
        Dynamic energy of tasks and crossings, without idle.
    peak_power_mw
        Idle power plus the largest sum of powers at one instant; intervals are half-open and
        those of zero length do not count.
    memory_bytes
        Use per memory domain: weights placed there, and activations where it has a task.
    cost
        Sum of the SCALENet costs of choices and crossings.
    loads_ns
        Work of devices, then links, on one input.
    accuracy_loss_ppm
        Sum over the choices.
    finish_ns
        Latency of each member; empty for a single network.
    """

    latency_ns: int
    energy_pj: int
    cost: float
    peak_power_mw: int
    memory_bytes: tuple[int, ...]
    loads_ns: tuple[int, ...] = ()
    accuracy_loss_ppm: int = 0
    finish_ns: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline(Totals):
    """A placement carried out on paper.

    Attributes
    ----------
    start_ns, end_ns
        Per task, in problem order.
    crossings
        Link crossings in dispatch order.
    weight_bytes
        Weights per memory domain.
    changes
        Changes of operating points, in order.
    """

    start_ns: tuple[int, ...]
    end_ns: tuple[int, ...]
    crossings: tuple[Crossing, ...]
    weight_bytes: tuple[int, ...]
    changes: tuple[Change, ...] = ()


class Replay:
    """State of devices, links and tensors after some tasks have been dispatched."""

    __slots__ = (
        "at",
        "cost",
        "crossings",
        "device_ns",
        "energy_pj",
        "finish_ns",
        "lasts",
        "link_ns",
        "problem",
        "spans",
    )

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.device_ns = [0] * len(problem.devices)
        self.link_ns = [0] * len(problem.links)
        self.at: list[dict[int, int]] = [
            {problem.home: 0} if tensor.producer == HOME else {} for tensor in problem.tensors
        ]
        self.spans: list[tuple[int, int]] = []
        self.crossings: list[tuple[int, int, int, Hop, int, int]] = []
        self.energy_pj = 0
        self.cost = 0.0
        self.lasts = {member.tasks[-1]: row for row, member in enumerate(problem.members)}
        self.finish_ns = [0] * len(problem.members)

    def copy(self) -> Replay:
        """Return an independent copy; spans and crossings recorded so far are left behind."""
        other = object.__new__(Replay)
        other.problem = self.problem
        other.device_ns = self.device_ns.copy()
        other.link_ns = self.link_ns.copy()
        other.at = self.at.copy()
        other.spans = []
        other.crossings = []
        other.energy_pj = self.energy_pj
        other.cost = self.cost
        other.lasts = self.lasts
        other.finish_ns = self.finish_ns.copy()
        return other

    def wait(self, hold_ns: int, energy_pj: int) -> int:
        """Hold the whole platform once everything is idle; return when the wait began."""
        begin_ns = max((*self.device_ns, *self.link_ns), default=0)
        end_ns = begin_ns + hold_ns
        self.device_ns = [end_ns] * len(self.device_ns)
        self.link_ns = [end_ns] * len(self.link_ns)
        self.at = [dict.fromkeys(places, end_ns) for places in self.at]
        self.energy_pj += energy_pj
        return begin_ns

    def fetch(self, index: int, device: int) -> int:
        """Have tensor ``index`` at a device, sending it if it is not there; return its arrival."""
        places = self.at[index]
        arrival_ns = places.get(device)
        if arrival_ns is not None:
            return arrival_ns
        # Places are in order of arrival at the table: the first one is where the tensor was made.
        origin, now_ns = next(iter(places.items()))
        tensor = self.problem.tensors[index]
        route = tensor.routes.get((origin, device))
        if route is None:
            names = self.problem.devices
            raise UnreachableError(
                f"tensor {tensor.name!r} has no route from {names[origin]} to {names[device]}; "
                "add a link to the platform"
            )
        for hop in route:
            start_ns = max(now_ns, self.link_ns[hop.link])
            now_ns = start_ns + hop.latency_ns
            self.link_ns[hop.link] = now_ns
            self.energy_pj += hop.energy_pj
            self.cost += hop.cost
            self.crossings.append((index, origin, device, hop, start_ns, now_ns))
        self.at[index] = {**places, device: now_ns}
        return now_ns

    def dispatch(self, index: int, choice: Choice) -> None:
        """Carry out task ``index`` as chosen."""
        task = self.problem.tasks[index]
        device = choice.device
        start_ns = self.device_ns[device]
        for tensor in task.inputs:
            arrival_ns = self.at[tensor].get(device)
            if arrival_ns is None:
                arrival_ns = self.fetch(tensor, device)
            if arrival_ns > start_ns:
                start_ns = arrival_ns
        end_ns = start_ns + choice.latency_ns
        self.device_ns[device] = end_ns
        self.energy_pj += choice.energy_pj
        self.cost += choice.cost
        for tensor in task.outputs:
            self.at[tensor] = {device: end_ns}
        self.spans.append((start_ns, end_ns))
        if index in self.lasts:
            self._deliver(self.lasts[index])

    def _deliver(self, row: int) -> None:
        """Send the outputs of a member home after its last task."""
        member, home = self.problem.members[row], self.problem.home
        ends_ns = [self.spans[task][1] for task in member.tasks]
        self.finish_ns[row] = max(*ends_ns, *(self.fetch(t, home) for t in member.outputs), 0)

    def finish(self) -> int:
        """Send the network outputs home and return the latency."""
        arrivals_ns = [self.fetch(tensor, self.problem.home) for tensor in self.problem.outputs]
        return max((*self.device_ns, *arrivals_ns), default=0)


def peak_mw(busy: Iterable[Busy]) -> int:
    """Return the largest sum of powers at one instant; empty intervals do not count."""
    events = []
    for start_ns, end_ns, power_mw in busy:
        if end_ns > start_ns:
            events.append((start_ns, power_mw))
            events.append((end_ns, -power_mw))
    now_mw = top_mw = 0
    # At equal times ends (negative) sort before starts: intervals are half-open.
    for _, step_mw in sorted(events):
        now_mw += step_mw
        if now_mw > top_mw:
            top_mw = now_mw
    return top_mw


def busy_intervals(replay: Replay, choices: Sequence[Choice]) -> list[Busy]:
    """Return the intervals that a replay recorded; ``choices`` are those of its spans."""
    tasks = [
        (start_ns, end_ns, choice.power_mw)
        for (start_ns, end_ns), choice in zip(replay.spans, choices, strict=True)
    ]
    return tasks + [(row[4], row[5], row[3].power_mw) for row in replay.crossings]


def memory_use(
    problem: Problem, choices: Sequence[Choice]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return weights and use per memory domain."""
    weights = [0] * len(problem.memories)
    charged = [0] * len(problem.memories)
    for choice in choices:
        domain = problem.memory_of[choice.device]
        weights[domain] += choice.weight_bytes
        charged[domain] = problem.activation_bytes
    use = tuple(weight + extra for weight, extra in zip(weights, charged, strict=True))
    return tuple(weights), use


def chosen(problem: Problem, selection: Sequence[int]) -> list[Choice]:
    """Return the choices of a selection.

    Raises
    ------
    InputError
        If the selection has another length than the problem has tasks.
    """
    if len(selection) != len(problem.tasks):
        raise InputError(
            f"selection has {len(selection)} entries, the problem has {len(problem.tasks)} tasks; "
            "give one choice index per task"
        )
    return [task.choices[k] for task, k in zip(problem.tasks, selection, strict=True)]


def planned_changes(
    problem: Problem, choices: Sequence[Choice]
) -> dict[int, list[tuple[int, Domain, str, str]]]:
    """Return, per task before which points change: (domain index, domain, old point, new point).

    Raises
    ------
    PointsError
        If a domain would have to be at two points at once, or to switch and cannot.
    """
    if not problem.domains:
        return {}
    domain_of = {d: row for row, domain in enumerate(problem.domains) for d in domain.devices}
    current: dict[int, str] = {}
    changes: dict[int, list[tuple[int, Domain, str, str]]] = {}
    for module in split(problem):
        points: dict[int, str] = {}
        for index in range(module.first, module.last):
            choice = choices[index]
            row = domain_of.get(choice.device)
            if row is not None and points.setdefault(row, choice.point) != choice.point:
                raise PointsError(
                    f"domain {problem.domains[row].name!r} cannot be at {points[row]!r} and "
                    f"{choice.point!r} at once (task {problem.tasks[index].name!r})"
                )
        for row, point in sorted(points.items()):
            domain, old = problem.domains[row], current.get(row, point)
            if old != point and domain.switch_ns is None:
                raise PointsError(f"domain {domain.name!r} cannot switch from {old!r} to {point!r}")
            if old != point:
                changes.setdefault(module.first, []).append((row, domain, old, point))
        current |= points
    return changes


def loads(
    problem: Problem,
    choices: Sequence[Choice],
    crossings: Iterable[tuple[int, int, int, Hop, int, int]],
) -> tuple[int, ...]:
    """Return the work of devices, then links, in ns."""
    devices, links = [0] * len(problem.devices), [0] * len(problem.links)
    for choice in choices:
        devices[choice.device] += choice.latency_ns
    for row in crossings:
        links[row[3].link] += row[3].latency_ns
    return (*devices, *links)


def _change(
    replay: Replay, task: int, row: int, domain: Domain, origin: str, target: str
) -> Change:
    """Hold the platform while a domain changes its point."""
    hold_ns = domain.switch_ns or 0
    start_ns = replay.wait(hold_ns, domain.switch_pj)
    return Change(
        domain=row,
        task=task,
        origin=origin,
        target=target,
        start_ns=start_ns,
        end_ns=start_ns + hold_ns,
    )


def evaluate(problem: Problem, selection: Sequence[int]) -> Timeline:
    """Carry out a selection on paper.

    Parameters
    ----------
    selection
        Index into ``tasks[k].choices`` for every task k.

    Raises
    ------
    InputError
        If the selection has the wrong length.
    UnreachableError
        If a tensor cannot travel to where it is needed.
    PointsError
        If the points of a domain cannot be as selected.
    """
    choices = chosen(problem, selection)
    replay = Replay(problem)
    planned = planned_changes(problem, choices)
    changes: list[Change] = []
    for index, choice in enumerate(choices):
        changes += (_change(replay, index, *row) for row in planned.get(index, ()))
        replay.dispatch(index, choice)
    latency_ns = replay.finish()
    weights, use = memory_use(problem, choices)
    return Timeline(
        start_ns=tuple(start_ns for start_ns, _ in replay.spans),
        end_ns=tuple(end_ns for _, end_ns in replay.spans),
        crossings=tuple(
            Crossing(tensor=t, origin=o, target=d, hop=hop, start_ns=start_ns, end_ns=end_ns)
            for t, o, d, hop, start_ns, end_ns in replay.crossings
        ),
        latency_ns=latency_ns,
        energy_pj=replay.energy_pj,
        peak_power_mw=problem.idle_mw + peak_mw(busy_intervals(replay, choices)),
        weight_bytes=weights,
        memory_bytes=use,
        cost=replay.cost,
        loads_ns=loads(problem, choices, replay.crossings),
        accuracy_loss_ppm=sum(choice.accuracy_loss_ppm for choice in choices),
        finish_ns=tuple(replay.finish_ns),
        changes=tuple(changes),
    )
