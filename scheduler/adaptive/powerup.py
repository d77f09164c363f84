"""PowerUp/SpeedUp tables: which operating point is fast enough and draws least.

Per kind of work one row per point: ``SpeedUp``, how fast it is, and ``PowerUp``, what the board
draws while it runs, both relative to the reference, point 0 (NeuOS, ATC 2020, from the authors'
slides; the reference there is the smallest point). Rows that another beats in both are dropped, and
the rest is looked up by the speed that is needed, in steps of 1/256.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heterolith.scheduler.adaptive.model import Board

PPM = 1_000_000
STEPS = 256
"""Steps of speed in a lookup; a need is rounded up to the next one."""

Row = tuple[int, int, int]
"""SpeedUp in ppm, PowerUp in ppm, point."""


def pareto(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows that no other beats in speed and power, slowest first."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (-row[0], row[1], row[2])):
        if not kept or row[1] < kept[-1][1]:
            kept.append(row)
    return tuple(reversed(kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerUp:
    """Tables of a board.

    Attributes
    ----------
    speed_ppm, power_ppm, idle_ppm
        Per kind and point; idle is what the board draws when nothing runs, relative to the same.
    rows
        Per kind the Pareto rows, slowest first.
    lookup
        Per kind the point for a need of 0, 1/256, ..., 1.
    """

    speed_ppm: tuple[tuple[int, ...], ...]
    power_ppm: tuple[tuple[int, ...], ...]
    idle_ppm: tuple[tuple[int, ...], ...]
    rows: tuple[tuple[Row, ...], ...]
    lookup: tuple[tuple[int, ...], ...]

    def point(self, kind: int, need_ppm: int) -> int:
        """Return the point with the least PowerUp whose SpeedUp suffices; else the fastest."""
        step = -(-need_ppm * STEPS // PPM)
        return self.lookup[kind][min(max(step, 0), STEPS)]


def tables(board: Board) -> PowerUp:
    """Return a board's tables."""
    first = board.points[0]
    speeds, powers, idle, rows, lookup = [], [], [], [], []
    for kind in range(len(board.kinds)):
        reference = max(1, first.idle_mw + first.active_mw[kind])
        speed = tuple(PPM * PPM // p.slowdown_ppm[kind] for p in board.points)
        power = tuple((p.idle_mw + p.active_mw[kind]) * PPM // reference for p in board.points)
        kept = pareto([(s, w, at) for at, (s, w) in enumerate(zip(speed, power, strict=True))])
        speeds.append(speed)
        powers.append(power)
        idle.append(tuple(p.idle_mw * PPM // reference for p in board.points))
        rows.append(kept)
        lookup.append(tuple(_first(kept, step) for step in range(STEPS + 1)))
    return PowerUp(
        speed_ppm=tuple(speeds),
        power_ppm=tuple(powers),
        idle_ppm=tuple(idle),
        rows=tuple(rows),
        lookup=tuple(lookup),
    )


def _first(rows: Sequence[Row], step: int) -> int:
    """Return the slowest row that is fast enough for a step, the fastest if none is."""
    return next((row[2] for row in rows if row[0] * STEPS >= step * PPM), rows[-1][2])
