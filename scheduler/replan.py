"""Planning anew from cached fronts: deadline, power cap, accuracy floor or a lost device changed.

No search: a look-up in sorted arrays, which takes microseconds. What it returns is exact for the
limits that a front spans (deadline, average power, energy budget, accuracy); a peak-power cap picks
the best of the front's plans that keep it, which need not be the best of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from heterolith.errors import InfeasibleError, InputError
from heterolith.scheduler.front import Front, front
from heterolith.scheduler.model import Bools, Ints
from heterolith.scheduler.problem import Limits, Problem
from heterolith.scheduler.timeline import evaluate


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """Fronts for every set of devices that may be lost; home cannot be.

    ``fronts`` maps lost devices to a front, or to None where no plan is left; ``peaks_mw`` holds
    the peak power of each point, if it was asked for.
    """

    fronts: dict[frozenset[int], Front | None]
    peaks_mw: dict[frozenset[int], Ints]


def without(problem: Problem, lost: Iterable[int]) -> Problem | None:
    """Return a problem without some devices, or None if a task has no choice left."""
    gone = set(lost)
    tasks = []
    for task in problem.tasks:
        choices = tuple(choice for choice in task.choices if choice.device not in gone)
        if not choices:
            return None
        tasks.append(replace(task, choices=choices))
    return replace(problem, tasks=tuple(tasks))


def cache(problem: Problem, *, losses: int = 1, peaks: bool = False) -> Cache:
    """Compute the fronts with up to ``losses`` devices lost; ``peaks`` for peak-power caps."""
    sets: list[frozenset[int]] = [frozenset()]
    others = [d for d in range(len(problem.devices)) if d != problem.home]
    for _ in range(losses):
        sets += [known | {d} for known in sets for d in others if d not in known]
    fronts: dict[frozenset[int], Front | None] = {}
    tops: dict[frozenset[int], Ints] = {}
    for lost in dict.fromkeys(sets):
        left = without(problem, lost)
        try:
            fronts[lost] = None if left is None else front(left)
        except InfeasibleError:
            fronts[lost] = None
        found = fronts[lost]
        if peaks and found is not None:
            rows = (evaluate(found.problem, found.selection(k)) for k in range(len(found)))
            tops[lost] = np.array([row.peak_power_mw for row in rows])
    return Cache(fronts=fronts, peaks_mw=tops)


def replan(
    cached: Cache, limits: Limits, lost: Iterable[int] = ()
) -> tuple[Problem, tuple[int, ...]] | None:
    """Return the plan of least energy under new limits: the problem it belongs to and its choices.

    Returns None if no plan of the front keeps the limits.

    Raises
    ------
    InputError
        If the front does not span a limit (period, memory), or a loss that was not provided for.
    """
    key = frozenset(lost)
    if key not in cached.fronts:
        raise InputError(f"no front for lost devices {sorted(key)}; cache more losses")
    if limits.period_ns is not None or limits.memory_bytes is not None:
        raise InputError("a cached front spans no period and no memory limit; solve anew")
    found = cached.fronts[key]
    if found is None:
        return None
    peaks = cached.peaks_mw.get(key)
    if limits.peak_power_mw is not None and peaks is None:
        raise InputError("the cache has no peak powers; make it with peaks=True")
    point = best_point(found, limits, peaks)
    return None if point is None else (found.problem, found.selection(point))


def best_point(found: Front, limits: Limits, peaks_mw: Ints | None = None) -> int | None:
    """Return the point of least energy that keeps the limits, or None."""
    idle_mw, deadline_ns = found.problem.idle_mw, limits.deadline_ns
    plain = limits.accuracy_loss_ppm is None and limits.peak_power_mw is None
    if plain and deadline_ns is not None:
        # Energies descend: the last point within the deadline is the best.
        last = int(np.searchsorted(found.latency_ns, deadline_ns, side="right")) - 1
        if last < 0:
            return None
        energy_pj = idle_mw * deadline_ns + int(found.energy_pj[last])
        return last if _affordable(limits, idle_mw, deadline_ns, energy_pj) else None
    good: Bools = np.ones(len(found), bool)
    if deadline_ns is not None:
        good &= found.latency_ns <= deadline_ns
    if limits.accuracy_loss_ppm is not None:
        good &= found.accuracy_loss_ppm <= limits.accuracy_loss_ppm
    if limits.peak_power_mw is not None and peaks_mw is not None:
        good &= peaks_mw <= limits.peak_power_mw
    if not good.any():
        return None
    windows = found.latency_ns if deadline_ns is None else np.full(len(found), deadline_ns)
    energies = np.where(good, found.energy_pj + idle_mw * windows, np.iinfo(np.int64).max)
    best = int(energies.argmin())
    kept = _affordable(limits, idle_mw, deadline_ns, int(energies[best]))
    return best if kept else None


def _affordable(limits: Limits, idle_mw: int, window_ns: int | None, energy_pj: int) -> bool:
    """Whether an energy keeps budget and average power (without a window idling meets that)."""
    if limits.energy_pj is not None and energy_pj > limits.energy_pj:
        return False
    cap_mw = limits.average_power_mw
    if cap_mw is None:
        return True
    return cap_mw > idle_mw if window_ns is None else energy_pj <= cap_mw * window_ns
