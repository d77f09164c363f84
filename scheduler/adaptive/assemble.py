"""Recorded networks on boards with several devices: FPGA, CPU and GPU under one operating point.

CPU and GPU of a board with DVFS domains are priced over a grid of its points, all cores of the
first cluster on and other clusters off (`space` says how, and what is assumed). The FPGA computes
int8 at its one clock, as the cycle model has it. Where a block's input or an exit's answer changes
devices, the links of the platform say what that takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heterolith import boards, metrics
from heterolith.boards import Device, Platform
from heterolith.errors import InputError
from heterolith.metrics.trace import Block, RecordedTrace
from heterolith.scheduler.adaptive.model import (
    Board,
    Degree,
    KnobLayer,
    KnobNetwork,
    Place,
    SystemPoint,
    hull,
)
from heterolith.scheduler.adaptive.pricing import (
    PPM,
    SWITCH_NS,
    block_work,
    image_trace,
    known_blocks,
)
from heterolith.scheduler.adaptive.space import (
    Floats,
    Space,
    active_w,
    front,
    space_of,
    times,
)
from heterolith.scheduler.realtime.convert import network_times
from heterolith.sw.network import Network

BEST = 0.7
"""BCET as a share of the WCET (assumed)."""
Named = Mapping[str, tuple[Network, RecordedTrace]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """A block on a device: its degrees; slowdown and power, W, over all points."""

    degrees: tuple[Degree, ...]
    slowdown: Floats
    power: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Grid:
    """A platform, its board with DVFS domains alone, and that board's points by device."""

    platform: Platform
    tuned: Platform | None
    spaces: Mapping[str, Space]
    idle_w: Floats


def assemble(
    name: str, devices: Sequence[str], networks: Named
) -> tuple[Board, dict[str, KnobNetwork]]:
    """Return the board of a platform, and networks with their blocks on each of its devices.

    Parameters
    ----------
    name
        A platform, as `heterolith.boards.load` takes it; at most one of its boards has DVFS.
    devices
        Names of the devices that compute. The first is where blocks are unless they are placed;
        it must have every block.
    networks
        Name -> network and what was recorded on it. Input comes from the first CPU among `devices`,
        or the first device, and answers go there.

    Raises
    ------
    InputError
        If a device is unknown, or the first cannot run some block.
    """
    platform = boards.load(name)
    known = {device.name: device for device in platform.devices}
    for device in devices:
        if device not in known:
            raise InputError(f"platform {name} has no device {device!r}; it has {', '.join(known)}")
    chosen = tuple(known[device] for device in devices)
    home = next((i for i, device in enumerate(chosen) if device.kind == "cpu"), 0)
    grid = _grid(platform, chosen)
    spots: list[_Spot] = []
    made = {}
    for label, (network, recorded) in networks.items():
        recorded.check(network)
        made[label], priced = _network(label, network, recorded, (grid, chosen, home, len(spots)))
        spots += priced
    board = Board(
        name=name,
        resources=tuple(devices),
        kinds=tuple(f"work {number}" for number in range(len(spots))),
        points=_points(grid, spots),
        switch_ns=SWITCH_NS if grid.tuned else 0,
        home=home,
        source="data-sheet rooflines and simulated FPGA cycles; powers of boards/*.toml",
    )
    return board, made


def _grid(platform: Platform, devices: Sequence[Device]) -> _Grid:
    tunable = [b for b in map(boards.load, platform.boards) if b.dvfs]
    if not tunable:
        return _Grid(platform=platform, tuned=None, spaces={}, idle_w=np.array([platform.idle_w]))
    alone = tunable[0]
    first = next(d.name for d in alone.dvfs if d.core_masks)
    domains = []
    for domain in alone.dvfs:
        masks = domain.core_masks
        full = max(masks, key=lambda m: m.count("1") + m.count("?"), default="")
        none = min(masks, key=lambda m: m.count("1"), default="")
        kept = (full.replace("?", "1") if domain.name == first else none,) if masks else ()
        domains.append(replace(domain, core_masks=kept))
    alone = replace(alone, dvfs=tuple(domains))
    kinds = {device.kind: device for device in alone.devices}
    spaces = {
        device.name: space_of(alone, kinds[device.kind], distinct=False)
        for device in devices
        if device.board == alone.name
    }
    idle = next(iter(spaces.values())).idle_w + platform.idle_w - alone.idle_w
    return _Grid(platform=platform, tuned=alone, spaces=spaces, idle_w=idle)


