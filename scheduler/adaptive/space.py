"""A board's whole space of operating points, and what blocks take and draw at each of them.

Times are rooflines at data-sheet peaks (`heterolith.metrics.estimate`), each part on its own clock:
starting a layer on the CPU's, arithmetic on the device's (and on the cores online), traffic on the
memory's. Powers rest on the board's figures. **Assumed**: the voltage falls linearly with the clock
to 70 % at 40 % of it; one core starts layers; cores and GPU draw full power while they compute.
Nothing is fitted. Of the space only points that are on some block's front of time and power make it
into the `Board`; NeuOS has 11,760 points on the Jetson TX2 and 51,968 on the AGX Xavier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from heterolith.boards import Device, OperatingPoint, Platform
from heterolith.metrics.table import clocks_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """What raises a board's idle power, W.

    Attributes
    ----------
    memory_w
        From the lowest to the highest clock of the memory.
    second, second_w, further_w
        Domain of a second cluster: its first core at the lowest and highest clock, every other one.
    """

    memory_w: float = 0.0
    second: str = ""
    second_w: tuple[float, float] = (0.0, 0.0)
    further_w: float = 0.0


IDLE = {
    # NeuOS energymon/TX2/testCuda/tmp.log, VDD_IN: 3.18 - 1.70; 1.69, 1.99 and 2.00 less 1.62 W
    "jetson-tx2": Idle(memory_w=1.48, second="denver", second_w=(0.07, 0.37), further_w=0.01),
}
"""Boards of which it is known; the others' idle power is the sum of their rails at every point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One layer: operations, bytes of activations and of weights, rate in operations per ns."""

    operations: int
    moved_bytes: int
    weight_bytes: int
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Points in arrays of shape (P,): clocks and cores as parts of the highest, idle power.

    Of points that are the same to the device only the first is listed; `enumerated` counts all.
    """

    enumerated: int
    points: tuple[OperatingPoint, ...]
    host: Floats
    core: Floats
    memory: Floats
    cores: Floats
    idle_w: Floats

    def __len__(self) -> int:
        return len(self.points)


def voltage(part: Floats) -> Floats:
    """Return the supply voltage at a part of the clock, nominal 1 (assumed)."""
    return 0.5 + 0.5 * part


def space_of(platform: Platform, device: Device, *, distinct: bool = True) -> Space:
    """Enumerate a platform's points as a device sees them; all of them unless `distinct`."""
    points = tuple(platform.operating_points())
    clocks = clocks_of(platform, device, points)
    domains = {domain.name: at for at, domain in enumerate(platform.dvfs)}
    cpu = next((n for n in domains if n not in {"gpu", "emc"}), None)
    online = np.ones(len(points))
    if cpu is not None and device.kind == "cpu":
        online = np.array([p.core_masks[domains[cpu]].count("1") for p in points]) / device.cores
    parts = {name: values / np.nanmax(values) for name, values in clocks.items()}
    idle = np.full(len(points), platform.idle_w)
    known = IDLE.get(platform.boards[0])
    if known is not None:
        mhz = clocks["memory_mhz"]
        idle += known.memory_w * (mhz - mhz.min()) / np.ptp(mhz)
        second = domains[known.second]
        mhz = np.array([p.mhz[second] for p in points])
        on = np.array([p.core_masks[second].count("1") for p in points])
        low, high = known.second_w
        first = low + (high - low) * (mhz - mhz.min()) / max(np.ptp(mhz), 1e-9)
        idle += np.where(on > 0, first + known.further_w * (on - 1), 0.0)
    columns = np.stack(
        [
            parts["host_mhz"],
            parts["core_mhz"],
            np.nan_to_num(parts["memory_mhz"], nan=1.0),
            online,
            np.round(idle, 9),
        ]
    )
    rows = np.sort(np.unique(columns, axis=1, return_index=True)[1])
    if not distinct:
        rows = np.arange(len(points))
    host, core, memory, cores, idle = columns[:, rows]
    return Space(
        enumerated=len(points),
        points=tuple(points[row] for row in rows.tolist()),
        host=host,
        core=core,
        memory=memory,
        cores=cores,
        idle_w=idle,
    )


def times(
    layers: Sequence[Work], space: Space, platform: Platform, device: Device, count: int = 1
) -> tuple[Floats, Floats]:
    """Return ns of starting and of computing `count` inputs, shape (P,) each."""
    bandwidth = platform.memory_of(device.name).bandwidth_gbs * space.memory
    start = len(layers) * device.launch_us * 1e3 / space.host
    computing = np.zeros(len(space))
    for layer in layers:
        moved = count * layer.moved_bytes + layer.weight_bytes
        arithmetic = count * layer.operations / (layer.rate * space.core * space.cores)
        computing += np.maximum(arithmetic, moved / bandwidth)
    return start, computing


def active_w(
    start: Floats, computing: Floats, space: Space, platform: Platform, device: Device
) -> Floats:
    """Return the mean power above idle while a block runs, shape (P,)."""
    cpus = [d for d in platform.devices if d.kind == "cpu" and d.board == device.board]
    one = cpus[0].active_w / cpus[0].cores * space.host * voltage(space.host) ** 2
    if device.kind == "cpu":
        busy = device.cores * space.cores * one
    else:
        # the published figure is above the idle board's, memory and second cluster at rest
        whole = device.active_w - (float(space.idle_w.max()) - platform.idle_w)
        own = whole - cpus[0].active_w / cpus[0].cores
        busy = one + own * space.core * voltage(space.core) ** 2
    total = np.maximum(start + computing, 1e-9)
    return np.asarray((start * one + computing * busy) / total)


def front(slowdown: Floats, power: Floats) -> NDArray[np.intp]:
    """Return the indices of points that none beats in both time and power, fastest first."""
    order = np.lexsort((power, slowdown))
    lowest = np.minimum.accumulate(power[order])
    keep = np.concatenate([[True], lowest[1:] < lowest[:-1]])
    return np.asarray(order[keep])


def top_of(space: Space) -> int:
    """Return the point with every clock at its highest and all cores online."""
    sums = space.host + space.core + space.memory + space.cores + space.idle_w
    return int(np.argmax(sums))
