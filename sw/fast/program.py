"""From a network to lists of steps: choose paths, lay tensors out, cut layers among workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from heterolith.sw.execute import naming
from heterolith.sw.fast import others
from heterolith.sw.fast.chain import Stage, chained, linked, rows_of_block, rows_read
from heterolith.sw.fast.constants import as_computed, prepared
from heterolith.sw.fast.conv_spec import ConvSpec, conv_spec, frame_for
from heterolith.sw.fast.convolve import Conv, depthwise, gather, planar
from heterolith.sw.fast.entry import input_work, output_work, planar_room, planar_work
from heterolith.sw.fast.layout import Layout, Room, Wants
from heterolith.sw.fast.memory import Shelf
from heterolith.sw.fast.nodes import Node, is_joined, nodes
from heterolith.sw.fast.pointwise import pointwise, preactivated
from heterolith.sw.fast.pooling import global_pool, pool
from heterolith.sw.fast.products import SMALL
from heterolith.sw.fast.shares import Phases, assigned, scratch_bytes, steps_of
from heterolith.sw.fast.spots import PLAIN, Scratch, Spot, Target
from heterolith.sw.fast.winograd import winograd
from heterolith.sw.fast.work import Work
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.pages import zeros
from heterolith.sw.scores import LARGEST, score_layers

_REORDERING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")


@dataclass(frozen=True, slots=True)
class Choice:
    """How a convolution is computed: path, bytes of a block, whether products are cut small."""

    path: str
    block_bytes: int = 1 << 20
    small: bool = SMALL


Chooser = Callable[[ConvSpec, bool], Choice]
"""From a convolution, and whether it reads a network input, to the choice for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A network ready to run.

    Attributes
    ----------
    phases
        For each phase and worker the steps; phases depend on each other in order.
    inputs
        Arrays that the network's inputs are copied into.
    outputs
        Views that hold the network's outputs after the last phase.
    flag
        One element, not 0 after a run whose scores need more than float32.
    choices
        Layer name -> what was chosen.
    bytes
        Size of activations and of all workers' scratch memory.
    """

    phases: Phases
    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
    flag: Array
    choices: Mapping[str, Choice]
    bytes: int


class _Builder:
    """What is known while a network is compiled."""

    def __init__(self, network: Network, choose: Chooser, threads: int, shared: bool) -> None:
        self.network, self.threads, self.shelf = network, threads, Shelf()
        self.nodes = nodes(network)
        self.specs: dict[str, ConvSpec] = {}
        self.choices: dict[str, Choice] = {}
        for node in self.nodes:
            with naming(node.layer):
                spec = conv_spec(network, node.layer)
                spec = as_computed(spec) if spec else None
            if spec is not None and not (node.before and not spec.pointwise):
                given = node.layer.inputs[0] in network.inputs and node.before is None
                self.specs[node.layer.name] = spec
                self.choices[node.layer.name] = choose(spec, given)
        scores = score_layers(network)
        self.nodes = linked(network, self.nodes, self._rows(scores), scores)
        kinds = {name: network.tensors[name] for name in network.inputs}
        self.inputs = {name: np.zeros(kind.shape, kind.dtype) for name, kind in kinds.items()}
        wants = self._wants()
        if shared:
            for name, kind in kinds.items():
                wants.rooms[f"input {name}"] = (Room(kind.shape, kind.dtype), 0)
        self.layout = Layout(network, self.nodes, wants, shared=shared)
        if shared:
            self.inputs = {name: self.layout.room(f"input {name}") for name in self.inputs}
        self.images = {name for name, _ in wants.frames if name in self.inputs}

    def _rows(self, scores: frozenset[str]) -> dict[str, int]:
        """Return how many rows those convolutions compute at once that may begin a chain."""
        rows = {}
        for node in self.nodes:
            name, path = node.layer.name, self._path(node)
            if not path or node.shuffle > 1 or node.layer.residual or name in scores:
                continue
            spec = self.specs[name]
            if not spec.by_kernels(self.threads, path):
                rows[name] = rows_of_block(spec, path, self.choices[name].block_bytes)
        return rows

    def _path(self, node: Node) -> str:
        choice = self.choices.get(node.layer.name)
        return choice.path if choice else ""

    def _wants(self) -> Wants:
        wants = Wants()
        for name in self.network.outputs:
            if name not in self.network.constants:
                wants.frames.add((name, PLAIN))
        for node in self.nodes:
            layer, path = node.layer, self._path(node)
            for name in self.network.activations(layer):
                if name != layer.inputs[0] or not path or name == layer.residual:
                    wants.frames.add((name, PLAIN))
            if not path:
                continue
            if path != "depthwise":
                wants.in_place.add(layer.name)
            source, spec = layer.inputs[0], self.specs[layer.name]
            if path == "planar":
                wants.rooms[layer.name] = (planar_room(spec), node.level)
                continue
            wants.frames.add((source, frame_for(spec, path)))
            biased = len(layer.inputs) > 2 or node.shift
            if path == "pointwise" and biased and spec.group == 1 and not node.before:
                wants.ones.add(source)
        wants.rooms["scores"] = (Room((1,), "float32"), 0)
        for name in self._turned():
            kind = self.network.tensors[name]
            wants.rooms[f"output {name}"] = (Room(kind.shape, kind.dtype), self.nodes[-1].level + 1)
        return wants

    def works(self, node: Node) -> list[Work]:
        """Return the work of a node, or nothing where it is done by laying tensors out."""
        layer, constants = node.layer, self.network.constants
        target = self._target(node)
        if node.chain:
            return [self._chain(node, target)]
        if layer.name in self.specs:
            return [self._convolution(node, self._conv(node), target)]
        float32 = all(
            self.network.tensors[name].dtype == "float32"
            for name in (*self.network.activations(layer), *layer.outputs)
        )
        simple = len(layer.outputs) == 1 and float32 and layer.residual not in constants
        four = len(self.network.tensors[layer.outputs[0]].shape) == 4
        axis = layer.attributes.get("axis", 0)
        bare = simple and not layer.residual and layer.activation is None
        if bare and is_joined(self.network, layer.op, layer.inputs, axis):
            if node.clamp:
                return [others.clamped(replace(target, activation=node.clamp))]
            return self._joined(layer, target)
        source = self._source(layer)
        if simple and source is not None:
            if self._is_row_softmax(layer):
                return [others.softmax(layer, source, target)]
            if four and source.outer.ndim == 4:
                work = self._image_work(layer, source, target)
                if work is not None:
                    return [work]
            elif layer.op in _REORDERING and target.residual is None and not layer.activation:
                if four or source.outer.ndim == 4:
                    return [others.reordered(source, target)]
            elif layer.op == "Gemm" and self._constant_weights(layer):
                return [others.gemm(layer, constants, source, target)]
        places = {
            name: self.layout.spots(name)
            for name in (*self.network.activations(layer), *layer.outputs)
        }
        return [others.plain(layer, constants, places)]

    def _source(self, layer: Layer) -> Spot | None:
        name = layer.inputs[0] if layer.inputs else ""
        if name not in self.network.tensors or name in self.network.constants:
            return None
        return self.layout.spots(name)[0]

    def _is_row_softmax(self, layer: Layer) -> bool:
        """Tell whether a softmax runs over a contiguous tensor as over one row."""
        shape = self.network.tensors[layer.inputs[0]].shape
        axis = layer.attributes.get("axis", -1) % max(1, len(shape))
        if layer.op != "Softmax" or layer.residual or layer.activation or not shape:
            return False
        elements = self.network.tensors[layer.inputs[0]].elements
        places = (*self.layout.spots(layer.inputs[0]), *self.layout.spots(layer.outputs[0]))
        dense = all(spot.inner.flags.c_contiguous for spot in places) and len(places) == 2
        flat = layer.attributes.get("flatten", 0) and np.prod(shape[:axis]) == 1
        return dense and elements > 0 and (bool(flat) or shape[axis] == elements)

    def _constant_weights(self, layer: Layer) -> bool:
        return all(name in self.network.constants for name in layer.inputs[1:] if name) and (
            self.network.tensors[layer.inputs[0]].elements > 0
        )

    def _target(self, node: Node) -> Target:
        layer = node.layer
        added = layer.residual in self.network.tensors
        residual = self.layout.spot(layer.residual) if added else None
        return Target(
            spots=self.layout.spots(layer.outputs[0]),
            residual=residual,
            activation=layer.activation,
            shuffle=node.shuffle,
        )

    def _chain(self, node: Node, target: Target) -> Work:
        """Return the work of a convolution and the layers that are computed with it."""
        shapes = [self.network.tensors[layer.inputs[0]].shape for layer in node.chain]
        places = [(n, height, width, channels) for n, channels, height, width in shapes]
        conv = self._conv(node)
        first = Stage(
            shape=places[0],
            make=lambda _, place: self._convolution(node, conv, place),
            reads=lambda low, high: (low, high),
            activation=node.layer.activation,
        )
        stages = [first]
        for layer, shape, result in zip(
            node.chain, places, [*places[1:], target.shape], strict=True
        ):
            make = pool if layer.op.endswith("Pool") else others.lrn
            stage = Stage(
                shape=result,
                make=partial(make, layer),
                reads=rows_read(layer, shape[1]),
                activation=layer.activation,
            )
            stages.append(stage)
        rows = rows_of_block(conv.spec, self._path(node), conv.block_bytes)
        step = max(1, rows * target.shape[1] // places[0][1])
        return chained(stages, replace(target, activation=node.chain[-1].activation), step)

    def _conv(self, node: Node) -> Conv:
        layer, spec = node.layer, self.specs[node.layer.name]
        choice = self.choices[layer.name]
        w, b, shuffle = prepared(self.network, node, spec)
        if choice.path == "planar":
            source = Spot(self.layout.room(layer.name))
        else:
            source = self.layout.spot(layer.inputs[0], frame_for(spec, choice.path))
        return Conv(
            spec=spec,
            w=w,
            b=b,
            source=source,
            target=replace(self._target(node), shuffle=shuffle),
            block_bytes=choice.block_bytes,
            small=choice.small,
            by_kernels=spec.by_kernels(self.threads, choice.path),
            shelf=self.shelf,
        )

    def _convolution(self, node: Node, conv: Conv, target: Target) -> Work:
        conv = replace(conv, target=replace(target, shuffle=conv.target.shuffle))
        choice = self.choices[node.layer.name]
        if node.before is not None:
            return preactivated(conv, node.before, self.network.constants)
        if choice.path.startswith("winograd"):
            return winograd(conv, int(choice.path.removeprefix("winograd")))
        paths = {"pointwise": pointwise, "planar": planar, "depthwise": depthwise, "gather": gather}
        return paths[choice.path](conv)

    def _image_work(self, layer: Layer, source: Spot, target: Target) -> Work | None:
        """Return the work of a layer between images, ``None`` if it has no path."""
        rest = [name for name in layer.inputs[1:] if name]
        if layer.op in ("MaxPool", "AveragePool") and source.inner.ndim == 4:
            whole = tuple(layer.attributes["kernel_shape"]) == source.inner.shape[1:3]
            if whole and not any(layer.attributes.get("pads") or ()):
                return global_pool(layer, source, target)
            return pool(layer, source, target)
        if layer.op in ("GlobalAveragePool", "GlobalMaxPool"):
            return global_pool(layer, source, target)
        if layer.op == "LRN":
            return others.lrn(layer, source, target)
        if layer.op == "Relu" and target.residual is None and layer.activation is None:
            return others.rectified(source, target)
        same = {self.network.tensors[name] for name in (layer.inputs[0], *layer.outputs)}
        operands = {*same, *(self.network.tensors.get(name) for name in rest)}
        if layer.op in others.ELEMENTWISE and len(rest) == 1 and len(operands) == 1:
            pair = [source, self.layout.spots(rest[0])[0]]
            return others.elementwise(layer, pair, target)
        if layer.op in _REORDERING and len(same) == 1:
            return others.copied(source, target)
        return None

    def _joined(self, layer: Layer, target: Target) -> list[Work]:
        """Copy the parts of a concatenation to where they were not computed in their place.

        Works of one node may run in any order, so none reads what another writes.
        """
        offset, found = 0, []
        for name in layer.inputs:
            width = self.network.tensors[name].shape[1]
            places = [
                Spot(spot.outer[..., offset : offset + width], spot.frame) for spot in target.spots
            ]
            source = self.layout.spots(name)[0]
            if places[0].inner.ctypes.data == source.inner.ctypes.data:
                del places[0]
            found += [others.copied(source, Target(spots=(place,))) for place in places]
            offset += width
        return found

    def watches(self, node: Node, scores: frozenset[str]) -> list[Work]:
        """Return what looks whether scores have outgrown float32 (`heterolith.sw.scores`)."""
        if node.layer.name not in scores:
            return []
        flag = self.layout.room("scores")
        spots = [self.layout.spots(name)[0] for name in node.layer.outputs]
        return [others.watched(spot, flag, LARGEST) for spot in spots]

    def input_works(self) -> list[Work]:
        """Return the work that brings the network's inputs to where they are read."""
        found = []
        for name in self.images:
            spots = self.layout.spots(name)
            found.append(input_work(self.inputs[name], spots))
        for node in self.nodes:
            if self._path(node) == "planar":
                spec = self.specs[node.layer.name]
                room = self.layout.room(node.layer.name)
                found.append(planar_work(spec, self.inputs[node.layer.inputs[0]], room))
        return found

    def _turned(self) -> list[str]:
        """Return the outputs that workers bring into row-major order together."""
        kinds = self.network.tensors
        made = [name for name in self.network.outputs if name in kinds]
        images = [name for name in made if len(kinds[name].shape) == 4]
        return [name for name in images if self.threads > 1 and max(kinds[name].shape[2:]) > 1]

    def outputs(self) -> tuple[dict[str, Array], list[Work]]:
        """Return where the network's outputs end up, and the work that brings them there."""
        constants = self.network.constants
        names = [name for name in self.network.outputs if name not in constants]
        places = {name: self.layout.spot(name).logical for name in names}
        works = []
        for name in set(self._turned()) & set(names):
            given, places[name] = places[name], self.layout.room(f"output {name}")
            works.append(output_work(given, places[name]))
        return places, works


def compile_program(
    network: Network, choose: Chooser, threads: int = 1, *, shared: bool = False
) -> Program:
    """Compile a network.

    Parameters
    ----------
    choose
        Gives the path of every convolution.
    threads
        Number of workers.
    shared
        Whether workers will be forked processes.
    """
    builder = _Builder(network, choose, threads, shared)
    scores = score_layers(network)
    levels: dict[int, list[Work]] = {0: builder.input_works()}
    for node in builder.nodes:
        levels.setdefault(node.level, []).extend(builder.works(node))
        levels.setdefault(node.level + 1, []).extend(builder.watches(node, scores))
    outputs, works = builder.outputs()
    levels[max(levels) + 1] = works
    shares = [assigned(works, threads) for _, works in sorted(levels.items()) if works]
    sizes = scratch_bytes(shares, threads)
    scratches = [Scratch(zeros(size)) for size in sizes]
    return Program(
        phases=steps_of(shares, scratches),
        inputs=builder.inputs,
        outputs=outputs,
        flag=builder.layout.room("scores"),
        choices=builder.choices,
        bytes=builder.layout.bytes + sum(sizes),
    )
