"""Parts of networks: what lies between tensors, and networks with several exits cut at one.

An exit is a network output that is a confidence: a Softmax over classes. Exits are ordered by
depth, that is by where they are computed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Layer, Network


def exits(network: Network) -> tuple[str, ...]:
    """Return the outputs of a network, which are confidences, in order of depth.

    Raises
    ------
    InputError
        If an output is no Softmax over classes.
    """
    makers = {name: layer for layer in network.layers for name in layer.outputs}
    for name in network.outputs:
        layer = makers.get(name)
        made = f"made by {layer.op} {layer.name!r}" if layer else "no layer's result"
        if layer is None or layer.op != "Softmax":
            raise InputError(f"output {name!r} is {made}, no confidence; end every exit in Softmax")
        rank = len(network.tensors[name].shape)
        axis = layer.attributes.get("axis", -1)
        if rank != 2 or int(axis) % rank != 1:
            raise InputError(
                f"output {name!r} has shape {network.tensors[name].shape} and its Softmax axis "
                f"{axis}; an exit is (images, classes) with confidences over classes"
            )
    order = {layer.name: index for index, layer in enumerate(network.layers)}
    return tuple(sorted(network.outputs, key=lambda name: order[makers[name].name]))


def stages(network: Network) -> tuple[tuple[str, ...], ...]:
    """Return the names of the layers each exit needs beyond those of the exits before it.

    Raises
    ------
    InputError
        As `exits`.
    """
    found, seen = [], set[str]()
    for name in exits(network):
        needed = _ancestors(network, {name}) - seen
        found.append(tuple(layer.name for layer in network.layers if layer.name in needed))
        seen |= needed
    return tuple(found)


def up_to_exit(network: Network, number: int) -> Network:
    """Return the network that computes its first exits and nothing else.

    Parameters
    ----------
    number
        How many exits: 1 to all.

    Raises
    ------
    InputError
        If there are not that many, or an output is no confidence.
    """
    parts = stages(network)
    _check(number, len(parts), len(parts))
    return section(network, {name for part in parts[:number] for name in part})


def after_exit(network: Network, number: int) -> Network:
    """Return what remains to be computed after the first exits; see `up_to_exit`.

    Raises
    ------
    InputError
        If nothing remains, or an output is no confidence.
    """
    parts = stages(network)
    _check(number, len(parts) - 1, len(parts))
    return section(network, {name for part in parts[number:] for name in part})


def section(network: Network, names: Collection[str]) -> Network:
    """Return some layers of a network as a network of their own.

    It reads the tensors that come from elsewhere and makes those that are read elsewhere or are
    outputs of the whole, under their names.

    Raises
    ------
    InputError
        If a layer is unknown, none is named, or tensors would leave the section and come back.
    """
    known = {layer.name for layer in network.layers}
    for name in names:
        if name not in known:
            raise unknown_name("layer", name, known)
    inside = tuple(layer for layer in network.layers if layer.name in names)
    if not inside:
        raise InputError(f"no layer of {network.name} is named; a section has at least one")
    made = {name for layer in inside for name in layer.outputs if name}
    reads = dict.fromkeys(name for layer in inside for name in network.activations(layer))
    inputs = tuple(name for name in reads if name not in made)
    _check_convex(network, names, inputs)
    wanted = set(network.outputs)
    for layer in network.layers:
        if layer.name not in names:
            wanted.update(network.activations(layer))
    constants = {name for layer in inside for name in (*layer.inputs, layer.residual)}
    return replace(
        network,
        inputs=inputs,
        outputs=tuple(x for layer in inside for x in layer.outputs if x in wanted),
        layers=inside,
        tensors={k: v for k, v in network.tensors.items() if k in made or k in inputs},
        constants={k: v for k, v in network.constants.items() if k in constants},
        removed=(),
    )


def _ancestors(network: Network, tensors: set[str]) -> set[str]:
    """Return the names of the layers that some tensors depend on."""
    wanted, names = set(tensors), set[str]()
    for layer in reversed(network.layers):
        if wanted.intersection(layer.outputs):
            names.add(layer.name)
            wanted.update(network.activations(layer))
    return names


def _check(number: int, most: int, exits_there: int) -> None:
    if not 1 <= number <= most:
        raise InputError(f"cut after exit {number} of {exits_there}; give 1 to {most}")


def _check_convex(network: Network, names: Collection[str], inputs: Collection[str]) -> None:
    """Refuse a section whose inputs depend on its own layers."""
    makers: dict[str, Layer] = {x: layer for layer in network.layers for x in layer.outputs}
    needed = _ancestors(network, {name for name in inputs if name in makers})
    inner = next((x.name for x in network.layers if x.name in needed and x.name in names), "")
    if inner:
        raise InputError(
            f"layer {inner!r} is inside the section and before one of its inputs; name the layers "
            "between too"
        )
