"""Co-design: array, buffers, requantizers and clock of an FPGA's accelerator, with the placement.

Every configuration of `space` at every clock of the board is screened (`codesign_screen`). Those
on the screened front of latency, energy and area, spread over it where they are more than `PLACED`,
are costed by replayed cycles and placed by the exact solver, for least energy and for least
latency; they correct the screening of their arrays for a second round. What no other beats is the
result. So the figures of a point are those of any plan; that no point is missing is not proved.
Area is the model of `heterolith.hw.area`; that the array closes timing at a clock of the board is
assumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from heterolith import hw
from heterolith.boards import Device, Fabric, Platform
from heterolith.errors import InfeasibleError, InputError
from heterolith.hw.area import Area, area, family
from heterolith.metrics.design import build_power_w, offer
from heterolith.scheduler.build import Request, build_problem
from heterolith.scheduler.codesign_screen import Floats, Pool, front_of, pool, screen, spread
from heterolith.scheduler.explain import explain_infeasible
from heterolith.scheduler.objective import value
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.solve import solve
from heterolith.scheduler.timeline import evaluate
from heterolith.sw.network import Network

Progress = Callable[[str, int, int], None]
"""Called with what is done, steps done, steps in all."""

PLACED = 10
"""Builds that are replayed and placed exactly, in each round."""
ROUNDS = 2
"""After a round, what it found corrects the screening of builds of the same array."""
LUT_FILL = 0.85
"""Share of the LUTs that a build may take; the rest is left to routing and the bus."""
MOST_PE = 64
"""Most processing elements that are tried."""
ACTIVATION_WORDS = (2048, 4096, 8192)
"""Depths of the activation buffer that are tried."""
WEIGHT_AND_SUM_WORDS = ((512, 512), (1024, 512), (2048, 1024))
"""Depths of weight and accumulator buffers that are tried together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One network, its deadline (None: none) and its weight in the sum of energies."""

    network: Network
    deadline_ns: int | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The plan of one network: figures, number of layers on each device, device of each layer.

    ``energy_pj`` has idle over the deadline, or over the latency where there is none.
    """

    network: str
    latency_ns: int
    energy_pj: int
    gap: float
    layers: tuple[tuple[str, int], ...]
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A configuration to build, and its plans.

    Attributes
    ----------
    share
        Of the part, by its scarcest resource.
    latency_ns
        The longest of the networks'.
    energy_pj
        Weighted sum of the networks'.
    objective
        What the plans make least: ``energy`` or ``latency``.
    """

    config: hw.ArrayConfig
    area: Area
    share: float
    latency_ns: int
    energy_pj: float
    objective: str
    served: tuple[Served, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The front by latency; how many configurations were screened, and placed exactly.

    ``screen_errors`` has, per configuration placed, screened over exact least latency, less one.
    """

    points: tuple[Point, ...]
    screened: int
    placed: int
    screen_errors: tuple[float, ...]


def space(fabric: Fabric) -> Iterator[hw.ArrayConfig]:
    """Yield the configurations that a part holds: LUTs up to `LUT_FILL`, the rest in full."""
    target = family(fabric)
    for lanes, pixels, activation, (weight, sums) in product(
        (8, 16), (2, 4), ACTIVATION_WORDS, WEIGHT_AND_SUM_WORDS
    ):
        counts = [count for count in (2, 4, 8, 16) if count <= lanes]
        for n_pe, requantizers in product(range(lanes, MOST_PE + 1, lanes), counts):
            config = hw.ArrayConfig(
                name=f"pe{n_pe}-px{pixels}-l{lanes}-q{requantizers}-a{activation}-w{weight}-s{sums}",
                n_pe=n_pe,
                pixels=pixels,
                lanes=lanes,
                requantizers=requantizers,
                activation_buffer_bytes=activation * pixels * lanes,
                weight_buffer_bytes=weight * n_pe * lanes,
                accumulator_buffer_bytes=sums * n_pe * pixels * 4,
                axi_data_bits=8 * lanes,
            )
            shares = area(config, target).shares(fabric)
            if shares["lut"] <= LUT_FILL and max(shares.values()) <= 1:
                yield config


def fpga_of(platform: Platform) -> Device:
    """Return the FPGA to build in; raises `InputError` unless there is exactly one."""
    found = [device for device in platform.devices if device.fabric is not None]
    if len(found) != 1:
        raise InputError(
            f"{platform.name} has {len(found)} FPGAs; co-design needs exactly one, e.g. ultra96-v2"
        )
    return found[0]


