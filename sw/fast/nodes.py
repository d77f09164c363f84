"""The layers of a network as the fast paths see them: a few neighbours merged, then by levels.

A reshape, transposition and reshape that interleave groups of channels become a property of the
convolution before them. A scale, shift and clamp per channel goes into the pointwise convolution
that alone reads it. Levels are longest paths from the inputs: layers of a level do not depend on
each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from heterolith.errors import InputError
from heterolith.sw.fast.conv_spec import conv_spec
from heterolith.sw.network import Activation, Layer, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One layer and what was merged into it.

    Attributes
    ----------
    layer
        The layer; its inputs and outputs are the node's.
    before
        Scale, shift and clamp per channel of the input, read instead of it, or ``None``.
    shuffle
        Groups whose channels are interleaved in the output, 1 for none.
    shift
        Constant (C,) that is added to the channels of the input before anything else, or ``""``.
    level
        Longest path from the inputs.
    clamp
        Activation of all parts of a concatenation, which are computed in their places without it.
    chain
        Layers behind it that are computed with it, row by row; the outputs are the last one's.
    """

    layer: Layer
    before: Layer | None = None
    shuffle: int = 1
    shift: str = ""
    level: int = 0
    clamp: Activation | None = None
    chain: tuple[Layer, ...] = ()


def readers(network: Network) -> Counter[str]:
    """Return how many layers read each activation; being a network output counts as well."""
    counts = Counter(network.outputs)
    for layer in network.layers:
        counts.update(network.activations(layer))
    return counts


