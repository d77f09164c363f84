"""Layers that overlap in time share the resource: batched if they are the same, co-run if not.

What sharing saves is declared, not found here: part of a layer's time is paid once per batch
(starting kernels, reading weights), and different layers together take a declared part of their
sum. Both come from a cost model or from measurements of the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from heterolith.errors import InputError
from heterolith.scheduler.adaptive.model import KnobLayer

PPM = 1_000_000
Batches = Mapping[tuple[str, str], int]
"""Block and degree name -> the part of its time, ppm, that a batch pays once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What sharing saves.

    Attributes
    ----------
    once_ppm
        Per network name the parts that a batch pays once; blocks that are not named save nothing.
    corun_ppm
        Time of two different layers together as a part of their sum; 1,000,000 turns it off.
    largest
        Most jobs in a batch.
    """

    once_ppm: Mapping[str, Batches] = field(default_factory=dict)
    corun_ppm: int = PPM
    largest: int = 8

    def __post_init__(self) -> None:
        parts = [part for batches in self.once_ppm.values() for part in batches.values()]
        if not all(0 <= part <= PPM for part in parts):
            raise InputError("the part of a layer's time that a batch pays once must be in 0..1")
        if not PPM // 2 <= self.corun_ppm <= PPM or self.largest < 1:
            raise InputError(
                f"co-run factor {self.corun_ppm / PPM:g} must be in 0.5..1 and the largest batch "
                f"{self.largest} at least 1"
            )

    def batch_ns(self, network: str, layer: KnobLayer, degree: int, count: int) -> int:
        """Return the worst-case time of a block for `count` inputs at once, rounded up."""
        chosen = layer.degrees[degree]
        once = self.once_ppm.get(network, {}).get((layer.name, chosen.name), 0)
        return -(-chosen.wcet_ns * (once + count * (PPM - once)) // PPM)

    def corun_ns(self, times: Sequence[int]) -> int:
        """Return the worst-case time of different blocks together, never below the longest."""
        return max(*times, -(-sum(times) * self.corun_ppm // PPM))


@dataclass(slots=True)
class Tally:
    """How much was shared: blocks computed, those in company, and pieces that ran."""

    blocks: int = 0
    shared: int = 0
    pieces: int = 0

    def add(self, count: int) -> None:
        """Count one piece that computed a block for `count` jobs."""
        self.blocks += count
        self.shared += count if count > 1 else 0
        self.pieces += 1

    @property
    def factor(self) -> float:
        """Blocks per piece: 1 if nothing was shared."""
        return self.blocks / self.pieces if self.pieces else 1.0

    @property
    def share(self) -> float:
        """Part of the blocks that were computed in company."""
        return self.shared / self.blocks if self.blocks else 0.0
