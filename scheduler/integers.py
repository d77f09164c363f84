"""Array types and bounds of the solver's integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LARGEST = 2**62
"""No figure may reach this; it also stands for "not there" and "no limit"."""
COST_RANGE = 2**50
"""SCALENet costs are rounded to integers so that the dearest plan costs at most this."""
MOST_MODES = 4096
"""Operating points of the whole platform at most."""
FULL = 2**20
"""Value of a plan under the aim ``limits`` if it just keeps them."""
