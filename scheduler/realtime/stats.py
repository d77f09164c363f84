"""What a simulation reports: streaming counts, so that memory does not grow with the horizon."""

from __future__ import annotations

from dataclasses import dataclass

from heterolith.scheduler.dispatch import Trace

_MANTISSA_BITS = 7
"""A response is counted in a bucket at most 1/128 of it wide."""


def bucket(value: int) -> int:
    """Return the histogram bucket of a value: exponent and leading bits, monotone in the value."""
    shift = max(0, value.bit_length() - _MANTISSA_BITS - 1)
    return (shift << (_MANTISSA_BITS + 1)) + (value >> shift)


def bucket_high(index: int) -> int:
    """Return the largest value of a bucket."""
    shift, lead = index >> (_MANTISSA_BITS + 1), index & ((1 << (_MANTISSA_BITS + 1)) - 1)
    return ((lead + 1) << shift) - 1


class Responses:
    """Response times of one task: count, sum, largest, and a histogram for quantiles."""

    __slots__ = ("_buckets", "count", "largest", "total")

    def __init__(self) -> None:
        self.count = self.total = self.largest = 0
        self._buckets: dict[int, int] = {}

    def add(self, response_ns: int) -> None:
        """Count one response."""
        self.count += 1
        self.total += response_ns
        if response_ns > self.largest:
            self.largest = response_ns
        index = bucket(response_ns)
        self._buckets[index] = self._buckets.get(index, 0) + 1

    def quantile(self, share: float) -> int:
        """Return an upper bound of a quantile, less than 1/128 above it; 0 without jobs."""
        rank, seen = share * self.count, 0
        for index in sorted(self._buckets):
            seen += self._buckets[index]
            if seen >= rank:
                return min(bucket_high(index), self.largest)
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReport:
    """Jobs of one task. A job misses when it ends, or would have had to, after its deadline.

    `dropped` jobs were ended by the policy or by the overrun rule; each of them is a miss too.
    `open_jobs` are unfinished at the horizon with their deadline still ahead.
    """

    name: str
    released: int
    completed: int
    misses: int
    dropped: int
    open_jobs: int
    response_max_ns: int
    response_mean_ns: int
    response_p99_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceReport:
    """What one resource did until the horizon."""

    name: str
    busy_ns: int
    energy_pj: int
    switches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """Outcome of one run; simulated, deterministic under its seed."""

    horizon_ns: int
    pieces: int
    tasks: tuple[TaskReport, ...]
    resources: tuple[ResourceReport, ...]
    trace: Trace

    @property
    def misses(self) -> int:
        """Deadline misses of all tasks."""
        return sum(task.misses for task in self.tasks)

    @property
    def jobs(self) -> int:
        """Completed jobs of all tasks."""
        return sum(task.completed for task in self.tasks)

    @property
    def energy_pj(self) -> int:
        """Energy of all resources, idle included."""
        return sum(resource.energy_pj for resource in self.resources)
