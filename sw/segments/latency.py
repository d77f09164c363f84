"""Time of segments: cycles of the accelerator and what the host adds to them.

A run is nine register writes and one interrupt, whatever the job (`heterolith.hw.device.sequence`),
and a call of cache maintenance per tensor that the host writes before it or reads after it. The
constants are those of the board's file, which names their sources: ``launch_us`` of the FPGA,
``latency_us`` and ``bandwidth_mbs`` of its link to the CPU. None was measured on a board.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from heterolith.boards.platform import Platform
from heterolith.hw.config import ArrayConfig, config
from heterolith.hw.timing import Dram, dram_of
from heterolith.sw.segments.runner import SegmentReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """An accelerator on its board: what its time depends on.

    Attributes
    ----------
    config
        With the clock of the board.
    dram_gbs
        Bandwidth in 1e9 bytes per second.
    launch_ns
        Registers and interrupt of a run.
    sync_ns, sync_mbs
        Cost of a call of cache maintenance, and its rate in 1e6 bytes per second.
    """

    config: ArrayConfig
    dram_gbs: float
    launch_ns: float
    sync_ns: float
    sync_mbs: float

    @property
    def dram(self) -> Dram:
        """The memory in cycles of the accelerator's clock."""
        return dram_of(self.dram_gbs, self.config.clock_mhz)

    def overhead_ns(self, spans: Sequence[int]) -> int:
        """Return what the host adds for tensors of these sizes in bytes, written and read."""
        return round(self.launch_ns + sum(self.sync_ns + n * 1e3 / self.sync_mbs for n in spans))

    def latency_ns(self, cycles: int, spans: Sequence[int]) -> int:
        """Return the time of a segment from its call to its result."""
        return round(cycles * 1e3 / self.config.clock_mhz) + self.overhead_ns(spans)


def site_of(platform: Platform, device: str) -> Site:
    """Return an FPGA of a platform with the figures of the board's file."""
    fpga = platform.device(device)
    links = [link for link in platform.links if device in link.ends]
    link = min(links, key=lambda one: one.latency_us, default=None)
    return Site(
        config=replace(config(fpga.array), clock_mhz=fpga.mhz),
        dram_gbs=platform.memory_of(device).bandwidth_gbs,
        launch_ns=fpga.launch_us * 1e3,
        sync_ns=link.latency_us * 1e3 if link else 0.0,
        sync_mbs=link.bandwidth_mbs if link else math.inf,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All segments of a run one after the other; ``None`` where one has no such figure.

    ``bit_exact`` says whether every code equals the golden model's.
    """

    cycles: int | None = None
    predicted_cycles: int | None = None
    latency_ns: int | None = None
    predicted_latency_ns: int | None = None
    bit_exact: bool | None = None


def totals(reports: Iterable[SegmentReport], sites: Mapping[str, Site]) -> Totals:
    """Sum segments up; ``sites`` maps device to site."""
    rows = tuple(reports)

    def latency_ns(counted: Sequence[int | None]) -> int | None:
        pairs = zip(rows, counted, strict=True)
        return _sum(
            None if cycles is None else sites[row.device].latency_ns(cycles, row.spans)
            for row, cycles in pairs
        )

    cycles = [row.cycles for row in rows]
    predicted = [row.predicted_cycles for row in rows]
    wrong = _sum(row.wrong_codes for row in rows)
    return Totals(
        cycles=_sum(cycles),
        predicted_cycles=_sum(predicted),
        latency_ns=latency_ns(cycles),
        predicted_latency_ns=latency_ns(predicted),
        bit_exact=None if wrong is None else wrong == 0,
    )


def _sum(values: Iterable[int | None]) -> int | None:
    """Return the sum, ``None`` if a value is missing or there is none."""
    known = list(values)
    if not known or None in known:
        return None
    return sum(value for value in known if value is not None)
