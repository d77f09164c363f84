"""Cycles of a layer at many clocks at once, by the tiler's closed form: for searches.

`heterolith.hw.compiler.cost.shape_cycles` replays commands; this does not, and is wrong by what
the closed form of `heterolith.hw.compiler.schedule` leaves out: waits, latencies, short bursts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heterolith.hw.compiler.cost import layer_outline
from heterolith.hw.compiler.schedule import Parts, candidates, terms
from heterolith.hw.config import ArrayConfig
from heterolith.hw.geometry import geometry
from heterolith.hw.shapes import Shape
from heterolith.hw.timing import dram_of

Floats = npt.NDArray[np.float64]


def screened_cycles(
    shape: Shape, config: ArrayConfig, dram_gbs: float, clocks_mhz: Sequence[float], residual: bool
) -> Floats:
    """Return the closed-form cycles of a layer per clock, shape (clocks,), float64.

    Infinite where no cut of the layer fits the buffers.

    Raises
    ------
    InputError
        If the bandwidth is not above 0, or the accelerator has no form for the configuration.
    """
    g = geometry(config)
    m = layer_outline(shape, residual, g)
    parts = Parts(m, g)
    rows = np.array([terms(m, s, g, parts) for s in candidates(m, g)], np.float64)
    if not len(rows):
        return np.full(len(clocks_mhz), np.inf)
    array, beats, ends = rows.T[:, :, None]
    rates = [dram_of(dram_gbs, mhz).bytes_per_cycle for mhz in clocks_mhz]
    per_beat = g.lanes / np.array(rates)
    cycles = np.maximum(array, beats * per_beat) + ends * np.maximum(per_beat, 1.0)
    least: Floats = cycles.min(axis=0) * getattr(shape, "batch", 1)
    return least
