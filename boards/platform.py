"""Frozen facts about a platform: devices, memories, links, rails, operating points.

A `Platform` is data. It is read from ``boards/<name>.toml`` (or joined from several, `load`), names
the source of every figure and holds no policy. Powers are *dynamic* figures above the platform's
idle power, which is the sum over its rails: energy over a window is
``idle_w * window + sum of active_w * busy time``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from heterolith.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class DvfsDomain:
    """A clock domain whose frequency, and maybe core count, software can set.

    Attributes
    ----------
    mhz
        Available frequencies, ascending.
    core_masks
        Sets of cores that may be online, e.g. ``("1000", "1100")``; empty if the domain has no
        cores. A mask without a ``1`` switches the domain off, which pins its frequency to the
        lowest step.
    """

    name: str
    mhz: tuple[float, ...]
    core_masks: tuple[str, ...] = ()

    def settings(self) -> tuple[tuple[float, str], ...]:
        """Return every (mhz, core mask) of the domain; the mask is empty where it has none."""
        return tuple(
            (mhz, mask)
            for mask in self.core_masks or ("",)
            for mhz in (self.mhz[:1] if mask and "1" not in mask else self.mhz)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """One setting of every DVFS domain of a platform, in the order of ``Platform.dvfs``."""

    mhz: tuple[float, ...]
    core_masks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fabric:
    """Resources of an FPGA; ``bram36`` counts 36 Kb blocks."""

    lut: int
    ff: int
    dsp: int
    bram36: int
    uram: int = 0
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Something that computes layers.

    Attributes
    ----------
    name
        Unique in its platform: ``fpga``, ``cpu``, ``gpu``, or ``<board>.<kind>`` where a joined
        board repeats a kind.
    kind
        ``fpga``, ``cpu`` or ``gpu``.
    memory
        Name of the DRAM it works in.
    mhz
        Nominal clock: what ``fp32_gmacs`` and ``active_w`` refer to; for an FPGA the clock of the
        accelerator.
    active_w
        Dynamic power at full load above idle.
    fp32_gmacs, fp16_gmacs, int8_gmacs
        Peak rate in 1e9 multiply-accumulates per second; 0 where the number format is not there.
    launch_us
        Fixed cost of starting one layer.
    array
        FPGA only: the named accelerator configuration of `heterolith.hw.config`.
    sources
        Field name -> where the figure comes from.
    """

    name: str
    kind: str
    board: str
    memory: str
    description: str
    mhz: float
    active_w: float
    fp32_gmacs: float = 0.0
    fp16_gmacs: float = 0.0
    int8_gmacs: float = 0.0
    launch_us: float = 0.0
    cores: int = 0
    array: str = ""
    clocks_mhz: tuple[float, ...] = ()
    fabric: Fabric | None = None
    sources: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A DRAM: capacity and peak bandwidth (1 GB/s = 1e9 bytes per second)."""

    name: str
    board: str
    bytes: int
    bandwidth_gbs: float
    source: str

    def __post_init__(self) -> None:
        _moves(f"memory {self.name!r}", "bandwidth_gbs", self.bandwidth_gbs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A two-way path between two devices that carries one transfer at a time.

    ``latency_us`` is paid once per transfer, ``active_w`` while bytes move.
    """

    name: str
    ends: tuple[str, str]
    bandwidth_mbs: float
    latency_us: float
    active_w: float
    source: str

    def __post_init__(self) -> None:
        _moves(f"link {self.name!r}", "bandwidth_mbs", self.bandwidth_mbs)


def _moves(what: str, name: str, bandwidth: float) -> None:
    """Refuse a bandwidth over which nothing arrives, or at once; raises `InputError`."""
    if not 0 < bandwidth < math.inf:
        raise InputError(f"{name} of {what} is {bandwidth}; it must be a number above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rail:
    """A supply rail with its idle power; ``device`` names whose load shows on it, if one's does."""

    name: str
    board: str
    idle_w: float
    source: str
    device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One or several boards joined by links.

    Attributes
    ----------
    home
        The device where network inputs arrive and outputs are wanted: the first board's CPU, or
        its first device where it has none.
    """

    name: str
    boards: tuple[str, ...]
    home: str
    devices: tuple[Device, ...]
    memories: tuple[Memory, ...]
    links: tuple[Link, ...]
    rails: tuple[Rail, ...]
    dvfs: tuple[DvfsDomain, ...] = ()

    @property
    def idle_w(self) -> float:
        """Power of the whole platform with nothing running."""
        return math.fsum(rail.idle_w for rail in self.rails)

    @property
    def n_operating_points(self) -> int:
        """Number of combinations of DVFS settings; 1 without any DVFS domain."""
        return math.prod(len(domain.settings()) for domain in self.dvfs)

    def device(self, name: str) -> Device:
        """Return the device of that name; raises `KeyError` if there is none."""
        return {device.name: device for device in self.devices}[name]

    def memory_of(self, device: str) -> Memory:
        """Return the DRAM that a device works in."""
        return {memory.name: memory for memory in self.memories}[self.device(device).memory]

    def operating_points(self) -> Iterator[OperatingPoint]:
        """Yield every operating point, the last domain varying fastest."""
        for point in product(*(domain.settings() for domain in self.dvfs)):
            yield OperatingPoint(
                mhz=tuple(mhz for mhz, _ in point), core_masks=tuple(mask for _, mask in point)
            )

    def route(self, source: str, target: str) -> tuple[Link, ...]:
        """Return the links of the path with the fewest hops; empty if both are one device.

        Raises
        ------
        KeyError
            If no path joins the two.
        """
        paths: dict[str, tuple[Link, ...]] = {source: ()}
        frontier = [source]
        while frontier and target not in paths:
            reached = []
            for here in frontier:
                for link in self.links:
                    if here in link.ends:
                        there = link.ends[1 - link.ends.index(here)]
                        if there not in paths:
                            paths[there] = (*paths[here], link)
                            reached.append(there)
            frontier = reached
        return paths[target]
