"""Periodic and sporadic tasks made of non-preemptive pieces, each bound to one resource.

A *piece* is what a resource does not interrupt: a layer, a chunk of one, or a transfer on a link. A
*segment* is a maximal run of consecutive pieces on one resource. Time is integer nanoseconds.
Invariant: a `TaskSet` that exists can be simulated; each analysis states what more it needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from heterolith.errors import InputError, unknown_name

LIMIT_NS = 2**62


def _time(value: int, what: str, low: int = 1) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{what} is {value!r}; it must be a whole number of nanoseconds")
    if not low <= value < LIMIT_NS:
        raise InputError(f"{what} is {value} ns; it must be in {low}..2**62")


def per_kind(value: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return a figure of a `Point` as a tuple."""
    return value if isinstance(value, tuple) else (value,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """An operating point: `slowdown_ppm` stretches times at the first point, 1,000,000 is equal.

    Slowdown and active power hold for all pieces, or are tuples with one entry per `Piece.kind`.
    """

    name: str = "nominal"
    slowdown_ppm: int | tuple[int, ...] = 1_000_000
    idle_mw: int = 0
    active_mw: int | tuple[int, ...] = 0

    def __post_init__(self) -> None:
        slowdowns, powers = per_kind(self.slowdown_ppm), per_kind(self.active_mw)
        if min(slowdowns, default=0) <= 0 or min(self.idle_mw, *powers) < 0:
            raise InputError(f"point {self.name!r}: slowdown must be above 0, powers 0 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A processor or a link: serves one piece at a time, never interrupted.

    `chunk_ns` cuts longer pieces into chunks, at whose boundaries another task may go first.
    `switch_ns` and `switch_pj` are the price of changing the operating point.
    """

    name: str
    chunk_ns: int | None = None
    points: tuple[Point, ...] = (Point(),)
    switch_ns: int = 0
    switch_pj: int = 0

    def __post_init__(self) -> None:
        if self.chunk_ns is not None:
            _time(self.chunk_ns, f"chunk of resource {self.name!r}")
        _time(self.switch_ns, f"switch time of resource {self.name!r}", 0)
        if not self.points or self.switch_pj < 0:
            raise InputError(
                f"resource {self.name!r} needs an operating point and a switch energy of 0 or more"
            )

    @property
    def kinds(self) -> float:
        """Kinds of pieces that every point has figures for; infinite if none tells them apart."""
        figures = (f for p in self.points for f in (p.slowdown_ppm, p.active_mw))
        return min((len(f) for f in figures if isinstance(f, tuple)), default=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Work on one resource (index into `TaskSet.resources`) between two scheduling decisions.

    `kind` selects how an operating point acts on it, where its resource's points tell kinds apart.
    """

    resource: int
    wcet_ns: int
    bcet_ns: int
    name: str = ""
    kind: int = 0

    def __post_init__(self) -> None:
        _time(self.wcet_ns, f"WCET of piece {self.name!r}")
        _time(self.bcet_ns, f"BCET of piece {self.name!r}")
        if self.bcet_ns > self.wcet_ns:
            raise InputError(
                f"piece {self.name!r}: BCET {self.bcet_ns} ns is above its WCET {self.wcet_ns} ns"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A network run again and again; `priority` 0 is the most urgent.

    `period_ns` is the period, or the least distance of two arrivals of a sporadic task. A job is
    released up to `jitter_ns` after it arrives; its deadline counts from the arrival.
    """

    name: str
    period_ns: int
    deadline_ns: int
    pieces: tuple[Piece, ...]
    priority: int = 0
    offset_ns: int = 0
    jitter_ns: int = 0

    def __post_init__(self) -> None:
        _time(self.period_ns, f"period of task {self.name!r}")
        _time(self.deadline_ns, f"deadline of task {self.name!r}")
        _time(self.offset_ns, f"offset of task {self.name!r}", 0)
        _time(self.jitter_ns, f"jitter of task {self.name!r}", 0)
        if self.jitter_ns >= self.period_ns:
            raise InputError(
                f"jitter of task {self.name!r} is {self.jitter_ns} ns; it must be below the "
                f"period {self.period_ns} ns"
            )
        if not self.pieces:
            raise InputError(f"task {self.name!r} has no pieces; give it at least one layer")

    @property
    def wcet_ns(self) -> int:
        """Work of one job on all resources."""
        return sum(piece.wcet_ns for piece in self.pieces)

    def work_ns(self, resource: int) -> int:
        """Return the worst-case work of one job on a resource."""
        return sum(piece.wcet_ns for piece in self.pieces if piece.resource == resource)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive pieces of a task on one resource: their worst-case work."""

    resource: int
    wcet_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSet:
    """Tasks and the resources they share."""

    resources: tuple[Resource, ...]
    tasks: tuple[Task, ...]
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for kind, items in (("resource", self.resources), ("task", self.tasks)):
            names = [item.name for item in items]
            if not names:
                raise InputError(f"a task set needs at least one {kind}")
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InputError(f"{kind} {twice[0]!r} is named twice; names must differ")
        for task in self.tasks:
            for piece in task.pieces:
                if not 0 <= piece.resource < len(self.resources):
                    raise InputError(
                        f"task {task.name!r}, piece {piece.name!r}: resource {piece.resource} "
                        f"does not exist; there are {len(self.resources)}"
                    )
                if not 0 <= piece.kind < self.resources[piece.resource].kinds:
                    raise InputError(
                        f"task {task.name!r}, piece {piece.name!r}: the points of resource "
                        f"{self.resources[piece.resource].name!r} have no kind {piece.kind}"
                    )

    def resource(self, name: str) -> int:
        """Return the index of a resource by name."""
        names = [item.name for item in self.resources]
        if name not in names:
            raise unknown_name("resource", name, names)
        return names.index(name)

    def utilization(self, resource: int) -> Fraction:
        """Return the worst-case share of a resource's time that the tasks need."""
        return sum(
            (Fraction(task.work_ns(resource), task.period_ns) for task in self.tasks), Fraction(0)
        )


def segments(task: Task) -> tuple[Segment, ...]:
    """Merge consecutive pieces on one resource."""
    merged: list[Segment] = []
    for piece in task.pieces:
        if merged and merged[-1].resource == piece.resource:
            merged[-1] = replace(merged[-1], wcet_ns=merged[-1].wcet_ns + piece.wcet_ns)
        else:
            merged.append(Segment(resource=piece.resource, wcet_ns=piece.wcet_ns))
    return tuple(merged)


def with_priorities(tasks: Iterable[Task], rule: str) -> tuple[Task, ...]:
    """Assign distinct priorities: rate monotonic (``rm``) or deadline monotonic (``dm``).

    Ties go to the earlier task.
    """
    keys = {"rm": "period_ns", "dm": "deadline_ns"}
    if rule not in keys:
        raise unknown_name("priority rule", rule, keys)
    tasks = tuple(tasks)
    order = sorted(range(len(tasks)), key=lambda i: (getattr(tasks[i], keys[rule]), i))
    rank = {index: position for position, index in enumerate(order)}
    return tuple(replace(task, priority=rank[i]) for i, task in enumerate(tasks))


def chunked(taskset: TaskSet) -> TaskSet:
    """Cut pieces longer than their resource's `chunk_ns` into chunks; the rest stays as it is."""

    def cut(piece: Piece) -> list[Piece]:
        chunk = taskset.resources[piece.resource].chunk_ns
        if chunk is None or piece.wcet_ns <= chunk:
            return [piece]
        count = -(-piece.wcet_ns // chunk)
        ends = [min(chunk * (i + 1), piece.wcet_ns) for i in range(count)]
        sizes = [end - chunk * i for i, end in enumerate(ends)]
        shortest = [max(1, piece.bcet_ns * size // piece.wcet_ns) for size in sizes]
        return [
            replace(piece, wcet_ns=size, bcet_ns=low, name=f"{piece.name}.{i}")
            for i, (size, low) in enumerate(zip(sizes, shortest, strict=True))
        ]

    return replace(
        taskset,
        tasks=tuple(
            replace(task, pieces=tuple(part for piece in task.pieces for part in cut(piece)))
            for task in taskset.tasks
        ),
    )