class _Search:
    """What one run of `codesign` shares between its stages."""

    def __init__(
        self, goals: Sequence[Goal], platform: Platform, power_mw: int | None, progress: Progress
    ) -> None:
        self.goals, self.progress = goals, progress
        self.device, self.power_mw = fpga_of(platform), power_mw
        self.clocks = self.device.clocks_mhz or (self.device.mhz,)
        assert self.device.fabric is not None
        self.fabric, self.family = self.device.fabric, family(self.device.fabric)
        self.offers = [offer(goal.network, platform, self.device) for goal in goals]
        self.pools: list[Pool] = [pool(made) for made in self.offers]

    def limits(self, goal: Goal) -> Limits:
        """Return what a network's plan must keep."""
        return Limits(deadline_ns=goal.deadline_ns, average_power_mw=self.power_mw)

    def screen(self, configs: Sequence[hw.ArrayConfig]) -> tuple[Floats, Floats]:
        """Return least latencies, ns, (networks, builds), and weighted energies, pJ, (builds,).

        Builds are configurations times clocks, clocks varying fastest.
        """
        rows: list[list[Floats]] = [[] for _ in self.goals]
        watts = []
        for number, config in enumerate(configs):
            self.progress("screening", number, len(configs))
            watts += [build_power_w(config, self.device, mhz) for mhz in self.clocks]
            for made, mine in zip(self.offers, rows, strict=True):
                mine.append(made.screened_ns(config, self.clocks))
        found = [
            screen(made, tried, (np.concatenate(mine), np.array(watts)), self.limits(goal))
            for goal, made, tried, mine in zip(
                self.goals, self.offers, self.pools, rows, strict=True
            )
        ]
        energy = np.sum([g.weight * f.energy_pj for g, f in zip(self.goals, found, strict=True)], 0)
        return np.stack([one.latency_ns for one in found]), energy

    def problems(self, config: hw.ArrayConfig) -> list[Problem]:
        """Return the placement problem of each network on a configuration."""
        return [
            build_problem(
                goal.network, made.build(config), made.platform, Request(limits=self.limits(goal))
            )
            for goal, made in zip(self.goals, self.offers, strict=True)
        ]

    def points(self, config: hw.ArrayConfig) -> list[Point]:
        """Return a build with its plans of least energy and of least latency, where it has any."""
        problems = self.problems(config)
        found = (self._point(config, problems, aim) for aim in ("energy", "latency"))
        return [point for point in found if point is not None]

    def _point(
        self, config: hw.ArrayConfig, problems: Sequence[Problem], objective: str
    ) -> Point | None:
        """Return a configuration with its best plans, None if one keeps no limits."""
        served = []
        for problem in problems:
            plan = _served(problem, objective)
            if plan is None:
                return None
            served.append(plan)
        used = area(config, self.family)
        return Point(
            config=config,
            area=used,
            share=max(used.shares(self.fabric).values()),
            latency_ns=max(plan.latency_ns for plan in served),
            energy_pj=sum(g.weight * p.energy_pj for g, p in zip(self.goals, served, strict=True)),
            objective=objective,
            served=tuple(served),
        )


def _served(problem: Problem, objective: str) -> Served | None:
    solution = solve(replace(problem, objective=objective))
    if solution is None:
        return None
    timeline = evaluate(problem, solution.selection)
    devices = tuple(
        problem.devices[task.choices[pick].device]
        for task, pick in zip(problem.tasks, solution.selection, strict=True)
    )
    return Served(
        network=problem.name,
        latency_ns=timeline.latency_ns,
        energy_pj=int(value(replace(problem, objective="energy"), timeline)),
        gap=solution.gap,
        layers=tuple((name, devices.count(name)) for name in problem.devices),
        devices=devices,
    )


