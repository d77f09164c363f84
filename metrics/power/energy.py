"""From power samples to energy: windows, idle, deadline, and how sure the figure is.

Power is integrated over time stamps by the trapezoid rule, so that uneven sampling does no harm.
The interval of an energy holds the sensor's step and the sampling: half a step on every reading,
and half of what the trace varies between neighbouring readings at both ends of the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heterolith.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Power over time.

    Attributes
    ----------
    rails
        Names, r of them.
    time_ns
        Time of each reading, ascending int64 array of shape (n,).
    power_w
        Float64 array of shape (n, r).
    resolution_w
        Step of each rail's sensor, float64 array of shape (r,).
    total
        Rail that holds all others, or ``""``: then the total is the sum.
    source
        ``measured`` or ``simulated``.
    """

    rails: tuple[str, ...]
    time_ns: NDArray[np.int64]
    power_w: Floats
    resolution_w: Floats
    total: str = ""
    source: str = "measured"

    def total_w(self) -> tuple[Floats, float]:
        """Return the whole board's power, shape (n,), and its resolution."""
        if self.total:
            column = self.rails.index(self.total)
            return self.power_w[:, column], float(self.resolution_w[column])
        return self.power_w.sum(axis=1), float(self.resolution_w.sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Energy in a window, with the interval that holds it.

    Attributes
    ----------
    energy_j, low_j, high_j
        All energy in the window.
    idle_j
        What idling for as long would have taken.
    dynamic_j, dynamic_low_j, dynamic_high_j
        The rest: what the work itself took.
    average_w, peak_w
        Over the window; the peak is the largest reading.
    seconds
        Length of the window.
    """

    energy_j: float
    low_j: float
    high_j: float
    idle_j: float
    dynamic_j: float
    dynamic_low_j: float
    dynamic_high_j: float
    average_w: float
    peak_w: float
    seconds: float


def integrate(time_ns: NDArray[np.int64], power_w: Floats, start_ns: int, end_ns: int) -> float:
    """Return the energy between two times in J, by trapezoids; power is linear between readings.

    Raises
    ------
    InputError
        If the window is empty or the readings do not cover it.
    """
    if end_ns <= start_ns:
        raise InputError(f"window from {start_ns} to {end_ns} ns is empty")
    if len(time_ns) < 2 or time_ns[0] > start_ns or time_ns[-1] < end_ns:
        raise InputError(
            f"{len(time_ns)} readings do not cover the window of {(end_ns - start_ns) / 1e9:.3g} s;"
            " start sampling earlier and stop it later"
        )
    inside = (time_ns > start_ns) & (time_ns < end_ns)
    times = np.concatenate([[start_ns], time_ns[inside], [end_ns]])
    powers = np.interp(times, time_ns, power_w)
    return float(((powers[1:] + powers[:-1]) / 2 * np.diff(times)).sum()) / 1e9


def window_energy(
    recording: Recording, start_ns: int, end_ns: int, idle_w: float = 0.0, rail: str = ""
) -> Energy:
    """Return the energy of a window on one rail, or of the whole board.

    Parameters
    ----------
    start_ns, end_ns
        The window; up to the deadline rather than the end of the work counts the idle rest too.
    idle_w
        Power with nothing running (`idle_power`), subtracted for the dynamic part.

    Raises
    ------
    InputError
        If there is no such rail, or the readings do not cover the window.
    """
    if rail and rail not in recording.rails:
        raise InputError(f"no rail {rail!r}; rails: {', '.join(recording.rails)}")
    if rail:
        column = recording.rails.index(rail)
        power, step_w = recording.power_w[:, column], float(recording.resolution_w[column])
    else:
        power, step_w = recording.total_w()
    energy = integrate(recording.time_ns, power, start_ns, end_ns)
    seconds = (end_ns - start_ns) / 1e9
    inside = (recording.time_ns >= start_ns) & (recording.time_ns <= end_ns)
    seen = power[inside] if inside.any() else power
    gaps = np.diff(recording.time_ns) / 1e9
    swing = float(np.abs(np.diff(power)).max(initial=0.0))
    unsure = step_w / 2 * seconds + swing * float(np.median(gaps))
    idle = idle_w * seconds
    return Energy(
        energy_j=energy,
        low_j=max(0.0, energy - unsure),
        high_j=energy + unsure,
        idle_j=idle,
        dynamic_j=energy - idle,
        dynamic_low_j=energy - idle - unsure - step_w / 2 * seconds,
        dynamic_high_j=energy - idle + unsure + step_w / 2 * seconds,
        average_w=energy / seconds,
        peak_w=float(seen.max()),
        seconds=seconds,
    )


def idle_power(recording: Recording, settle_ns: int = 0) -> float:
    """Return the median power of the whole board in a recording of nothing, after settling.

    Raises
    ------
    InputError
        If no reading is left after settling.
    """
    rest = recording.time_ns >= recording.time_ns[0] + settle_ns if len(recording.time_ns) else []
    power, _ = recording.total_w()
    if not np.any(rest):
        raise InputError(f"no reading is left {settle_ns / 1e9:g} s after the start; record longer")
    return float(np.median(power[rest]))


def until_deadline(busy: Energy, idle_w: float, deadline_s: float) -> float:
    """Return the energy until a deadline, J: the busy window's and idle power for the rest.

    Raises
    ------
    InputError
        If the work takes longer than the deadline.
    """
    if busy.seconds > deadline_s:
        raise InputError(
            f"the work takes {busy.seconds * 1e3:.4g} ms, the deadline is {deadline_s * 1e3:.4g} ms"
        )
    return busy.energy_j + idle_w * (deadline_s - busy.seconds)


def by_rail(recording: Recording, start_ns: int, end_ns: int) -> Mapping[str, Energy]:
    """Return the energy of every rail in a window."""
    return {rail: window_energy(recording, start_ns, end_ns, rail=rail) for rail in recording.rails}
