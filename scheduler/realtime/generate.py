"""Random task sets: UUniFast utilizations over given networks."""

from __future__ import annotations

from random import Random

from heterolith.errors import InputError


def uunifast(count: int, total: float, rng: Random) -> list[float]:
    """Draw `count` utilizations that sum to `total`, uniform over the simplex.

    Bini and Buttazzo, "Measuring the performance of schedulability tests", Real-Time Systems
    30, 2005.

    Raises
    ------
    InputError
        If `count` is below 1 or `total` not above 0.
    """
    if count < 1 or not 0 < total < 1e6:
        raise InputError(f"{count} tasks of total utilization {total}; both must be above 0")
    shares, left = [], total
    for rest in range(count - 1, 0, -1):
        after = left * rng.random() ** (1 / rest)
        shares.append(left - after)
        left = after
    return [*shares, left]
