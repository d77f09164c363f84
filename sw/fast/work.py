"""Work: the part of a network that one layer is, before it is cut among workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from heterolith.sw.fast.spots import Scratch, Step

# Rough speeds on one core, to balance workers: multiply-accumulates and elements per microsecond.
_MACS_PER_US = 60_000.0
_ELEMENTS_PER_US = 3_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What computes one layer.

    Attributes
    ----------
    units
        Number of equal pieces that may go to different workers: rows, tiles or blocks of channels.
    cost_us
        Estimated time on one core.
    build
        From the first and last unit and a worker's scratch memory to the steps that compute them.
    grain, across
        Rows of the result that units make together, and the number of units that do.
    """

    units: int
    cost_us: float
    build: Callable[[int, int, Scratch], list[Step]]
    grain: int = 1
    across: int = 1


def cost_us(macs: float, elements: float) -> float:
    """Return a rough time for products and for elements passed over."""
    return macs / _MACS_PER_US + elements / _ELEMENTS_PER_US
