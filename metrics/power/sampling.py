"""Power sampled in a thread of its own while something runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from types import TracebackType

import numpy as np

from heterolith.errors import InputError
from heterolith.metrics.power.energy import Energy, Recording, idle_power, window_energy
from heterolith.metrics.power.rails import Rails


class Recorder:
    """Reads rails at a period until it is stopped; a context manager.

    Parameters
    ----------
    rails
        What to read.
    period_s
        Time between readings; a slower sensor sets its own pace.
    clock_ns
        Clock of the time stamps.
    """

    def __init__(
        self,
        rails: Rails,
        period_s: float = 0.01,
        clock_ns: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        if period_s <= 0:
            raise InputError(f"period {period_s} s is not above 0; 0.01 is usual")
        self._rails, self._period_s, self._clock_ns = rails, period_s, clock_ns
        self._names = tuple(rails.resolution_w)
        self._times: list[int] = []
        self._powers: list[list[float]] = []
        self._stop = Event()
        self._error: InputError | None = None
        self._thread = Thread(target=self._loop, name="power", daemon=True)

    def _read(self) -> None:
        begin = self._clock_ns()
        powers = self._rails.read()
        # a reading belongs to the middle of the time it took
        self._times.append((begin + self._clock_ns()) // 2)
        self._powers.append([powers[name] for name in self._names])

    def _loop(self) -> None:
        try:
            while True:
                self._read()
                if self._stop.wait(self._period_s):
                    self._read()
                    return
        except InputError as error:
            self._error = error

    def __enter__(self) -> Recorder:
        self._read()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def recording(self) -> Recording:
        """Return what was read so far."""
        count = len(self._powers)
        return Recording(
            rails=self._names,
            time_ns=np.array(self._times[:count], dtype=np.int64),
            power_w=np.array(self._powers, dtype=np.float64).reshape(count, len(self._names)),
            resolution_w=np.array([self._rails.resolution_w[name] for name in self._names]),
            total=self._rails.total,
            source=self._rails.source,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Phases of a power measurement, in seconds and runs."""

    idle_s: float = 1.0
    settle_s: float = 0.2
    warmup: int = 3
    runs: int = 10


def measure_energy(
    rails: Rails,
    work: Callable[[], object],
    schedule: Schedule | None = None,
    period_s: float = 0.01,
) -> tuple[Energy, float, Recording]:
    """Return the energy of one run of some work, the idle power and the whole recording.

    Records idle power, warms up, then integrates over ``runs`` runs back to back; energies are per
    run.

    Raises
    ------
    InputError
        If a sensor fails.
    """
    schedule = schedule or Schedule()
    with Recorder(rails, period_s) as recorder:
        time.sleep(schedule.idle_s)
        idle_w = idle_power(recorder.recording(), round(schedule.settle_s * 1e9))
        for _ in range(schedule.warmup):
            work()
        start_ns = time.perf_counter_ns()
        for _ in range(schedule.runs):
            work()
        end_ns = time.perf_counter_ns()
    recording = recorder.recording()
    whole = window_energy(recording, start_ns, end_ns, idle_w)
    return _per_run(whole, schedule.runs), idle_w, recording


def _per_run(whole: Energy, runs: int) -> Energy:
    return Energy(
        energy_j=whole.energy_j / runs,
        low_j=whole.low_j / runs,
        high_j=whole.high_j / runs,
        idle_j=whole.idle_j / runs,
        dynamic_j=whole.dynamic_j / runs,
        dynamic_low_j=whole.dynamic_low_j / runs,
        dynamic_high_j=whole.dynamic_high_j / runs,
        average_w=whole.average_w,
        peak_w=whole.peak_w,
        seconds=whole.seconds / runs,
    )
