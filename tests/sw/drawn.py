"""How drawn cases run, and numbers that have no rounding."""

import numpy as np
from hypothesis import HealthCheck, settings

DRAWN = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""The same cases in every run, as many as take seconds; fixtures are shared by all of them."""


def whole(seed, *shape):
    """Return small whole numbers in float32: sums of their products are exact in any order."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)
