"""What a plan hands to a device at once: one layer, or a segment of connected layers.

A device that takes segments runs all layers of one without the host. Each such layer has a depth:
the most hand-overs from such a device on a path to it. Connected layers of one device and one depth
are a segment. A path that leaves a segment and comes back gains depth, so segments and the other
layers have an order in which each needs only what earlier ones made. Every device serves its units
in that order, so that no two devices wait for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from heterolith.sw.network import Layer, Network
from heterolith.sw.segments.forms import Form, joinable, lay, moves


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Layers that one device runs as a whole, in the network's order.

    Attributes
    ----------
    inputs
        Tensors that come from elsewhere, in order of first use.
    outputs
        Tensors that others read, or the network's user.
    """

    device: str
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def computes(self) -> bool:
        """Whether a layer does more than move codes."""
        return not all(moves(layer) for layer in self.layers)

    @property
    def name(self) -> str:
        """Name of the layer, or ``first..last``."""
        first, last = self.layers[0].name, self.layers[-1].name
        return first if len(self.layers) == 1 else f"{first}..{last}"


def units(network: Network, place: Mapping[str, str], lanes: Mapping[str, int]) -> tuple[Unit, ...]:
    """Cut a placed network into units, in an order in which they can run.

    Parameters
    ----------
    place
        Layer name -> device, for every layer.
    lanes
        Device -> channels of a block, for the devices that take segments.

    Raises
    ------
    InputError
        If a device that takes segments cannot compute a layer of its own.
    """
    groups = _groups(network, place, lanes)
    home = {layer.name: index for index, group in enumerate(groups) for layer in group}
    maker = {name: home[layer.name] for layer in network.layers for name in layer.outputs}
    shown = set(network.outputs)
    for layer in network.layers:
        shown |= {x for x in network.activations(layer) if maker.get(x) != home[layer.name]}
    found = []
    for group in groups:
        own = {name for layer in group for name in layer.outputs}
        read = dict.fromkeys(x for layer in group for x in network.activations(layer))
        found.append(
            Unit(
                device=place[group[0].name],
                layers=tuple(group),
                inputs=tuple(name for name in read if name not in own),
                outputs=tuple(x for layer in group for x in layer.outputs if x in shown),
            )
        )
    return tuple(found[index] for index in _order(found, maker))


def _groups(
    network: Network, place: Mapping[str, str], lanes: Mapping[str, int]
) -> list[list[Layer]]:
    """Return the layers of each unit, units in order of their first layers."""
    walk = _Walk(network, place, lanes)
    parent = {layer.name: layer.name for layer in network.layers}

    def find(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    groups: dict[str, list[Layer]] = {}
    for layer in network.layers:
        for other in walk.joins(layer):
            parent[find(other)] = find(layer.name)
    for layer in network.layers:
        groups.setdefault(find(layer.name), []).append(layer)
    return list(groups.values())


class _Walk:
    """Depths and forms of what was seen so far; see the module docstring."""

    def __init__(
        self, network: Network, place: Mapping[str, str], lanes: Mapping[str, int]
    ) -> None:
        self.network, self.place, self.lanes = network, place, lanes
        self.maker: dict[str, Layer] = {}
        self.depth: dict[str, int] = {}
        self.joined: set[str] = set()
        self.forms: dict[str, Form] = {}

    def joins(self, layer: Layer) -> list[str]:
        """Take the next layer; return the earlier layers of its segment that it reads from."""
        reads = [x for x in self.network.activations(layer) if x in self.maker]
        self.maker |= dict.fromkeys(layer.outputs, layer)
        lanes = self.lanes.get(self.place[layer.name])
        if lanes is None or not joinable(self.network, layer, lanes):
            self.depth[layer.name] = max((self._left(x) for x in reads), default=0)
            return []
        near = {x for x in reads if self._beside(x, layer)}
        depth = max((self._left(x) - (x in near) for x in reads), default=0)
        same = {x for x in near if self._depth(x) == depth}
        laid = lay(self.network, layer, self._given(same), lanes)
        if laid.broken:
            depth, same = depth + 1, set()
            laid = lay(self.network, layer, {}, lanes)
        self.depth[layer.name] = depth
        self.joined.add(layer.name)
        if laid.result is not None:
            self.forms[layer.outputs[0]] = laid.result
        return [self.maker[x].name for x in reads if x in same]

    def _depth(self, tensor: str) -> int:
        return self.depth[self.maker[tensor].name]

    def _left(self, tensor: str) -> int:
        """Return the depth of what another device makes of a tensor."""
        return self._depth(tensor) + (self.maker[tensor].name in self.joined)

    def _beside(self, tensor: str, layer: Layer) -> bool:
        maker = self.maker[tensor].name
        return maker in self.joined and self.place[maker] == self.place[layer.name]

    def _given(self, tensors: set[str]) -> dict[str, Form]:
        return {x: self.forms[x] for x in tensors if x in self.forms}


def _order(found: Sequence[Unit], maker: Mapping[str, int]) -> list[int]:
    """Return a topological order of the units, the network's where it has the choice."""
    needs = [{maker[x] for x in unit.inputs if x in maker} for unit in found]
    readers: list[list[int]] = [[] for _ in found]
    for index, sources in enumerate(needs):
        for source in sources:
            readers[source].append(index)
    missing = [len(sources) for sources in needs]
    ready = [index for index, count in enumerate(missing) if not count]
    heapify(ready)
    order = []
    while ready:
        order.append(heappop(ready))
        for reader in readers[order[-1]]:
            missing[reader] -= 1
            if not missing[reader]:
                heappush(ready, reader)
    return order
