"""Layer times for real-time analysis from a Profile of a network on a platform.

The layers run one after the other in network order. Where the resource changes, all tensors that
are still needed move: a model that is simple, and safe for networks with branches. The network's
input comes from the platform's home and its outputs go back there, as part of the first and of the
last layer.
"""

from __future__ import annotations

from heterolith.boards import Device, Platform
from heterolith.metrics import Profile
from heterolith.scheduler.realtime.profile import NetworkTimes
from heterolith.scheduler.realtime.tasks import Point, Resource
from heterolith.sw import Network


def resource_of(device: Device) -> Resource:
    """Return a platform's device as a resource; its energy is counted above the board's idle."""
    return Resource(name=device.name, points=(Point(active_mw=round(device.active_w * 1000)),))


def _live(network: Network) -> list[set[str]]:
    """Return the activations that a later layer or the outside still needs, before each layer."""
    needed = set(network.outputs)
    before: list[set[str]] = []
    for layer in reversed(network.layers):
        needed = (needed - set(layer.outputs)) | set(network.activations(layer))
        before.append(set(needed))
    return before[::-1]


def network_times(profile: Profile, network: Network, platform: Platform) -> NetworkTimes:
    """Return WCETs per layer and device, and what entering a device costs.

    The latency of a row is taken as its worst case; where the row has a finite interval, its upper
    end is.
    """
    names = [device.name for device in platform.devices]
    worst: dict[tuple[str, str], int] = {}
    for cost in profile.costs:
        high = cost.latency_high_ns
        time = max(1, cost.latency_ns, int(high) if high < 2**62 else 0)
        at = (cost.layer, cost.device)
        worst[at] = min(time, worst.get(at, time))
    hops: dict[tuple[str, str, str], int] = {}
    for hop in profile.transfers:
        key = (hop.tensor, hop.origin, hop.target)
        hops[key] = hops.get(key, 0) + hop.latency_ns

    def move(tensors: set[str], origin: str, target: str) -> int:
        return sum(hops.get((tensor, origin, target), 0) for tensor in tensors)

    last = len(network.layers) - 1
    layers: list[tuple[int | None, ...]] = []
    for index, layer in enumerate(network.layers):
        row: list[int | None] = []
        for name in names:
            ends = move(set(network.inputs), platform.home, name) if index == 0 else 0
            ends += move(set(network.outputs), name, platform.home) if index == last else 0
            alone = worst.get((layer.name, name))
            row.append(None if alone is None else alone + ends)
        layers.append(tuple(row))
    enter = tuple(
        tuple(tuple(move(live, a, b) if a != b else 0 for b in names) for a in names)
        for live in _live(network)
    )
    sources = ", ".join(sorted({cost.source for cost in profile.costs}))
    return NetworkTimes(
        name=network.name,
        layers=tuple(layers),
        enter_ns=enter,
        source=f"{profile.platform}: {sources}",
    )
