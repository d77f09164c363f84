"""The time that the search for one plan of several networks may take."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter


@dataclass(slots=True)
class Clock:
    """When a solution began and when it ends."""

    start_s: float
    limit_s: float

    @property
    def end_s(self) -> float:
        """When the local search stops: a little early, for the last steps."""
        return self.start_s + self.limit_s * 0.95

    @property
    def left_s(self) -> float:
        """What is left of the time."""
        return self.end_s - perf_counter()

    def part_s(self, share: float) -> float:
        """Return a share of the time limit, or what is left of it."""
        return max(0.02, min(share * self.limit_s, self.left_s))