def _network(
    name: str,
    network: Network,
    recorded: RecordedTrace,
    where: tuple[_Grid, Sequence[Device], int, int],
) -> tuple[KnobNetwork, list[_Spot]]:
    grid, devices, home, count = where
    platform = grid.platform
    profile = metrics.estimate(network, platform)
    moves = network_times(profile, network, platform).enter_ns
    order = {layer.name: index for index, layer in enumerate(network.layers)}
    rows = [[d.name for d in platform.devices].index(device.name) for device in devices]
    layers: list[KnobLayer] = []
    spots: list[_Spot] = []
    for number, block in enumerate(known_blocks(recorded)):
        enter = moves[min(order[layer] for layer in block.layers)]
        answer = dict.fromkeys(rows, 0)
        if number in recorded.exits:
            tensor = network.outputs[recorded.exits.index(number)]
            for hop in profile.transfers:
                for row, device in zip(rows, devices, strict=True):
                    ends = (tensor, device.name, devices[home].name)
                    if (hop.tensor, hop.origin, hop.target) == ends:
                        answer[row] += hop.latency_ns
        places = []
        for resource, (row, device) in enumerate(zip(rows, devices, strict=True)):
            spot = _spot(network, block, device, (grid, answer[row]), profile)
            if spot is not None:
                kind = count + len(spots)
                places.append(Place(resource=resource, kind=kind, degrees=spot.degrees))
                spots.append(spot)
        if not places or places[0].resource != 0:
            raise InputError(
                f"block {block.name!r} of {name!r} cannot run on {devices[0].name}, the first"
            )
        layers.append(
            KnobLayer(
                name=block.name,
                degrees=hull(places[0].degrees),
                kind=places[0].kind,
                places=tuple(places[1:]),
                move_ns=tuple(tuple(enter[a][b] for b in rows) for a in rows),
            )
        )
    made = KnobNetwork(
        name=name, layers=tuple(layers), exits=recorded.exits, trace=image_trace(recorded)
    )
    return made, spots


def _spot(
    network: Network,
    block: Block,
    device: Device,
    where: tuple[_Grid, int],
    profile: metrics.Profile,
) -> _Spot | None:
    """Price a block on a device; None if it cannot compute it."""
    grid, answer_ns = where
    count = len(grid.idle_w)
    slowdown, power, degrees = np.ones(count), np.zeros(count), []
    space = grid.spaces.get(device.name)
    for degree in block.degrees:
        if space is None:
            nominal = _nominal_ns(block, degree.name, device, profile)
            if nominal is None:
                continue
            power[:] = device.active_w
        else:
            work = block_work(network, block, degree, device)
            if work is None:
                continue
            assert grid.tuned is not None
            own = next(d for d in grid.tuned.devices if d.kind == device.kind)
            start, computing = times(work, space, grid.tuned, own)
            whole, top = start + computing, _top(grid)
            slowdown = np.maximum(slowdown, whole / whole[top])
            power = np.maximum(power, active_w(start, computing, space, grid.tuned, own))
            nominal = int(np.ceil(whole[top]))
        wcet = nominal + answer_ns
        degrees.append(
            Degree(
                name=degree.name, wcet_ns=wcet, bcet_ns=max(1, int(wcet * BEST)), loss=degree.loss
            )
        )
    if not degrees:
        return None
    return _Spot(degrees=hull(degrees), slowdown=slowdown, power=power)


def _top(grid: _Grid) -> int:
    """Return the point with the clocks of all devices at their highest."""
    parts = [s.host + s.core + s.memory for s in grid.spaces.values()]
    return int(np.argmax(np.sum(parts, axis=0)))


def _nominal_ns(block: Block, degree: str, device: Device, profile: metrics.Profile) -> int | None:
    """Return a block's time on a device without operating points, from the layers' estimates."""
    if degree != ("int8" if device.kind == "fpga" else "fp32"):
        return None
    found = {c.layer: c.latency_ns for c in profile.costs if c.device == device.name}
    if not all(layer in found for layer in block.layers):
        return None
    return max(1, sum(found[layer] for layer in block.layers))


def _points(grid: _Grid, spots: Sequence[_Spot]) -> tuple[SystemPoint, ...]:
    """Return the highest point and those on the front of some block, or of all together."""
    if grid.tuned is None:
        powers = tuple(round(float(spot.power[0]) * 1e3) for spot in spots)
        return (
            SystemPoint(
                name="nominal",
                idle_mw=round(grid.platform.idle_w * 1e3),
                active_mw=powers,
                slowdown_ppm=(PPM,) * len(spots),
            ),
        )
    space = next(iter(grid.spaces.values()))
    top = _top(grid)
    mean = np.mean([spot.slowdown for spot in spots], axis=0)
    fronts = [(spot.slowdown, spot.power) for spot in spots]
    fronts.append((mean, np.mean([spot.power for spot in spots], axis=0)))
    kept = {
        int(at)
        for slowdown, power in fronts
        for at in front(np.round(slowdown, 9), np.round(power + grid.idle_w, 9))
    }
    return tuple(
        SystemPoint(
            name="/".join(f"{mhz:g}" for mhz in space.points[at].mhz),
            idle_mw=round(float(grid.idle_w[at]) * 1e3),
            active_mw=tuple(round(float(spot.power[at]) * 1e3) for spot in spots),
            slowdown_ppm=tuple(int(np.ceil(spot.slowdown[at] * PPM - 1e-3)) for spot in spots),
        )
        for at in (top, *sorted(kept - {top}, key=lambda at: (float(mean[at]), at)))
    )
