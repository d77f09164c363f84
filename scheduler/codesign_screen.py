"""Screening of many accelerators for one network: fast, and wrong by what it leaves out.

Cycles are the tiler's closed form, corrected per layer by the board's own build. Placements come
from a pool: the exact latency-energy fronts of accelerators of several speeds. What a placement
takes beside its FPGA layers is kept as a constant, so that one matrix product costs every
placement on every accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heterolith.metrics.design import Offer
from heterolith.scheduler.build import Request, build_problem
from heterolith.scheduler.front import front
from heterolith.scheduler.problem import Limits

Floats = npt.NDArray[np.float64]

SPEEDS = (1.0, 0.5, 2.0, 0.25, 4.0)
"""Latencies, as parts of the board's own accelerator's, that give the pool its placements.

A placement that several give keeps the constants of the first."""
PLACEMENTS = 200
"""Most placements that one front gives."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Placements of one network.

    ``on`` is 1 where a row of the offer is on the FPGA, shape (rows, placements); ``latency_ns``
    and ``energy_pj`` are what all else takes, shape (placements,).
    """

    on: Floats
    latency_ns: Floats
    energy_pj: Floats


def pool(made: Offer) -> Pool:
    """Return the placements to try for a network.

    Raises
    ------
    InfeasibleError
        If the network has no placement at all.
    """
    latencies = np.array([row.latency_ns for row in made.rows])
    watts = made.device.active_w
    names = [row.layer for row in made.rows]
    on, rest_ns, rest_pj = [], [], []
    for speed in SPEEDS:
        scaled = np.round(latencies * speed).astype(np.int64)
        profile = made.with_latencies(scaled.tolist(), watts)
        problem = build_problem(made.network, profile, made.platform, Request(limits=Limits()))
        found = front(problem)
        tasks = [task.name for task in problem.tasks]
        number = problem.devices.index(made.device.name)
        devices = [np.array([c.device for c in task.choices]) for task in problem.tasks]
        points = np.unique(np.linspace(0, len(found) - 1, PLACEMENTS).round().astype(int))
        there = np.stack([devices[t][found.picks[t, points]] == number for t in range(len(tasks))])
        mask = there[[tasks.index(name) for name in names]].astype(np.float64)
        on.append(mask)
        rest_ns.append(found.latency_ns[points] - scaled @ mask)
        rest_pj.append(found.energy_pj[points] - watts * 1e3 * (scaled @ mask))
    placements, first = np.unique(np.concatenate(on, axis=1), axis=1, return_index=True)
    return Pool(placements, np.concatenate(rest_ns)[first], np.concatenate(rest_pj)[first])


@dataclass(frozen=True, slots=True)
class Screened:
    """Least latency of each accelerator, and least energy within the limits, shape (builds,).

    Infinite where no placement of the pool can be carried out, or keeps the limits.
    """

    latency_ns: Floats
    energy_pj: Floats


def screen(made: Offer, tried: Pool, builds: tuple[Floats, Floats], limits: Limits) -> Screened:
    """Screen accelerators for one network.

    Parameters
    ----------
    builds
        Latencies of the offer's rows, ns, shape (builds, rows), and dynamic powers, W, (builds,).
    limits
        Deadline and average power; without a deadline idling meets the latter.
    """
    rows_ns, watts = builds
    unfit = np.isinf(rows_ns)
    busy_ns = np.where(unfit, 0.0, rows_ns) @ tried.on
    latency_ns = tried.latency_ns + busy_ns
    latency_ns[unfit.astype(np.float64) @ tried.on > 0] = np.inf
    deadline_ns, cap_mw = limits.deadline_ns, limits.average_power_mw
    window_ns = latency_ns if deadline_ns is None else float(deadline_ns)
    energy_pj = made.platform.idle_w * 1e3 * window_ns + tried.energy_pj
    energy_pj = energy_pj + watts[:, None] * 1e3 * busy_ns
    if deadline_ns is not None:
        energy_pj[latency_ns > deadline_ns] = np.inf
        if cap_mw is not None:
            energy_pj[energy_pj > cap_mw * deadline_ns] = np.inf
    return Screened(latency_ns.min(axis=1), energy_pj.min(axis=1))


def front_of(values: Floats) -> npt.NDArray[np.intp]:
    """Return the rows of (points, criteria) that no other one matches or beats in everything."""
    kept: list[int] = []
    for row in np.lexsort(values.T[::-1]):
        if not (values[kept] <= values[row]).all(axis=1).any():
            kept.append(int(row))
    return np.array(kept, np.intp)


def spread(values: Floats, most: int) -> list[int]:
    """Return at most ``most`` rows of the front: the best of each criterion, then evenly by it.

    The front's rows are sorted by each criterion in turn and taken at even distances, which shrink
    until there are enough.
    """
    rows = front_of(values)
    orders = [rows[np.argsort(column, kind="stable")] for column in values[rows].T]
    chosen = dict.fromkeys(int(order[0]) for order in orders)
    for each in range(2, len(rows) + 1):
        if len(chosen) >= most:
            break
        places = np.linspace(0, len(rows) - 1, each).round().astype(int)
        for order in orders:
            chosen.update(dict.fromkeys(order[places].tolist()))
    return list(chosen)[:most]