def codesign(
    goals: Sequence[Goal],
    platform: Platform,
    *,
    power_mw: int | None = None,
    progress: Progress = lambda stage, done, every: None,
) -> Design:
    """Return the front (latency, energy, share of the part) over accelerators and placements.

    Several networks use the accelerator one at a time; each keeps its own deadline.

    Parameters
    ----------
    power_mw
        Bound on the average power of each network's plan, idle included.

    Raises
    ------
    InputError
        If the platform has not exactly one FPGA, or it computes no layer of some network.
    InfeasibleError
        If no configuration fits the part, or none that was placed keeps the limits; the message
        names the nearest value.
    """
    search = _Search(goals, platform, power_mw, progress)
    configs = list(space(search.fabric))
    if not configs:
        raise InfeasibleError(
            f"no configuration fits {search.fabric.part}: the smallest leaves no LUTs below "
            f"{LUT_FILL:.0%}; use a larger part"
        )
    builds = [replace(c, clock_mhz=mhz) for c in configs for mhz in search.clocks]
    latencies, energies = search.screen(configs)
    placed: dict[int, list[Point]] = {}
    corrected = latencies, energies
    for _ in range(ROUNDS):
        for row in _chosen(search, configs, *corrected):
            if row not in placed:
                progress("placing", len(placed), ROUNDS * PLACED)
                placed[row] = search.points(builds[row])
        corrected = _corrected(builds, placed, latencies, energies)
    points = [point for found in placed.values() for point in found]
    if not points:
        raise InfeasibleError(_nearest(search, [builds[row] for row in placed]))
    figures = np.array([[p.latency_ns, p.energy_pj, p.share] for p in points], np.float64)
    return Design(
        points=tuple(sorted((points[k] for k in front_of(figures)), key=lambda p: p.latency_ns)),
        screened=len(builds),
        placed=len(placed),
        screen_errors=tuple(
            float(latencies[:, row].max() / min(p.latency_ns for p in found) - 1)
            for row, found in placed.items()
            if found
        ),
    )


def _corrected(
    builds: Sequence[hw.ArrayConfig],
    placed: Mapping[int, Sequence[Point]],
    latencies: Floats,
    energies: Floats,
) -> tuple[Floats, Floats]:
    """Return screened figures times exact over screened ones of builds of the same array."""
    arrays = [(build.n_pe, build.pixels, build.lanes) for build in builds]
    slower, costlier = np.ones(len(builds)), np.ones(len(builds))
    for array in {arrays[row] for row, found in placed.items() if found}:
        rows = [row for row, found in placed.items() if found and arrays[row] == array]
        times = [min(p.latency_ns for p in placed[r]) / latencies[:, r].max() for r in rows]
        known = [row for row in rows if np.isfinite(energies[row])]
        costs = [min(p.energy_pj for p in placed[r]) / energies[r] for r in known]
        same = np.array([other == array for other in arrays])
        slower[same] = np.median(times)
        if costs:
            costlier[same] = np.median(costs)
    return latencies * slower, energies * costlier


def _chosen(
    search: _Search, configs: Sequence[hw.ArrayConfig], latencies: Floats, energies: Floats
) -> list[int]:
    """Return the builds to place; the first is the fastest for its deadlines, by the screening.

    Where the screening finds none that keeps the limits, the fastest few decide.
    """
    bounds = np.array([[goal.deadline_ns or 1] for goal in search.goals])
    fastest = (latencies / bounds).max(axis=0).argsort(kind="stable")
    used = [max(area(c, search.family).shares(search.fabric).values()) for c in configs]
    shares = np.repeat(used, len(search.clocks))
    kept = np.flatnonzero(np.isfinite(energies))
    if not len(kept):
        return [int(row) for row in fastest[:PLACED]]
    criteria = np.stack([latencies.max(axis=0), energies, shares], axis=1)[kept]
    best = kept[spread(criteria, PLACED - 1)].tolist()
    return list(dict.fromkeys([int(fastest[0]), *best]))


def _nearest(search: _Search, configs: Sequence[hw.ArrayConfig]) -> str:
    """Return which limits the fastest of some configurations does not keep, and what is nearest."""

    def urgency(config: hw.ArrayConfig) -> float:
        worst = 0.0
        for goal, problem in zip(search.goals, search.problems(config), strict=True):
            plan = _served(replace(problem, limits=Limits()), "latency")
            late = math.inf if plan is None else plan.latency_ns / (goal.deadline_ns or 1)
            worst = max(worst, late)
        return worst

    config = min(configs, key=urgency)
    for problem in search.problems(config):
        if solve(problem) is None:
            why = explain_infeasible(problem).message
            return f"no configuration keeps the limits; on {config.name}, the fastest placed: {why}"
    return f"no configuration keeps the limits of {len(search.goals)} networks together"
