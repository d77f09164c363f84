"""Choices and hops as integers, per operating point of the platform; what cannot win is dropped."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from heterolith.errors import InputError
from heterolith.scheduler.criteria import weight_limits
from heterolith.scheduler.integers import LARGEST, MOST_MODES, Bools, Ints
from heterolith.scheduler.problem import Choice, Domain, Hop, Problem


@dataclass(frozen=True, slots=True)
class Option:
    """Kept choices of a task on one device, one per mode: index in the task, and figures.

    Arrays have shape (modes,), ``amounts`` (quantities, modes); where ``there`` is false the mode
    has no such choice and the figures mean nothing.
    """

    device: int
    there: Bools
    index: Ints
    latency_ns: Ints
    power_mw: Ints
    amounts: Ints


@dataclass(frozen=True, slots=True)
class Leg:
    """One hop of a route with its figures."""

    link: int
    latency_ns: int
    power_mw: int
    amounts: tuple[int, ...]


Route = tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class _Figures:
    """A choice as integers, for one mode."""

    index: int
    latency_ns: int
    power_mw: int
    amounts: tuple[int, ...]


class Converter:
    """Turns choices and hops into amounts, and drops what no feasible plan can use."""

    def __init__(self, problem: Problem, names: list[str], cost_step: float, timed: bool) -> None:
        self.problem, self.names, self.cost_step, self.timed = problem, names, cost_step, timed
        peak_mw = problem.limits.peak_power_mw
        self.slack_mw = LARGEST if peak_mw is None else peak_mw - problem.idle_mw
        self.rooms = weight_limits(problem)
        watched = peak_mw is not None
        points = [_points(problem, domain, watched) for domain in problem.domains]
        if math.prod(map(len, points)) > MOST_MODES:
            raise InputError(
                f"the domains of {problem.name!r} have {math.prod(map(len, points))} operating "
                f"points together, the bound is {MOST_MODES}; offer fewer points per domain"
            )
        self.modes = tuple(product(*points))
        self.domain_of = {
            d: row for row, domain in enumerate(problem.domains) for d in domain.devices
        }

    def amounts(self, item: Choice | Hop) -> tuple[int, ...]:
        """Return what an item adds to each quantity."""
        serving, domain = self._places(item)
        row = []
        for name in self.names:
            kind, _, number = name.partition(" ")
            if name == "energy":
                row.append(item.energy_pj)
            elif name == "cost":
                row.append(round(item.cost / self.cost_step))
            elif kind == "load":
                row.append(item.latency_ns if int(number) == serving else 0)
            elif not isinstance(item, Choice):
                row.append(0)
            elif name == "loss":
                row.append(item.accuracy_loss_ppm)
            else:
                row.append(item.weight_bytes if int(number) == domain else 0)
        return tuple(row)

    def _places(self, item: Choice | Hop) -> tuple[int, int]:
        """Return what serves an item (devices, then links) and the memory it loads (or -1)."""
        if isinstance(item, Choice):
            return item.device, self.problem.memory_of[item.device]
        return len(self.problem.devices) + item.link, -1

    def options(self, choices: tuple[Choice, ...], concurrent: bool) -> tuple[Option, ...]:
        """Return the kept choices, in order of device."""
        found: dict[tuple[int, str], list[_Figures]] = {}
        for index, choice in enumerate(choices):
            room = self.rooms[self.problem.memory_of[choice.device]]
            if choice.power_mw > self.slack_mw or choice.weight_bytes > room:
                continue
            option = _Figures(
                index=index,
                latency_ns=choice.latency_ns if self.timed else 0,
                power_mw=choice.power_mw,
                amounts=self.amounts(choice),
            )
            key = (choice.device, choice.point if choice.device in self.domain_of else "")
            kept = found.get(key, [])
            if not any(_covers(other, option, concurrent) for other in kept):
                found[key] = [o for o in kept if not _covers(option, o, concurrent)] + [option]
        by_device: dict[int, dict[str, list[_Figures]]] = {}
        for (device, point), kept in found.items():
            by_device.setdefault(device, {})[point] = kept
        return tuple(
            option for device, rows in by_device.items() for option in self._merged(device, rows)
        )

    def _merged(self, device: int, by_point: dict[str, list[_Figures]]) -> Iterator[Option]:
        """Yield options that hold, for every mode, one of a device's kept choices there."""
        row = self.domain_of.get(device)
        points = ["" if row is None else mode[row] for mode in self.modes]
        nothing = _Figures(-1, 0, 0, (0,) * len(self.names))
        for slot in range(max(map(len, by_point.values()))):
            chosen = {p: kept[slot] for p, kept in by_point.items() if slot < len(kept)}
            rows = [chosen.get(point, nothing) for point in points]
            yield Option(
                device=device,
                there=np.array([figures.index >= 0 for figures in rows]),
                index=np.array([figures.index for figures in rows], np.int64),
                latency_ns=np.array([figures.latency_ns for figures in rows], np.int64),
                power_mw=np.array([figures.power_mw for figures in rows], np.int64),
                amounts=np.array([figures.amounts for figures in rows], np.int64)
                .reshape(len(rows), len(self.names))
                .T.copy(),
            )

    def changes(self) -> Ints | None:
        """Return what changing between two modes takes; see `Model.changes`."""
        if all(domain.switch_ns is None for domain in self.problem.domains):
            return None
        count = len(self.modes)
        table = np.zeros((1 + len(self.names), count, count), np.int64)
        for row, domain in enumerate(self.problem.domains):
            points = np.array([mode[row] for mode in self.modes])
            differ = points[:, None] != points
            if domain.switch_ns is None:
                table[0][differ] = LARGEST
                continue
            table[0][differ] += domain.switch_ns if self.timed else 0
            if "energy" in self.names:
                table[1 + self.names.index("energy")][differ] += domain.switch_pj
        table[0][table[0] >= LARGEST] = LARGEST
        return table

    def routes(
        self, routes: Mapping[tuple[int, int], tuple[Hop, ...]]
    ) -> dict[tuple[int, int], Route]:
        """Return the routes that keep the peak-power limit by themselves."""
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


