"""A placement problem as a mixed-integer linear program.

Two strengths. The *relaxation* has the choices, the transfers they cause, what each device and link
has to do in all, and the longest path: a lower bound for any order of dispatch. The *exact* program
adds the order of dispatch on devices and links, so that its optimum is that of the problem; a
peak-power limit between concurrent items, and domains that switch, are not in it.

Transfers are flows (from where a tensor is made to where it is read), which makes the linear
relaxation of a chain integral.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heterolith.errors import InputError
from heterolith.scheduler.model import LARGEST, Model, Route, build_model, in_units
from heterolith.scheduler.problem import HOME, Member, Problem
from heterolith.scheduler.solvers.linear import Offers, Program, combine, picked
from heterolith.scheduler.solvers.windows import Item, enclose, resources


@dataclass(frozen=True, slots=True)
class _Offer:
    """A choice that is kept: its variable and figures."""

    index: int
    variable: int
    device: int
    latency_ns: int
    amounts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Formulation:
    """A program and how to read it.

    Attributes
    ----------
    offers
        What stands for which choice.
    model
        The integers that the goal counts in.
    latency
        The variable of the latency.
    moves
        (tensor, origin, target) -> the variable of the transfer.
    loads
        What each device and link may have to do; nothing where times do not matter.
    """

    program: Program
    offers: Offers
    model: Model
    latency: int
    moves: dict[tuple[int, int, int], int]
    loads: list[list[Item]]

    def in_units(self, bound: float) -> int | float:
        """Turn a bound of the goal into the objective's unit."""
        return in_units(self.model, bound)

    def selection(self, values: Sequence[float]) -> tuple[int, ...]:
        """Return the choice per task of a solution."""
        return picked(self.offers, values)


def formulate(problem: Problem, *, exact: bool = False) -> Formulation | None:
    """Return the program of a problem, or None if a task has no choice within the limits.

    Raises
    ------
    InputError
        If the problem has what an ``exact`` program cannot hold.
    """
    model = build_model(problem, concurrent=False)
    if exact and (model.changes is not None or problem.members):
        raise InputError("the exact program has one network and no domain that switches")
    if exact and problem.limits.peak_power_mw is not None:
        raise InputError("the exact program has no peak-power limit")
    if not all(model.options):
        return None
    return _Writer(model, exact=exact).write()


def relax(model: Model) -> Formulation:
    """Return the relaxation of a model all of whose tasks have a choice."""
    return _Writer(model, exact=False).write()


_Served = tuple[
    list[int | None], dict[tuple[int, int], list[tuple[int, int]]], dict[tuple[int, int], int]
]
"""When devices and links are free; where tensors are; when they arrived there."""


def _route_ns(route: Route) -> int:
    return sum(leg.latency_ns for leg in route)


