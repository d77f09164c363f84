"""Networks with knobs of accuracy on a board with one operating point for all its resources.

A *block* (`KnobLayer`) runs in one of several *degrees*: exact, int8, a low rank. A network may
have *exits*: blocks after which an answer is there. What an answer is worth is read from an
`ImageTrace`, recorded by running images through every choice of degrees. Times are whole
nanoseconds at the board's point 0, the reference.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from heterolith.errors import InputError, unknown_name
from heterolith.scheduler.adaptive.trace import ImageTrace

REFERENCE_PPM = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Degree:
    """One way to compute a block; `loss` is the top-1 share lost where this block alone runs so."""

    name: str
    wcet_ns: int
    bcet_ns: int
    loss: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.bcet_ns <= self.wcet_ns:
            raise InputError(
                f"degree {self.name!r}: times {self.bcet_ns}..{self.wcet_ns} ns; the BCET must be "
                "above 0 and at most the WCET"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A resource that could compute a block too, and the degrees that it has there."""

    resource: int
    kind: int
    degrees: tuple[Degree, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobLayer:
    """A block of a network, bound to a resource.

    Attributes
    ----------
    kind
        Index into `Board.kinds`: how its time and power react to the operating point.
    degrees
        The most exact one first; from there the WCET falls and the loss rises (`hull`).
    places
        Other resources that could compute it; `place` moves it there.
    move_ns
        Time to bring its input from resource a to b, ``[a][b]``, paid on b; empty: none.
    """

    name: str
    degrees: tuple[Degree, ...]
    kind: int = 0
    resource: int = 0
    places: tuple[Place, ...] = ()
    move_ns: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.degrees:
            raise InputError(f"block {self.name!r} has no degree; give it the exact one")
        for left, right in pairwise(self.degrees):
            if right.wcet_ns >= left.wcet_ns or right.loss <= left.loss:
                raise InputError(
                    f"block {self.name!r}: degree {right.name!r} ({right.wcet_ns} ns, loss "
                    f"{right.loss:.4f}) must be faster and lose more than {left.name!r} "
                    f"({left.wcet_ns} ns, loss {left.loss:.4f}); filter with hull()"
                )

    def degree(self, name: str) -> int:
        """Return the index of a degree by name."""
        names = [degree.name for degree in self.degrees]
        if name not in names:
            raise unknown_name(f"degree of block {self.name!r}", name, names)
        return names.index(name)


def hull(degrees: Iterable[Degree]) -> tuple[Degree, ...]:
    """Keep the lower convex hull of (time, loss) from the least loss to the least time.

    The degree with the least loss comes first (among equals the fastest); one that does not cut the
    WCET is never kept.
    """
    kept: list[Degree] = []
    for degree in sorted(degrees, key=lambda d: (d.loss, d.wcet_ns)):
        if kept and degree.wcet_ns >= kept[-1].wcet_ns:
            continue
        while len(kept) > 1 and _above(kept[-2], kept[-1], degree):
            kept.pop()
        kept.append(degree)
    return tuple(kept)


def _above(a: Degree, b: Degree, c: Degree) -> bool:
    """Say whether b lies on or above the line from a to c."""
    return (b.loss - a.loss) * (a.wcet_ns - c.wcet_ns) >= (c.loss - a.loss) * (
        a.wcet_ns - b.wcet_ns
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobNetwork:
    """Blocks in order; `exits` has the last block of each stage, the network's end included."""

    name: str
    layers: tuple[KnobLayer, ...]
    exits: tuple[int, ...] = ()
    trace: ImageTrace | None = None

    def __post_init__(self) -> None:
        if not self.layers:
            raise InputError(f"network {self.name!r} has no blocks")
        if not self.exits:
            object.__setattr__(self, "exits", (len(self.layers) - 1,))
        ascending = list(self.exits) == sorted(set(self.exits))
        if not ascending or self.exits[0] < 0 or self.exits[-1] != len(self.layers) - 1:
            raise InputError(
                f"network {self.name!r}: exits {self.exits} must ascend and end with block "
                f"{len(self.layers) - 1}, the last"
            )
        if self.trace is not None:
            self._check_trace(self.trace)

    def _check_trace(self, trace: ImageTrace) -> None:
        names = tuple(layer.name for layer in self.layers)
        if trace.layers != names or trace.exits != self.exits:
            raise InputError(
                f"the trace is of {trace.network!r} with blocks {', '.join(trace.layers)} and "
                f"exits {trace.exits}; network {self.name!r} has {', '.join(names)} and "
                f"{self.exits}"
            )
        for index, layer in enumerate(self.layers):
            known = {choice[index] for choice in trace.choices}
            for degree in layer.degrees:
                if degree.name not in known:
                    raise unknown_name(
                        f"degree of block {layer.name!r} in the trace", degree.name, known
                    )

    @property
    def wcet_ns(self) -> int:
        """Worst-case time of the exact network at the reference point, one block after another."""
        return sum(layer.degrees[0].wcet_ns for layer in self.layers)

    def stage_ns(self, degrees: Sequence[int] | None = None) -> tuple[int, ...]:
        """Return the worst-case time of each stage; `degrees` are the exact ones if absent."""
        chosen = degrees or (0,) * len(self.layers)
        times = [layer.degrees[d].wcet_ns for layer, d in zip(self.layers, chosen, strict=True)]
        starts = (0, *(last + 1 for last in self.exits))
        return tuple(sum(times[a:b]) for a, b in pairwise(starts))


def place(network: KnobNetwork, resources: Sequence[int], home: int) -> KnobNetwork:
    """Bind every block to a resource; its input costs `move_ns` where it comes from another one.

    Input is at resource `home`.

    Raises
    ------
    InputError
        If a block cannot run on its resource.
    """
    layers, here = [], home
    for layer, resource in zip(network.layers, resources, strict=True):
        at = placed(layer, resource)
        extra = layer.move_ns[here][resource] if layer.move_ns else 0
        degrees = (replace(d, wcet_ns=d.wcet_ns + extra) for d in at.degrees)
        layers.append(replace(at, degrees=tuple(degrees)))
        here = resource
    return replace(network, layers=tuple(layers))


def placed(layer: KnobLayer, resource: int) -> KnobLayer:
    """Return a block as it is on a resource, without the cost of entering it."""
    if resource == layer.resource:
        return layer
    found = [p for p in layer.places if p.resource == resource]
    if not found:
        raise InputError(f"block {layer.name!r} cannot run on resource {resource}")
    there = found[0]
    return replace(layer, resource=there.resource, kind=there.kind, degrees=hull(there.degrees))


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPoint:
    """An operating point of a whole board.

    `idle_mw` is drawn always, `active_mw` on top of it by a piece of each kind that runs;
    `slowdown_ppm` stretches each kind's times, 1,000,000 at the reference.
    """

    name: str
    idle_mw: int
    active_mw: tuple[int, ...]
    slowdown_ppm: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Resources that share one operating point; the first is the reference and the fastest.

    Attributes
    ----------
    kinds
        Kinds of pieces, told apart by how they react to the operating point.
    switch_ns, switch_pj
        Price of changing the point: nothing starts for `switch_ns`.
    home
        Resource where a network's input arrives.
    source
        Where the figures come from.
    """

    name: str
    resources: tuple[str, ...]
    kinds: tuple[str, ...]
    points: tuple[SystemPoint, ...]
    switch_ns: int = 0
    switch_pj: int = 0
    home: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        if not (self.resources and self.kinds and self.points):
            raise InputError(f"board {self.name!r} needs resources, kinds of work and points")
        for point in self.points:
            if {len(point.active_mw), len(point.slowdown_ppm)} != {len(self.kinds)}:
                raise InputError(
                    f"board {self.name!r}, point {point.name!r}: power and slowdown need one entry "
                    f"for each of {len(self.kinds)} kinds"
                )
            if min(point.slowdown_ppm) < REFERENCE_PPM:
                raise InputError(
                    f"board {self.name!r}: point {point.name!r} is faster than point 0, the "
                    "reference; put the fastest first"
                )
        if set(self.points[0].slowdown_ppm) != {REFERENCE_PPM}:
            raise InputError(f"board {self.name!r}: the slowdown at point 0 must be 1,000,000")
        if not 0 <= self.home < len(self.resources):
            raise InputError(f"board {self.name!r} has no resource {self.home} for its input")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveTask:
    """A network asked again and again.

    `deadline_low_ns` makes it a client in a closed loop: relative deadlines are uniform in
    ``deadline_low_ns..deadline_ns`` and the next request comes when that deadline is over; the
    period is then the low deadline. Deadlines are firm: an answer after them is worth nothing. A
    miss of a `hard` task is a failure of the policy, of a soft one a figure.
    """

    name: str
    network: KnobNetwork
    period_ns: int
    deadline_ns: int
    hard: bool = True
    offset_ns: int = 0
    deadline_low_ns: int | None = None

    def __post_init__(self) -> None:
        low = self.deadline_low_ns
        if low is not None and not 0 < low <= self.deadline_ns:
            raise InputError(
                f"task {self.name!r}: deadlines {low}..{self.deadline_ns} ns; the low one must be "
                "above 0 and at most the high one"
            )
        if low is None and self.deadline_ns > self.period_ns:
            raise InputError(
                f"task {self.name!r}: the deadline {self.deadline_ns} ns is beyond the period "
                f"{self.period_ns} ns; a job ends at its deadline and before the next"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What every policy is run on.

    `execution` is ``wcet``, ``uniform`` or ``extremes``; `arrival` is ``periodic`` or ``sporadic``.
    `power_mw` limits the average power, `inf` if nothing does; policies may read it.
    """

    name: str
    board: Board
    tasks: tuple[AdaptiveTask, ...]
    horizon_ns: int
    seed: int = 0
    execution: str = "wcet"
    arrival: str = "periodic"
    power_mw: float = math.inf
    about: str = ""

    def __post_init__(self) -> None:
        board = self.board
        for task in self.tasks:
            for layer in task.network.layers:
                bound = [(layer.resource, layer.kind)]
                for resource, kind in bound + [(p.resource, p.kind) for p in layer.places]:
                    if resource >= len(board.resources) or kind >= len(board.kinds):
                        raise InputError(
                            f"scenario {self.name!r}: block {layer.name!r} of {task.name!r} is on "
                            f"resource {resource}, kind {kind}, which board {board.name!r} does "
                            "not have"
                        )
        if not self.tasks or self.horizon_ns <= 0:
            raise InputError(f"scenario {self.name!r} needs a task and a horizon above 0")