def _points(problem: Problem, domain: Domain, watched: bool) -> tuple[str, ...]:
    """Return the points of a domain that can be in a best plan, in order of first appearance.

    A point is left out if another one is nowhere worse for any task: its plans are never better.
    Under a peak-power limit (``watched``) all are kept, since faster ones draw more.
    """
    devices = set(domain.devices)
    offers: dict[str, dict[tuple[int, int, str], Choice]] = {}
    for index, task in enumerate(problem.tasks):
        for choice in task.choices:
            if choice.device in devices:
                key = (index, choice.device, choice.variant)
                offer = offers.setdefault(choice.point, {})
                if key in offer:
                    watched = True  # several choices of one kind: not compared
                offer[key] = choice
    points = list(offers)
    for point in tuple(points):
        others = (other for other in points if other != point)
        if not watched and any(_beats(offers[other], offers[point]) for other in others):
            points.remove(point)
    return tuple(points) or ("",)


def _beats(
    offer: dict[tuple[int, int, str], Choice], other: dict[tuple[int, int, str], Choice]
) -> bool:
    """Whether every choice of another point is there as well and nowhere better."""

    def figures(choice: Choice) -> tuple[float, ...]:
        loss = choice.accuracy_loss_ppm
        return (choice.latency_ns, choice.energy_pj, choice.weight_bytes, choice.cost, loss)

    return all(
        key in offer
        and all(a <= b for a, b in zip(figures(offer[key]), figures(choice), strict=True))
        for key, choice in other.items()
    )


def _covers(a: _Figures, b: _Figures, concurrent: bool) -> bool:
    """Whether a is never worse than b; where power adds up, a shorter run may overlap more."""
    if any(x > y for x, y in zip(a.amounts, b.amounts, strict=True)):
        return False
    if concurrent:
        return a.latency_ns == b.latency_ns and a.power_mw <= b.power_mw
    return a.latency_ns <= b.latency_ns
