"""Which tensor lies where: slices of concatenations, frames of padding, memory shared over time.

Memory with padding or ones in it is shared between tensors of the very same geometry alone: they
are written once, when the memory is made, and hold for all runs. Other tensors share whatever is
large enough. Invariant: two tensors share memory only if one is dead before the level in which the
other is made.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import numpy as np

from heterolith.sw.fast.nodes import Node, is_joined
from heterolith.sw.fast.spots import PLAIN, Frame, Spot
from heterolith.sw.network import Array, Network, TensorType
from heterolith.sw.pages import zeros

_GAP = 16
_LINE = 64


@dataclass(frozen=True, slots=True)
class Room:
    """Geometry of a buffer; ``channels`` is 0 for tensors that lie as they are."""

    shape: tuple[int, ...]
    dtype: str
    frame: Frame = PLAIN
    channels: int = 0
    ones: bool = False

    @property
    def bytes(self) -> int:
        """Size, rounded up to whole cache lines."""
        return -(-prod(self.shape) * np.dtype(self.dtype).itemsize // _LINE) * _LINE


def room_for(kind: TensorType, frame: Frame = PLAIN, ones: bool = False) -> Room:
    """Return the geometry of a tensor: channels last if it has four axes."""
    if len(kind.shape) != 4:
        return Room(kind.shape, kind.dtype)
    n, channels, height, width = kind.shape
    rows, columns = height + frame.top + frame.bottom, width + frame.left + frame.right
    pitch = channels + _GAP if ones else channels
    return Room((n, rows, columns, pitch), kind.dtype, frame, channels, ones)


@dataclass(slots=True)
class _Tenant:
    """Something that needs a room from one level to another."""

    room: Room
    birth: int
    death: int
    offset: int = 0
    kept: bool = False  # zeros that its reader leaves as they are

    @property
    def kind(self) -> Room | None:
        """Geometry of the memory that it may share; ``None`` for any."""
        anywhere = not (self.kept or self.room.ones) and self.room.frame == PLAIN
        return None if anywhere else self.room


@dataclass(frozen=True, slots=True)
class Wants:
    """What readers need of tensors.

    Attributes
    ----------
    frames
        Places that are read, with tensor and padding.
    ones
        Tensors whose pixels should be followed by a 1.
    rooms
        Buffers of a level that belong to one reader, by a name of its own.
    in_place
        Layers that write a result only where they have just read the residual.
    """

    frames: set[tuple[str, Frame]] = field(default_factory=set)
    ones: set[str] = field(default_factory=set)
    rooms: dict[str, tuple[Room, int]] = field(default_factory=dict)
    in_place: set[str] = field(default_factory=set)


def _slices(network: Network, nodes: Sequence[Node]) -> dict[str, tuple[str, int]]:
    """Return tensor -> buffer of a concatenation that it may lie in, and its first channel."""
    place: dict[str, tuple[str, int]] = {}
    made = {name for node in nodes for name in node.layer.outputs}
    for node in reversed(nodes):
        layer = node.layer
        if not is_joined(network, layer.op, layer.inputs, layer.attributes.get("axis", 0)):
            continue
        root, offset = place.get(layer.outputs[0], (layer.outputs[0], 0))
        for name in layer.inputs:
            if name in made and name not in place and layer.inputs.count(name) == 1:
                place[name] = (root, offset)
            offset += network.tensors[name].shape[1]
    return place


class Layout:
    """Places of all tensors of a network.

    Parameters
    ----------
    network
        Types of the tensors.
    nodes
        In order of levels.
    wants
        What is read where.
    shared
        Whether forked processes must see the memory.
    """

    def __init__(
        self, network: Network, nodes: Sequence[Node], wants: Wants, *, shared: bool
    ) -> None:
        self._network = network
        self._slices = _slices(network, nodes)
        spans = _spans(network, nodes)
        tenants = self._tenants(spans, wants)
        able = [node for node in nodes if node.layer.name in wants.in_place]
        _written_in_place(able, nodes, spans, tenants)
        total = _assign(tenants.values())
        self.bytes = total
        self._memory = _memory(total, shared)
        self._spots: dict[str, dict[Frame, Spot]] = {}
        for (name, frame), tenant in tenants.items():
            if frame is not None:
                spot = self._spot(tenant)
                self._spots.setdefault(name, {})[frame] = spot
        for name, (root, offset) in self._slices.items():
            whole = self._spots[root][PLAIN]
            width = network.tensors[name].shape[1]
            ends = offset + width == network.tensors[root].shape[1]
            part = Spot(whole.outer[..., offset : offset + width], ones=ends and whole.ones)
            self._spots.setdefault(name, {})[PLAIN] = part
        self._rooms = {
            name: self._array(tenant) for (name, frame), tenant in tenants.items() if frame is None
        }

    def spot(self, name: str, frame: Frame = PLAIN) -> Spot:
        """Return the place of a tensor inside a frame."""
        return self._spots[name][frame]

    def spots(self, name: str) -> tuple[Spot, ...]:
        """Return all places of a tensor, the one without padding first."""
        places = self._spots[name]
        return tuple(places[frame] for frame in sorted(places, key=lambda frame: frame != PLAIN))

    def room(self, name: str) -> Array:
        """Return the buffer that a reader asked for, filled with zeros."""
        return self._rooms[name]

    def inside(self, name: str, whole: str) -> bool:
        """Tell whether a tensor lies in the buffer of another."""
        root = self._slices.get(whole, (whole, 0))[0]
        return self._slices.get(name, (name, 0))[0] == root

    def _tenants(
        self, spans: Mapping[str, tuple[int, int]], wants: Wants
    ) -> dict[tuple[str, Frame | None], _Tenant]:
        tenants: dict[tuple[str, Frame | None], _Tenant] = {}
        plain = {name for name, frame in wants.frames if frame == PLAIN}
        read = {name for name, _ in wants.frames}
        unread = set(spans) - read - set(self._slices) - set(self._network.inputs)
        roots = {root for root, _ in self._slices.values()}
        for name in sorted((plain | unread | roots) - set(self._slices)):
            members = [name, *(m for m, (root, _) in self._slices.items() if root == name)]
            birth = min(spans[member][0] for member in members)
            death = max(spans[member][1] for member in members)
            width = self._network.tensors[name].shape[1:2]
            last = [m for m in members if m == name or self._ends(m, width)]
            ones = any(member in wants.ones for member in last)
            room = room_for(self._network.tensors[name], PLAIN, ones)
            tenants[name, PLAIN] = _Tenant(room, birth, death)
        for name, frame in sorted(wants.frames - {(n, PLAIN) for n in plain}, key=str):
            room = room_for(self._network.tensors[name], frame)
            tenants[name, frame] = _Tenant(room, *spans[name])
        for name, (room, level) in wants.rooms.items():
            tenants[name, None] = _Tenant(room, 0, level, kept=True)
        return tenants

    def _ends(self, name: str, width: tuple[int, ...]) -> bool:
        offset = self._slices[name][1]
        return (offset + self._network.tensors[name].shape[1],) == width

    def _array(self, tenant: _Tenant) -> Array:
        room = tenant.room
        return np.ndarray(room.shape, room.dtype, self._memory, tenant.offset)

    def _spot(self, tenant: _Tenant) -> Spot:
        room, array = tenant.room, self._array(tenant)
        if not room.channels:
            return Spot(array)
        if room.ones:
            array[..., room.channels] = 1
        return Spot(array[..., : room.channels], room.frame, room.ones, whole=True)


def _spans(network: Network, nodes: Sequence[Node]) -> dict[str, tuple[int, int]]:
    """Return the levels in which a tensor is made and read last; the end for network outputs."""
    birth = dict.fromkeys(network.inputs, 0)
    death: dict[str, int] = {}
    end = max((node.level for node in nodes), default=0) + 1
    for node in nodes:
        birth.update(dict.fromkeys(node.layer.outputs, node.level))
        for name in network.activations(node.layer):
            death[name] = max(death.get(name, 0), node.level)
    death.update(dict.fromkeys((name for name in network.outputs if name in birth), end))
    return {name: (level, death.get(name, level)) for name, level in birth.items()}


def _written_in_place(
    able: Sequence[Node],
    nodes: Sequence[Node],
    spans: Mapping[str, tuple[int, int]],
    tenants: dict[tuple[str, Frame | None], _Tenant],
) -> None:
    """Let a result take the place of the residual that is added to it and dies there."""
    framed = {name for name, frame in tenants if frame != PLAIN}
    readers = Counter(
        (name, node.level) for node in nodes for name in {*node.layer.inputs, node.layer.residual}
    )
    for node in able:
        layer, level = node.layer, node.level
        keys = (layer.residual, PLAIN), (layer.outputs[0], PLAIN)
        if keys[0] not in tenants or keys[1] not in tenants or node.shuffle > 1:
            continue
        old, new = tenants[keys[0]], tenants[keys[1]]
        alone = readers[layer.residual, level] == 1 and layer.residual not in layer.inputs
        alike = _unpitched(old.room) == _unpitched(new.room)
        unframed = not framed & {layer.residual, layer.outputs[0]}
        if alone and alike and unframed and old.death == spans[layer.residual][1] == level:
            old.death = new.death
            if new.room.ones and not old.room.ones:
                old.room = new.room
            tenants[keys[1]] = old


def _unpitched(room: Room) -> Room:
    """Return a geometry without the gap behind every pixel that holds the 1."""
    return replace(room, shape=room.shape[:3] if room.channels else room.shape, ones=False)


def _assign(tenants: Iterable[_Tenant]) -> int:
    """Give every tenant an offset; return the bytes needed in all."""
    total, unique = 0, {id(tenant): tenant for tenant in tenants}
    free: dict[Room | None, list[_Place]] = {}
    for tenant in sorted(unique.values(), key=lambda tenant: (tenant.birth, -tenant.room.bytes)):
        size, places = tenant.room.bytes, free.setdefault(tenant.kind, [])
        able = [place for place in places if place.death < tenant.birth and place.bytes >= size]
        place = min(able, key=lambda place: place.bytes, default=None)
        if place is None:
            place, total = _Place(total, size), total + size
            places.append(place)
        tenant.offset, place.death = place.offset, tenant.death
    return total


@dataclass(slots=True)
class _Place:
    """Memory and the level until which it is taken."""

    offset: int
    bytes: int
    death: int = -1


def _memory(size: int, shared: bool) -> Array:
    """Return zeros that begin on a cache line, shared with processes forked later if asked."""
    return np.frombuffer(mmap.mmap(-1, max(1, size)), np.uint8) if shared else zeros(size)
