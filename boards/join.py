"""Several boards as one platform: a star of links around the first board.

The first board keeps its names. Whatever a later board adds keeps its bare name if that is still
free and is called ``<board>.<name>`` otherwise. Boards meet at their CPUs, or at the first device
where a board has no CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from heterolith.boards.platform import Link, Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Cable:
    """A link between boards before its ends are known; figures as in `Link`."""

    name: str
    bandwidth_mbs: float
    latency_us: float
    active_w: float
    source: str


def _free(board: str, wanted: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    used = set(taken)
    return {name: f"{board}.{name}" if name in used else name for name in wanted}


def _renamed(board: Platform, base: Platform) -> Platform:
    """Return a board with the names it has beside what is already joined."""
    devices, memories, links, rails, domains = (
        _free(board.boards[0], (item.name for item in new), (item.name for item in old))
        for new, old in (
            (board.devices, base.devices),
            (board.memories, base.memories),
            (board.links, base.links),
            (board.rails, base.rails),
            (board.dvfs, base.dvfs),
        )
    )
    return replace(
        board,
        home=devices[board.home],
        devices=tuple(
            replace(item, name=devices[item.name], memory=memories[item.memory])
            for item in board.devices
        ),
        memories=tuple(replace(item, name=memories[item.name]) for item in board.memories),
        links=tuple(
            replace(
                item,
                name=links[item.name],
                ends=(devices[item.ends[0]], devices[item.ends[1]]),
            )
            for item in board.links
        ),
        rails=tuple(
            replace(item, name=rails[item.name], device=devices.get(item.device, ""))
            for item in board.rails
        ),
        dvfs=tuple(replace(item, name=domains[item.name]) for item in board.dvfs),
    )


def join(name: str, boards: Sequence[Platform], cable: Cable) -> Platform:
    """Return the boards as one platform; each later one is joined to the first by a cable."""
    joined = replace(boards[0], name=name)
    for board in boards[1:]:
        added = _renamed(board, joined)
        wired = [link.name for link in (*joined.links, *added.links)]
        link = Link(
            name=_free(board.boards[0], [cable.name], wired)[cable.name],
            ends=(joined.home, added.home),
            bandwidth_mbs=cable.bandwidth_mbs,
            latency_us=cable.latency_us,
            active_w=cable.active_w,
            source=cable.source,
        )
        joined = replace(
            joined,
            boards=joined.boards + board.boards,
            devices=joined.devices + added.devices,
            memories=joined.memories + added.memories,
            links=(*joined.links, *added.links, link),
            rails=joined.rails + added.rails,
            dvfs=joined.dvfs + added.dvfs,
        )
    return joined
