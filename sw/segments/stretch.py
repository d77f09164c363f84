"""Consecutive layers of one device that nobody else reads into or from, handed over as one unit.

Only the first layer of a stretch reads what other devices made, and only the last makes what other
devices read. Run as a whole it therefore starts no later, and hands nothing over later, than run
layer by layer: two devices wait for each other as little as before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from heterolith.sw.network import Network
from heterolith.sw.segments.partition import Unit


def stretched(
    network: Network, found: Sequence[Unit], devices: Collection[str]
) -> tuple[Unit, ...]:
    """Join the units of some devices into stretches.

    Parameters
    ----------
    found
        All units of a placed network, in an order in which they can run.
    devices
        Those that take stretches; units of others stay as they are.

    Returns
    -------
    tuple of Unit
        In an order in which they can run, each device's layers in the order they had.
    """
    maker = {name: unit.device for unit in found for layer in unit.layers for name in layer.outputs}
    readers: dict[str, set[str]] = {}
    for unit in found:
        for name in unit.inputs:
            readers.setdefault(name, set()).add(unit.device)
    groups: list[list[Unit]] = []
    growing: dict[str, list[Unit]] = {}
    for unit in found:
        device = unit.device
        alone = all(maker.get(name, device) == device for name in unit.inputs)
        group = growing.get(device) if alone else None
        if group is None:
            group = []
            groups.append(group)
        group.append(unit)
        shown = any(readers.get(name, {device}) != {device} for name in unit.outputs)
        if device in devices and not shown:
            growing[device] = group
        else:
            growing.pop(device, None)
    return tuple(_joined(network, group, found) for group in groups)


def _joined(network: Network, group: Sequence[Unit], found: Sequence[Unit]) -> Unit:
    if len(group) == 1:
        return group[0]
    layers = tuple(layer for unit in group for layer in unit.layers)
    own = {name for layer in layers for name in layer.outputs}
    inside = {id(unit) for unit in group}
    shown = {x for unit in found if id(unit) not in inside for x in unit.inputs}
    shown.update(network.outputs)
    return Unit(
        device=group[0].device,
        layers=layers,
        inputs=tuple(dict.fromkeys(x for unit in group for x in unit.inputs if x not in own)),
        outputs=tuple(x for layer in layers for x in layer.outputs if x in shown),
    )
