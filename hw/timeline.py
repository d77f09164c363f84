"""Cycles of a command stream: fetch, three units, their waits and one DRAM, burst by burst.

A COMPUTE takes the cycles of ``hw/doc/accelerator.md``, section 5. LOADs and STOREs move the bursts
of section 4 through one DRAM that serves them in order of arrival; at most 16 reads and 8 writes
are under way, so short rows are bound by latency. Fetch reads commands ahead by two bursts. The
constants below are start-up costs, measured on this project's RTL (simulated, no board) with
``benchmarks/cycle_model.py``.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from heterolith.hw.geometry import Geometry
from heterolith.hw.program import Command, Compute, Load, Store

QUEUE_COMMANDS = 8
"""Depth of each unit's command queue."""

START_CYCLES = 4
"""From a COMPUTE's last wait to its first step, with two pixels."""

DRAIN_CYCLES = 20
"""From a COMPUTE's last reduction step to its completion, less the requantizers' passes."""

FETCH_CYCLES = 6
"""Between two commands at the dispatcher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dram:
    """What the memory gives: bytes per cycle of both directions together, latency in cycles."""

    bytes_per_cycle: float
    latency_cycles: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Modelled cycles of a job; busy figures are those of the units."""

    cycles: int
    load_busy: int
    compute_busy: int
    store_busy: int
    read_bytes: int
    write_bytes: int
    completions: tuple[float, ...]


def _last_group_cycles(c: Compute, geometry: Geometry) -> int:
    pixels, rate = geometry.pixels, geometry.lanes // geometry.requantizers
    blocks = c.group_blocks(geometry)
    words = blocks * c.residual
    floor = max(pixels, 1 if c.partial else blocks * pixels * rate)
    if c.window == 1:
        return max(c.steps + words, floor)
    return max(c.k_rows * (min(c.window, c.col_step) if c.cols > 1 else c.window) + words, floor)


def compute_cycles(c: Compute, geometry: Geometry) -> int:
    """Return the cycles of a COMPUTE's steps."""
    pixels, rate = geometry.pixels, geometry.lanes // geometry.requantizers
    blocks = c.group_blocks(geometry)
    words = blocks * c.residual
    floor = max(pixels, 1 if c.partial else blocks * pixels * rate)
    groups = c.groups(geometry)
    if c.window == 1:
        return groups * -(-c.outputs // pixels) * max(c.steps + words, floor)
    first = max(c.k_rows * c.window + words, floor)
    later = max(c.k_rows * min(c.window, c.col_step) + words, floor)
    return groups * -(-c.rows // pixels) * (first + (c.cols - 1) * later)
