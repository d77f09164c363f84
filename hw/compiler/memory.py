"""Where scratch tensors lie: tensors that do not live at the same time share memory.

A tensor lives from the first step that touches it to the last, both included, so that what a step
reads and what it writes never overlap. Placement is first fit, largest tensor first, the usual
heuristic for this (NP-hard) packing; reuse adds order between commands, which
`heterolith.hw.compiler.hazards` states as waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Life:
    """A tensor of ``size`` bytes that is touched in steps ``first`` to ``last``, both included."""

    size: int
    first: int
    last: int

    def meets(self, other: Life) -> bool:
        """Return whether both live at some step."""
        return self.first <= other.last and other.first <= self.last


def pack(lives: Sequence[Life]) -> tuple[list[int], int]:
    """Return the offset of each tensor and the bytes of all of them together."""
    offsets = [0] * len(lives)
    placed: list[int] = []
    total = 0
    for index in sorted(range(len(lives)), key=lambda i: -lives[i].size):
        life, at = lives[index], 0
        taken = sorted((offsets[i], lives[i].size) for i in placed if lives[i].meets(life))
        for begin, size in taken:
            if at + life.size <= begin:
                break
            at = max(at, begin + size)
        offsets[index] = at
        placed.append(index)
        total = max(total, at + life.size)
    return offsets, total
