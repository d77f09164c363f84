"""Recorded networks on a board: times and powers of their blocks over its whole DVFS space.

`price` gives what the policies need: networks whose blocks have degrees with times, what batches
save, and a `Board` with the points worth having. NeuOS searches 11,760 points on the Jetson TX2 and
51,968 on the AGX Xavier; those that some block has a use for are a few dozen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from heterolith.boards import Device, OperatingPoint, Platform
from heterolith.errors import InputError
from heterolith.metrics.trace import Block, BlockDegree, RecordedTrace, degree_network
from heterolith.metrics.work import moved_bytes, operations
from heterolith.scheduler.adaptive.model import (
    Board,
    Degree,
    KnobLayer,
    KnobNetwork,
    SystemPoint,
    hull,
)
from heterolith.scheduler.adaptive.sharing import Batches
from heterolith.scheduler.adaptive.space import (
    Floats,
    Space,
    Work,
    active_w,
    front,
    space_of,
    times,
    top_of,
)
from heterolith.scheduler.adaptive.trace import ImageTrace, held_out
from heterolith.sw.network import Network
from heterolith.sw.variants import parse_variant

PPM = 1_000_000
SWITCH_NS = 300_000
"""Linux, drivers/cpufreq/tegra186-cpufreq.c: ``transition_latency``; taken for every domain."""
BATCH = 8
"""Batches up to this size are priced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A board cut to its useful points, networks whose blocks have times on it, batches."""

    board: Board
    networks: Mapping[str, KnobNetwork]
    batches: Mapping[str, Batches]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """A block on a device: its degrees, slowdown and power over all points, batches by degree."""

    name: str
    degrees: tuple[Degree, ...]
    slowdown: Floats
    power: Floats
    once_ppm: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seat:
    """A device of a platform with its points; `top` is the reference."""

    platform: Platform
    device: Device
    space: Space
    top: int
    best: float


def block_work(
    network: Network, block: Block, degree: BlockDegree, device: Device
) -> tuple[Work, ...] | None:
    """Return the layers of a block in a degree; None if the device has no rate for its format."""
    precision = parse_variant(degree.name).precision
    rates = {"fp32": device.fp32_gmacs, "fp16": device.fp16_gmacs, "int8": device.int8_gmacs}
    if not rates[precision]:
        return None
    made, changed, layers = degree_network(network, degree), set(degree.changed), []
    for layer in made.network.layers:
        old = made.origin.get(layer.name)
        if old not in block.layers or not moved_bytes(made.network, layer):
            continue
        own = precision if old in changed else "fp32"
        width = {"fp32": 4, "fp16": 2, "int8": 1}[own]
        weights = made.network.weight_bytes(layer, width)
        layers.append(
            Work(
                operations=operations(made.network, layer),
                moved_bytes=moved_bytes(made.network, layer, width) - weights,
                weight_bytes=weights,
                rate=rates[own],
            )
        )
    return tuple(layers)


def price(
    platform: Platform,
    device: str,
    networks: Mapping[str, tuple[Network, RecordedTrace]],
    best: float = 0.7,
) -> Priced:
    """Return a device of a platform as a board, and recorded networks priced on it; data-sheet.

    Parameters
    ----------
    platform
        One board with DVFS domains.
    device
        Its CPU or GPU, which computes everything.
    networks
        Name -> network and what was recorded on it.
    best
        BCET as a share of the WCET (assumed).

    Raises
    ------
    InputError
        If the device is no CPU or GPU, the share is not in 0..1, or a trace is another network's.
    """
    known = {d.name: d for d in platform.devices if d.kind in {"cpu", "gpu"}}
    if device not in known or not 0 < best <= 1 or len(platform.boards) != 1:
        raise InputError(
            f"device {device!r} of {platform.name} with BCET share {best}: take one board, one of "
            f"{', '.join(known)}, and a share above 0 and at most 1"
        )
    space = space_of(platform, known[device])
    seat = _Seat(
        platform=platform,
        device=known[device],
        space=space,
        top=top_of(space),
        best=best,
    )
    made: dict[str, KnobNetwork] = {}
    blocks: dict[str, list[_Block]] = {}
    for name, (network, recorded) in networks.items():
        recorded.check(network)
        first = sum(map(len, blocks.values()))
        blocks[name] = [_block(network, block, seat) for block in known_blocks(recorded)]
        made[name] = KnobNetwork(
            name=name,
            layers=tuple(
                KnobLayer(name=block.name, kind=kind, degrees=block.degrees)
                for kind, block in enumerate(blocks[name], start=first)
            ),
            exits=recorded.exits,
            trace=image_trace(recorded),
        )
    every = [block for row in blocks.values() for block in row]
    board = Board(
        name=f"{platform.name}.{device}",
        resources=(device,),
        kinds=tuple(f"{name}/{block.name}" for name, row in blocks.items() for block in row),
        points=_points(seat, every),
        switch_ns=SWITCH_NS,
        source="data-sheet rooflines over clocks, powers of the board; scheduler/adaptive/space.py",
    )
    batches = {
        name: {(b.name, degree): part for b in row for degree, part in b.once_ppm.items()}
        for name, row in blocks.items()
    }
    return Priced(board=board, networks=made, batches=batches)


def known_blocks(recorded: RecordedTrace) -> tuple[Block, ...]:
    """Return the blocks with losses measured on the held-out images alone, which no job gets.

    Whatever is not exact loses at least one image: less cannot be told from chance, and the exact
    degree stays on offer.
    """
    held = max(1, held_out(recorded.correct.shape[1]))
    right = recorded.correct[:, :held, -1].mean(axis=1)
    sizes = [len(block.degrees) for block in recorded.blocks]
    made = []
    for number, block in enumerate(recorded.blocks):
        step = math.prod(sizes[number + 1 :])
        degrees = tuple(
            replace(
                degree,
                loss=max(float(right[0] - right[at * step]), 1 / held) if degree.changed else 0.0,
            )
            for at, degree in enumerate(block.degrees)
        )
        made.append(replace(block, degrees=degrees))
    return tuple(made)


def _block(network: Network, block: Block, seat: _Seat) -> _Block:
    """Price a block; slowdown and power are those of the degree that suffers most at each point."""
    space, platform, device = seat.space, seat.platform, seat.device
    degrees, once = [], {}
    slowdown, power = np.ones(len(space)), np.zeros(len(space))
    for degree in block.degrees:
        work = block_work(network, block, degree, device)
        if work is None:
            continue
        start, computing = times(work, space, platform, device)
        whole = start + computing
        slowdown = np.maximum(slowdown, whole / whole[seat.top])
        power = np.maximum(power, active_w(start, computing, space, platform, device))
        wcet = int(np.ceil(whole[seat.top]))
        best = max(1, int(wcet * seat.best))
        degrees.append(Degree(name=degree.name, wcet_ns=wcet, bcet_ns=best, loss=degree.loss))
        once[degree.name] = _once(work, seat)
    return _Block(
        name=block.name, degrees=hull(degrees), slowdown=slowdown, power=power, once_ppm=once
    )


def image_trace(recorded: RecordedTrace) -> ImageTrace:
    """Return a recorded trace by the names of its degrees."""
    names = [[degree.name for degree in block.degrees] for block in recorded.blocks]
    return ImageTrace(
        network=recorded.fingerprint,
        layers=tuple(block.name for block in recorded.blocks),
        exits=recorded.exits,
        choices=tuple(itertools.product(*names)),
        confidence=recorded.confidence,
        correct=recorded.correct,
        source=f"measured: {recorded.data}",
    )


def _once(work: Sequence[Work], seat: _Seat) -> int:
    """Return the part of a block's time, ppm rounded down, that batches of any size pay once."""
    whole = [
        float(sum(t[seat.top] for t in times(work, seat.space, seat.platform, seat.device, n)))
        for n in range(1, BATCH + 1)
    ]
    steepest = max((t - whole[0]) / (n * whole[0]) for n, t in enumerate(whole[1:], start=1))
    return max(0, int((1 - steepest) * PPM))


def _points(seat: _Seat, blocks: Sequence[_Block]) -> tuple[SystemPoint, ...]:
    """Return the highest point and all that are on some block's front, fastest first."""
    space = seat.space
    kept = {
        int(at)
        for block in blocks
        for at in front(np.round(block.slowdown, 9), np.round(block.power + space.idle_w, 9))
    }
    mean = np.mean([block.slowdown for block in blocks], axis=0)
    rest = sorted(kept - {seat.top}, key=lambda at: (float(mean[at]), at))
    return tuple(
        SystemPoint(
            name=_label(space.points[at]),
            idle_mw=round(float(space.idle_w[at]) * 1e3),
            active_mw=tuple(round(float(block.power[at]) * 1e3) for block in blocks),
            slowdown_ppm=tuple(
                int(np.ceil(np.round(block.slowdown[at], 9) * PPM)) for block in blocks
            ),
        )
        for at in (seat.top, *rest)
    )


def _label(point: OperatingPoint) -> str:
    return "/".join(
        f"{mhz:g}x{mask.count('1')}" if mask else f"{mhz:g}"
        for mhz, mask in zip(point.mhz, point.core_masks, strict=True)
    )
