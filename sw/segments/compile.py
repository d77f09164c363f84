"""A segment as one job: where its tensors lie, what its layers are on the array.

`lay_out` gives every tensor of a unit an address: operands of a concatenation lie in slices of its
result, a view has the address of what it renames, what passes between layers is scratch memory that
later layers use again. It is a pure function of network, unit and configuration, so that a job can
be put together again from its commands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from heterolith.hw.compiler.job import Activation, JobBuilder
from heterolith.hw.compiler.mapping import (
    convolution,
    elementwise,
    fully_connected,
    pooling,
)
from heterolith.hw.compiler.single import ElementwiseParameters, Parameters
from heterolith.hw.config import ArrayConfig
from heterolith.hw.fixed import Output, Residual, Scaling
from heterolith.hw.golden import LinearParameters
from heterolith.hw.shapes import ConvShape, PoolShape, Shape
from heterolith.hw.timing.timeline import Dram
from heterolith.sw.kernels import Operation
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS
from heterolith.sw.segments.forms import Form, Laid, Size, lay
from heterolith.sw.segments.partition import Unit

FOLD_COLS = 512
"""Most words per row into which an elementwise operation folds its operands."""

_IDENTITY = Scaling(multiplier=np.array(32768, np.uint16), shift=np.array(15, np.uint8))


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A tensor at a segment's border: its name, its form, its place in the window."""

    name: str
    form: Form
    tensor: Activation


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A unit in a builder, ready to be finished.

    Attributes
    ----------
    inputs
        One per form in which a tensor is read; a tensor may come in several.
    passed
        Output -> the input that it renames.
    """

    builder: JobBuilder
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    passed: tuple[tuple[str, str], ...]


def lay_out(
    network: Network,
    unit: Unit,
    operation: Callable[[Layer], Operation],
    config: ArrayConfig,
    dram: Dram | None = None,
) -> Layout:
    """Append the layers of a unit to a new builder.

    Parameters
    ----------
    operation
        Shape and int8 parameters of a layer that computes.
    dram
        What schedules are chosen for.

    Raises
    ------
    InputError
        If the accelerator cannot compute a layer.
    """
    draft = _Draft(network, unit, JobBuilder(config, dram))
    for layer in unit.layers:
        if layer.op == "Concat":
            draft.join(layer)
        elif layer.op not in VIEWS:
            draft.append(layer, *operation(layer))
    return draft.layout()


@dataclass(frozen=True, slots=True)
class _Slice:
    """Where an operand lies in a concatenation."""

    whole: str
    block: int
    form: Form


class _Draft:
    """Addresses of a unit's tensors; a view goes by the name of what it renames, its root."""

    def __init__(self, network: Network, unit: Unit, builder: JobBuilder) -> None:
        self.unit, self.builder = unit, builder
        self.lanes = builder.geometry.lanes
        self.roots: dict[str, str] = {}
        self.forms: dict[str, Form] = {}
        self.laid: dict[str, Laid] = {}
        for layer in unit.layers:
            laid = lay(network, layer, self.forms, self.lanes)
            self.laid[layer.name] = laid
            if layer.op in VIEWS:
                self.roots[layer.outputs[0]] = self.root(layer.inputs[0])
            if laid.result is not None:
                self.forms[layer.outputs[0]] = laid.result
        self.slices = dict(self._slices())
        self.places: dict[str, Activation] = {}
        self.ports: list[Port] = []

    def root(self, name: str) -> str:
        """Return the tensor that a view renames, or the name itself."""
        return self.roots.get(name, name)

    def _slices(self) -> Iterator[tuple[str, _Slice]]:
        """Yield the place of each operand of a concatenation, last concatenations first."""
        seen: set[str] = set()
        for layer in reversed(self.unit.layers):
            if layer.op == "Concat":
                block = 0
                for name, form in self.laid[layer.name].wants:
                    root = self.root(name)
                    if root not in seen:
                        seen.add(root)
                        yield root, _Slice(layer.outputs[0], block, form)
                    block += -(-form.shape[1] // self.lanes)

    def _shown(self, root: str) -> bool:
        """Return whether the host reads or writes a tensor or a slice of it."""
        names = {root}
        for inner, part in self.slices.items():  # wholes come before their parts
            if part.whole in names:
                names.add(inner)
        return any(self.root(x) in names for x in (*self.unit.inputs, *self.unit.outputs))

    def place(self, root: str, form: Form) -> Activation:
        """Return the words of a tensor that lies in blocks: a slice, the host's, or scratch."""
        if root not in self.places:
            part = self.slices.get(root)
            if part is not None:
                whole = self.place(part.whole, self.forms[part.whole])
                place = channels(whole, part.block, form.shape[1])
            elif self._shown(root):
                place = self.builder.tensor(form.shape)
            else:
                place = self.builder.scratch(form.shape)
            self.places[root] = place
        return shaped(self.places[root], form.shape)

    def read(self, name: str, form: Form) -> Activation:
        """Return an operand in a form; the host will write it if it comes from elsewhere."""
        root = self.root(name)
        if root not in self.unit.inputs:
            return self.place(root, form)
        for port in self.ports:
            if port.name == root and port.form.lies_as(form):
                return port.tensor if form.image else shaped(port.tensor, form.shape)
        part = self.slices.get(root)
        if part is not None and part.form.lies_as(form):
            tensor = self.place(root, form)
        else:
            tensor = self.builder.tensor(form.shape, form.image)
        self.ports.append(Port(name=root, form=form, tensor=tensor))
        return tensor

    def join(self, layer: Layer) -> None:
        """Copy the operands of a concatenation that do not lie in it by themselves."""
        whole, block = self.place(layer.outputs[0], self.forms[layer.outputs[0]]), 0
        same = Residual(scaling=_IDENTITY, zero_point=0)
        for name, form in self.laid[layer.name].wants:
            source, target = self.read(name, form), channels(whole, block, form.shape[1])
            block += target.first.blocks
            if source.first.offset != target.first.offset:
                self._fold(layer, (same, None, Output()), (source, None, target))

    def append(self, layer: Layer, shape: Shape, parameters: Parameters) -> None:
        """Append a layer that computes."""
        laid, g = self.laid[layer.name], self.builder.geometry
        assert laid.result is not None
        (name, form), *others = laid.wants
        source, target = self.read(name, form), self.place(layer.outputs[0], laid.result)
        addend = self.read(*others[0]) if others else None
        if isinstance(parameters, ElementwiseParameters):
            p = parameters
            self._fold(layer, (p.first, p.second, p.output), (source, addend, target))
            return
        if isinstance(shape, ConvShape) and isinstance(parameters, LinearParameters):
            mapping = convolution(shape, parameters, g, form.image)
        elif isinstance(parameters, LinearParameters):
            if form.rows:
                mapping = fully_connected(form.shape[3], parameters, g)
            else:
                mapping = fully_connected(1, flattened(parameters, form, g.lanes), g)
                source = flat(source)
        else:
            assert isinstance(shape, PoolShape)
            mapping = pooling(shape, g, parameters)
        if not form.image:
            source = shaped(source, (*source.shape[:2], *mapping.size))
        self.builder.layer(mapping, source, target, addend, name=layer.name)

    def _fold(
        self,
        layer: Layer,
        scalings: tuple[Residual, Residual | None, Output],
        tensors: tuple[Activation, Activation | None, Activation],
    ) -> None:
        """Append an elementwise operation on first operand, second and result."""
        source, addend, target = (None if t is None else folded(t) for t in tensors)
        assert source is not None
        assert target is not None
        mapping = elementwise(target.shape[2:], *scalings, self.builder.geometry)
        self.builder.layer(mapping, source, target, addend, name=layer.name)

    def layout(self) -> Layout:
        """Return the finished draft."""
        outputs, passed = [], []
        for name in self.unit.outputs:
            root = self.root(name)
            if root in self.unit.inputs:
                passed.append((name, root))
                continue
            form = self.forms[root]
            outputs.append(Port(name=name, form=form, tensor=self.place(root, form)))
        return Layout(
            builder=self.builder,
            inputs=tuple(self.ports),
            outputs=tuple(outputs),
            passed=tuple(passed),
        )


def shaped(tensor: Activation, shape: Size) -> Activation:
    """Return the same words as (N, C, H, W) with another split of the pixels."""
    first = replace(tensor.first, height=shape[2], width=shape[3], pitch=shape[3])
    return replace(tensor, shape=shape, first=first)


def channels(whole: Activation, block: int, count: int) -> Activation:
    """Return ``count`` channels of a tensor from a block on."""
    t, (batch, _, height, width) = whole.first, whole.shape
    offset = t.offset + block * t.block_pitch * t.lanes
    first = replace(t, offset=offset, blocks=-(-count // t.lanes))
    return replace(whole, shape=(batch, count, height, width), first=first)


def flat(tensor: Activation) -> Activation:
    """Return each image of a tensor as a vector: its blocks, pixel by pixel."""
    t = tensor.first
    blocks = t.blocks * t.height * t.width
    one = t.height * t.width == 1
    count = tensor.shape[1] if one else blocks * t.lanes
    first = replace(t, blocks=blocks, height=1, width=1, pitch=1)
    return replace(tensor, shape=(tensor.shape[0], count, 1, 1), first=first)


def folded(tensor: Activation) -> Activation:
    """Return the words of each image as one block of rows and columns."""
    t = tensor.first
    words = t.blocks * t.height * t.width
    cols = next(c for c in range(min(words, FOLD_COLS), 0, -1) if words % c == 0)
    first = replace(t, blocks=1, height=words // cols, width=cols, pitch=cols)
    return replace(tensor, shape=(tensor.shape[0], t.lanes, words // cols, cols), first=first)


def flattened(parameters: LinearParameters, form: Form, lanes: int) -> LinearParameters:
    """Return the weights of a fully connected layer in the order in which a map's codes lie."""
    _, count, height, width = form.shape
    pixels = height * width
    if pixels == 1:
        return parameters
    weights, blocks = parameters.weights, -(-count // lanes)
    full = np.zeros((len(weights), blocks * lanes, pixels), dtype=np.int8)
    full[:, :count] = weights.reshape(len(weights), count, pixels)
    split = full.reshape(len(weights), blocks, lanes, pixels).transpose(0, 1, 3, 2)
    return replace(parameters, weights=split.reshape(len(weights), -1))