class _Writer:
    """Writes one program."""

    def __init__(self, model: Model, *, exact: bool) -> None:
        self.model, self.problem, self.exact = model, model.problem, exact
        self.program = Program()
        self.count = len(self.problem.devices)
        self.horizon_ns = self._horizon_ns()
        self.timed = any(form[0] for form in model.forms.tolist())
        self.tasks = [self._offers(index) for index in range(len(self.problem.tasks))]
        # The end of the last task or transfer, and of each task.
        self.latency = self.program.variable(self.horizon_ns)
        self.ends = [self.program.variable(self.horizon_ns) for _ in self.problem.tasks]
        # Moves (tensor, origin, target) -> variable.
        self.moves: dict[tuple[int, int, int], int] = {}
        self.loads: list[list[Item]] = []

    def write(self) -> Formulation:
        program = self.program
        self._points()
        for offers in self.tasks:
            program.equal({offer.variable: 1 for offer in offers}, 1)
        for index, task in enumerate(self.problem.tasks):
            program.at_least({self.latency: 1, self.ends[index]: -1})
            for tensor in dict.fromkeys(task.inputs):
                self._read(tensor, index)
            if not task.inputs:
                self._starts_after({}, index)
        for tensor in dict.fromkeys(self.problem.outputs):
            self._read(tensor, None)
        self._loads()
        self._criteria()
        if self.exact and self.timed:
            self._order()
        kept = tuple(tuple((o.variable, o.index) for o in row) for row in self.tasks)
        return Formulation(program, kept, self.model, self.latency, self.moves, self.loads)

    def _horizon_ns(self) -> int:
        slowest = (max(int(o.latency_ns.max()) for o in row) for row in self.model.options)
        routes = (
            max((_route_ns(r) for r in ways.values()), default=0) * self.count
            for ways in self.model.routes
        )
        return sum(slowest) + sum(routes) + 1

    def _offers(self, index: int) -> list[_Offer]:
        found: dict[int, _Offer] = {}
        for option in self.model.options[index]:
            for mode in option.there.nonzero()[0].tolist():
                choice = int(option.index[mode])
                if choice not in found:
                    found[choice] = _Offer(
                        choice,
                        self.program.binary(),
                        option.device,
                        int(option.latency_ns[mode]),
                        tuple(option.amounts[:, mode].tolist()),
                    )
        return list(found.values())

    def _points(self) -> None:
        """Let every domain that cannot switch choose one point."""
        for row, domain in enumerate(self.problem.domains):
            if domain.switch_ns is not None:
                continue
            names = dict.fromkeys(mode[row] for mode in self.model.modes)
            chosen = {name: self.program.binary() for name in names}
            self.program.equal(dict.fromkeys(chosen.values(), 1), 1)
            for task, offers in zip(self.problem.tasks, self.tasks, strict=True):
                for name, variable in chosen.items():
                    here = [
                        (offer.variable, -1)
                        for offer in offers
                        if offer.device in domain.devices
                        and task.choices[offer.index].point == name
                    ]
                    if here:
                        self.program.at_least(combine([(variable, 1), *here]))

    def _at(self, task: int, device: int) -> list[tuple[int, int]]:
        """Return the terms that add up to 1 if a task is on a device."""
        return [(offer.variable, 1) for offer in self.tasks[task] if offer.device == device]

    def _places(self, task: int | None) -> list[int]:
        if task is None:
            return [self.problem.home]
        return sorted({offer.device for offer in self.tasks[task]})

    def _read(self, tensor: int, reader: int | None) -> None:
        """Have a tensor where a task, or the outside (None), reads it."""
        producer = self.problem.tensors[tensor].producer
        maker = None if producer == HOME else producer
        flows: dict[tuple[int, int], int] = {}
        for origin in self._places(maker):
            for target in self._places(reader):
                if origin == target or (origin, target) in self.model.routes[tensor]:
                    flows[origin, target] = self.program.variable(1)
        for task, side in ((maker, 0), (reader, 1)):
            for device in self._places(task):
                out = [(v, 1) for ends, v in flows.items() if ends[side] == device]
                if task is None:
                    self.program.equal(combine(out), 1)
                else:
                    here = [(v, -1) for v, _ in self._at(task, device)]
                    self.program.equal(combine([*out, *here]))
        delays: list[tuple[int, int]] = []
        for (origin, target), flow in flows.items():
            if origin != target:
                move = self._move(tensor, origin, target)
                self.program.at_least({move: 1, flow: -1})
                way_ns = _route_ns(self.model.routes[tensor][origin, target])
                delays.append((flow, -way_ns))
        if maker is not None:
            delays.append((self.ends[maker], -1))
        if reader is None:
            self.program.at_least(combine([(self.latency, 1), *delays]))
        else:
            self._starts_after(combine(delays), reader)

    def _starts_after(self, terms: dict[int, int], task: int) -> None:
        """Demand that a task ends at least its latency after what (negated) terms add up to."""
        own = [(offer.variable, -offer.latency_ns) for offer in self.tasks[task]]
        self.program.at_least(combine([(self.ends[task], 1), *terms.items(), *own]))

    def _move(self, tensor: int, origin: int, target: int) -> int:
        key = (tensor, origin, target)
        if key not in self.moves:
            self.moves[key] = self.program.binary() if self.exact else self.program.variable(1)
        return self.moves[key]

    def _loads(self) -> None:
        """Bound the latency by what each device and each link has to do, and when it can."""
        if not self.timed:
            return
        offered = [[(o.variable, o.device, o.latency_ns) for o in row] for row in self.tasks]
        self.loads = resources(self.model, offered, self.moves)
        for items in self.loads:
            enclose(self.program, self.latency, items)

    def _amounts(self) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Yield every variable that costs something, with its amounts."""
        for row in self.tasks:
            for offer in row:
                yield offer.variable, offer.amounts
        for (tensor, origin, target), variable in self.moves.items():
            for leg in self.model.routes[tensor][origin, target]:
                yield variable, leg.amounts

    def _criteria(self) -> None:
        amounts = list(self._amounts())
        highest = LARGEST
        self.program.goal = goal = self.program.variable(highest)
        rows = zip(self.model.forms.tolist(), self.model.limits, self.model.scales, strict=True)
        for form, limit, scale in rows:
            terms = combine(
                (variable, form[1 + quantity] * amount)
                for variable, row in amounts
                for quantity, amount in enumerate(row)
                if form[1 + quantity] and amount
            )
            if form[0]:
                terms[self.latency] = form[0]
            if scale:
                self.program.at_least({goal: scale, **{v: -c for v, c in terms.items()}})
            if limit < LARGEST:
                self.program.at_most(terms, limit)
        for member in self.problem.members:
            if member.deadline_ns is not None:
                self._member(member, member.deadline_ns)

    def _member(self, member: Member, deadline_ns: int) -> None:
        """Keep the deadline of one of several networks."""
        for task in member.tasks:
            self.program.at_most({self.ends[task]: 1}, deadline_ns)
        for tensor in member.outputs:
            maker = self.problem.tensors[tensor].producer
            if maker == HOME:
                continue
            delays = [
                (variable, _route_ns(self.model.routes[tensor][origin, target]))
                for (moved, origin, target), variable in self.moves.items()
                if moved == tensor and target == self.problem.home
            ]
            self.program.at_most(combine([(self.ends[maker], 1), *delays]), deadline_ns)

    def _order(self) -> None:
        """Serve devices and links in dispatch order."""
        free: list[int | None] = [None] * (self.count + len(self.problem.links))
        there: dict[tuple[int, int], list[tuple[int, int]]] = {}
        arrival: dict[tuple[int, int], int] = {}
        steps: list[int | None] = [*range(len(self.tasks)), None]
        for task in steps:
            inputs = self.problem.outputs if task is None else self.problem.tasks[task].inputs
            for tensor in dict.fromkeys(inputs):
                for target in self._places(task):
                    self._fetch(tensor, target, task, (free, there, arrival))
            if task is not None:
                self._serve(task, free, arrival)

    def _serve(
        self, task: int, free: list[int | None], arrival: dict[tuple[int, int], int]
    ) -> None:
        for offer in self.tasks[task]:
            start = {self.ends[task]: 1}
            before = free[offer.device]
            if before is not None:
                terms = combine([*start.items(), (before, -1)])
                self.program.implies(offer.variable, terms, offer.latency_ns)
            for tensor in dict.fromkeys(self.problem.tasks[task].inputs):
                if (tensor, offer.device) in arrival:
                    ready = arrival[tensor, offer.device]
                    terms = combine([*start.items(), (ready, -1)])
                    self.program.implies(offer.variable, terms, offer.latency_ns)
        for device in self._places(task):
            after = self._next(free, device)
            for variable, _ in self._at(task, device):
                self.program.implies(variable, {after: 1, self.ends[task]: -1})

    def _next(self, free: list[int | None], row: int) -> int:
        """Replace the time at which a device or link is free by a later one."""
        before, after = free[row], self.program.variable(self.horizon_ns)
        if before is not None:
            self.program.at_least({after: 1, before: -1})
        free[row] = after
        return after

    def _fetch(self, tensor: int, target: int, reader: int | None, state: _Served) -> None:
        """Send a tensor where its reader is, if it is there and the tensor is not yet."""
        free, there, arrival = state
        producer = self.problem.tensors[tensor].producer
        maker = None if producer == HOME else producer
        key = (tensor, target)
        if key not in there:
            made_here = [] if maker is None else self._at(maker, target)
            if maker is None and target == self.problem.home:
                return
            there[key] = made_here
        here = None if reader is None else self._at(reader, target)
        now = self.program.binary()  # the tensor is at the target afterwards
        sent = self.program.binary()
        self.program.equal(combine([(now, 1), (sent, -1), *((v, -c) for v, c in there[key])]))
        if here is None:
            self.program.equal({now: 1}, 1)
        else:
            self.program.at_least(combine([(now, 1), *((v, -c) for v, c in here)]))
            self.program.at_least(combine([*here, (sent, -1)]))
        there[key] = [(now, 1)]
        ready = arrival.get(key)
        if ready is None:
            ready = arrival[key] = self.program.variable(self.horizon_ns)
        origins = [
            o for o in self._places(maker) if o != target and (tensor, o, target) in self.moves
        ]
        legs: dict[int, int] = {}
        for origin in origins:
            legs[origin] = self.program.binary()
            self.program.at_most({legs[origin]: 1, self.moves[tensor, origin, target]: -1}, 0)
            if maker is not None:
                made = self._at(maker, origin)
                self.program.at_least(combine([*made, (legs[origin], -1)]))
        self.program.equal(combine([*((v, 1) for v in legs.values()), (sent, -1)]))
        self._cross(tensor, target, maker, (free, legs, ready, reader))

    def _cross(
        self,
        tensor: int,
        target: int,
        maker: int | None,
        state: tuple[list[int | None], dict[int, int], int, int | None],
    ) -> None:
        """Cross the links of whichever route is taken, one after another."""
        free, legs, ready, reader = state
        taken: list[tuple[int, int, int]] = []
        for origin, active in legs.items():
            previous = None if maker is None else self.ends[maker]
            for leg in self.model.routes[tensor][origin, target]:
                end = self.program.variable(self.horizon_ns)
                row = self.count + leg.link
                if previous is not None:
                    self.program.implies(active, {end: 1, previous: -1}, leg.latency_ns)
                else:
                    self.program.implies(active, {end: 1}, leg.latency_ns)
                before = free[row]
                if before is not None:
                    self.program.implies(active, {end: 1, before: -1}, leg.latency_ns)
                taken.append((row, active, end))
                previous = end
            if previous is not None:
                self.program.implies(active, {ready: 1, previous: -1})
        for row in sorted({row for row, _, _ in taken}):
            after = self._next(free, row)
            for other, active, end in taken:
                if other == row:
                    self.program.implies(active, {after: 1, end: -1})
        if reader is None:
            self.program.at_least({self.latency: 1, ready: -1})