def _shuffle(network: Network, chain: Sequence[Layer]) -> int:
    """Return the number of groups that three layers interleave, 0 if they do something else."""
    if [layer.op for layer in chain] != ["Reshape", "Transpose", "Reshape"]:
        return 0
    if any(layer.residual or layer.activation for layer in chain):
        return 0
    first, split, _, last = (
        network.tensors[name].shape
        for name in (chain[0].inputs[0], *(layer.outputs[0] for layer in chain))
    )
    if len(first) != 4 or first != last or len(split) != 5:
        return 0
    grouped = (first[0], split[1], first[1] // max(1, split[1]), *first[2:])
    swaps = tuple(chain[1].attributes["perm"]) == (0, 2, 1, 3, 4)
    return split[1] if split == grouped and swaps else 0


def _has_path(network: Network, layer: Layer) -> bool:
    """Tell whether a layer is a convolution that a path computes, which alone knows of merges."""
    try:
        return conv_spec(network, layer) is not None
    except InputError:  # raised again, with the layer's name, when its path is chosen
        return False


def _is_affine(network: Network, layer: Layer) -> bool:
    """Tell whether a layer scales, shifts and clamps an image per channel."""
    if layer.residual or not _has_path(network, layer):
        return False
    w = network.constants[layer.inputs[1]]
    shape = network.tensors[layer.inputs[0]].shape if layer.inputs[0] in network.tensors else ()
    same = network.tensors[layer.outputs[0]].shape == shape
    plain = not any(layer.attributes.get("pads") or ()) and same
    clamp = layer.activation == Activation()
    return plain and w.shape == (*shape[1:2], 1, 1, 1) and w.dtype == "float32" and clamp


def _takes_affine(network: Network, layer: Layer) -> bool:
    """Tell whether a layer is a pointwise convolution of one group."""
    if not _has_path(network, layer):
        return False
    attributes = layer.attributes
    w = network.constants[layer.inputs[1]]
    plain = not any(attributes.get("pads") or ()) and attributes.get("group", 1) == 1
    return plain and w.shape[2:] == (1, 1) and set(attributes.get("strides") or (1,)) == {1}


def nodes(network: Network) -> list[Node]:
    """Return the nodes of a network in topological order."""
    counts = readers(network)
    producer: dict[str, int] = {}
    found: list[Node | None] = []
    pending: list[Layer] = []
    for layer in network.layers:
        source = layer.inputs[0] if layer.inputs else ""
        pending = [*pending, layer] if pending and source == pending[-1].outputs[0] else [layer]
        groups = _shuffle(network, pending[-3:])
        if groups and _merge_shuffle(network, pending[-3:], groups, counts, producer, found):
            continue
        node = Node(layer=layer)
        at = producer.get(source)
        before = found[at] if at is not None else None
        if (
            before is not None
            and before.shuffle == 1
            and counts[source] == 1
            and _is_affine(network, before.layer)
            and _takes_affine(network, layer)
        ):
            found[at if at is not None else 0] = None
            inputs = (before.layer.inputs[0], *layer.inputs[1:])
            node = Node(layer=replace(layer, inputs=inputs), before=before.layer)
        elif before is not None and before.before is None and counts[source] == 1:
            moved = _moved_clamp(before, layer) or _moved_bias(network, before, layer)
            if moved is not None and at is not None:
                found[at], node = moved
        for name in layer.outputs:
            producer[name] = len(found)
        found.append(node)
    merged = [node for node in found if node is not None]
    return _levelled(network, _clamped_whole(network, merged, counts))


def is_joined(network: Network, op: str, inputs: Sequence[str], axis: int) -> bool:
    """Tell whether a layer joins images by channels."""
    if op != "Concat" or any(name not in network.tensors for name in inputs):
        return False
    return axis in (1, -3) and all(len(network.tensors[name].shape) == 4 for name in inputs)


def _clamped_whole(network: Network, merged: list[Node], counts: Counter[str]) -> list[Node]:
    """Clamp concatenations as a whole, one run of memory, where all parts have the same clamp.

    A maximum over windows that alone reads one takes the clamp over.
    """
    found = list(merged)
    made = {name: at for at, node in enumerate(found) for name in node.layer.outputs}
    for at, node in enumerate(merged):
        layer = node.layer
        if layer.op == "MaxPool" and counts[layer.inputs[0]] == 1:
            before = found[made[layer.inputs[0]]] if layer.inputs[0] in made else node
            bare = replace(before, layer=replace(before.layer, activation=before.clamp), clamp=None)
            moved = _moved_clamp(bare, layer) if before.clamp else None
            if moved is not None:
                found[made[layer.inputs[0]]], found[at] = moved
            continue
        axis = layer.attributes.get("axis", 0)
        if not is_joined(network, layer.op, layer.inputs, axis) or layer.activation:
            continue
        parts = [made[name] for name in layer.inputs if name in made and counts[name] == 1]
        acts = {found[part].layer.activation for part in parts}
        able = all(
            _has_path(network, found[part].layer) and not found[part].layer.residual
            for part in parts
        )
        if not able or len(set(parts)) < len(layer.inputs) or len(acts) > 1 or None in acts:
            continue
        found[at] = replace(node, clamp=acts.pop())
        for part in parts:
            bare = found[part]
            found[part] = replace(bare, layer=replace(bare.layer, activation=None))
    return found


def _moved_bias(network: Network, before: Node, layer: Layer) -> tuple[Node, Node] | None:
    """Add the bias of a depthwise convolution in the pointwise one that alone reads it."""
    first, constants = before.layer, network.constants
    if len(first.inputs) < 3 or not (_has_path(network, first) and _has_path(network, layer)):
        return None
    pads, shape = layer.attributes.get("pads") or (), constants[layer.inputs[1]].shape
    depthwise = first.attributes.get("group", 1) == len(constants[first.inputs[1]])
    free = first.activation is None and not first.residual and before.shuffle == 1
    if not (depthwise and free and set(shape[2:]) == {1} and not any(pads)):
        return None
    bare = replace(before, layer=replace(first, inputs=first.inputs[:2]))
    return bare, Node(layer=layer, shift=first.inputs[2])


def _moved_clamp(before: Node, layer: Layer) -> tuple[Node, Node] | None:
    """Clamp behind a maximum over windows, where there are fewer elements, not in front of it."""
    act = before.layer.activation
    moves = layer.op == "MaxPool" and len(layer.outputs) == 1
    moves = moves and before.layer.op in ("Conv", "Concat")
    if act is None or not moves or layer.activation or layer.residual:
        return None
    pads, kernel = layer.attributes.get("pads") or (0,), layer.attributes["kernel_shape"]
    if max(pads) >= min(kernel):  # a window of padding alone must stay minus infinity
        return None
    bare = replace(before, layer=replace(before.layer, activation=None))
    return bare, Node(layer=replace(layer, activation=act))


def _merge_shuffle(
    network: Network,
    chain: Sequence[Layer],
    groups: int,
    counts: Counter[str],
    producer: dict[str, int],
    found: list[Node | None],
) -> bool:
    """Put the interleaving into the convolution before it, in place; tell whether that was done."""
    inner = (chain[0].inputs[0], chain[0].outputs[0], chain[1].outputs[0])
    at = producer.get(inner[0])
    node = found[at] if at is not None else None
    if node is None or at is None or node.shuffle > 1 or not _has_path(network, node.layer):
        return False
    if any(counts[name] != 1 for name in inner):
        return False
    for name in inner[1:]:
        found[producer.pop(name)] = None
    output = chain[2].outputs[0]
    found[at] = replace(node, layer=replace(node.layer, outputs=(output,)), shuffle=groups)
    producer[output] = at
    return True


def _levelled(network: Network, found: list[Node]) -> list[Node]:
    level = dict.fromkeys(network.inputs, 0)
    levelled = []
    for node in found:
        names = network.activations(node.layer)
        here = 1 + max((level[name] for name in names), default=0)
        level.update(dict.fromkeys(node.layer.outputs, here))
        levelled.append(replace(node, level=here))
    return sorted(levelled, key=lambda node: node.level)
