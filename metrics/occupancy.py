"""What a timeline says of its resources: occupancy, queueing delay, peak power per rail.

A timeline is a list of spans, planned or measured: which job held which resource from when to when,
and since when it could have. Functions are pure and know nothing of plans; `heterolith.scheduler`
and the command line hand them theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from heterolith.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One job on one resource.

    Attributes
    ----------
    name, resource
        What ran, and on what.
    ready_ns, start_ns, end_ns
        When all that it reads was there, when it began, when it ended.
    power_w
        Drawn above idle while it ran.
    rail
        Rail that the power is drawn from, ``""`` where none is known.
    """

    name: str
    resource: str
    ready_ns: int
    start_ns: int
    end_ns: int
    power_w: float = 0.0
    rail: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.ready_ns <= self.start_ns <= self.end_ns:
            raise InputError(
                f"{self.name!r} is ready at {self.ready_ns} ns, starts at {self.start_ns} and ends "
                f"at {self.end_ns}; these must not decrease"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How one resource was used.

    Attributes
    ----------
    busy_ns
        Time in which at least one job held it.
    occupancy
        Busy time over the length of the timeline, 0 to 1.
    queued_ns, longest_queued_ns
        Sum and largest of what jobs waited between being ready and starting.
    """

    busy_ns: int
    occupancy: float
    queued_ns: int
    longest_queued_ns: int


def usage(spans: Sequence[Span], length_ns: int | None = None) -> dict[str, Usage]:
    """Return how each resource was used, in order of first appearance.

    Parameters
    ----------
    length_ns
        Length of the timeline, by default up to the last end.

    Raises
    ------
    InputError
        If a span ends after the timeline.
    """
    last_ns = max((span.end_ns for span in spans), default=0)
    length_ns = last_ns if length_ns is None else length_ns
    if last_ns > length_ns:
        raise InputError(f"a job ends at {last_ns} ns, the timeline at {length_ns}; lengthen it")
    found = {}
    for resource in dict.fromkeys(span.resource for span in spans):
        own = [span for span in spans if span.resource == resource]
        waits = [span.start_ns - span.ready_ns for span in own]
        busy_ns = _union_ns((span.start_ns, span.end_ns) for span in own)
        found[resource] = Usage(
            busy_ns=busy_ns,
            occupancy=busy_ns / length_ns if length_ns else 0.0,
            queued_ns=sum(waits),
            longest_queued_ns=max(waits),
        )
    return found


def peak_power_w(spans: Iterable[Span], idle_w: Mapping[str, float]) -> dict[str, float]:
    """Return each rail's highest power, W: its idle power and all jobs that draw at one time.

    Parameters
    ----------
    idle_w
        Rail -> its idle power; jobs on a rail that is not named count under ``""``.
    """
    edges: dict[str, list[tuple[int, float]]] = {rail: [] for rail in idle_w}
    for span in spans:
        if span.end_ns > span.start_ns and span.power_w:
            rail = span.rail if span.rail in idle_w else ""
            edges.setdefault(rail, []).extend(
                [(span.start_ns, span.power_w), (span.end_ns, -span.power_w)]
            )
    return {rail: idle_w.get(rail, 0.0) + _highest(own) for rail, own in edges.items()}


def _highest(edges: Iterable[tuple[int, float]]) -> float:
    """Return the largest running sum of steps in time; at one instant ends count before starts."""
    level = best = 0.0
    for _, step in sorted(edges):
        level += step
        best = max(best, level)
    return best


def _union_ns(intervals: Iterable[tuple[int, int]]) -> int:
    """Return the length of the union of intervals."""
    total, reached = 0, 0
    for start, end in sorted(intervals):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total
