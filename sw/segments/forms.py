"""How tensors lie in the accelerator's memory, and which layers can follow each other there.

A layer that computes wants its operands in a `Form`; one that only moves codes is a matter of
addresses: a view is the same bytes under another name, channels are joined by writing the operands
next to each other. Where a layer cannot take a tensor in the form in which another layer left it,
the tensor goes through the host, which packs it anew. Invariant: forms do not depend on weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from heterolith.hw.compiler.mapping import image_layout_fits
from heterolith.hw.shapes import (
    MAX_REDUCTION,
    ConvShape,
    FullyConnectedShape,
    PoolShape,
    Shape,
)
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import VIEWS, shape_of

Size = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Form:
    """Codes (N, C, H, W) in channel blocks (``hw/doc/accelerator.md``, section 2).

    Attributes
    ----------
    rows
        The network's order of elements is N, H, W, C (rows of features), not N, C, H, W.
    image
        The image layout instead of blocks; the host alone writes it.
    """

    shape: Size
    rows: bool = False
    image: bool = False

    def lies_as(self, other: Form) -> bool:
        """Return whether two forms are the same bytes: pixels may be cut into other rows."""
        if self.image or other.image:
            return self == other
        (n, c, h, w), (n2, c2, h2, w2) = self.shape, other.shape
        return (n, c, h * w, self.rows) == (n2, c2, h2 * w2, other.rows)


Want = tuple[str, Form]


@dataclass(frozen=True, slots=True)
class Laid:
    """What a layer makes of the forms of its operands.

    Attributes
    ----------
    wants
        Operands, the residual last, each with the form in which it is read; none for a view.
    result
        Form of the result; ``None`` for a view of a tensor that the host holds.
    broken
        Operands that lie in a form that the layer cannot read, and must come from the host.
    """

    wants: tuple[Want, ...] = ()
    result: Form | None = None
    broken: frozenset[str] = frozenset()


def moves(layer: Layer) -> bool:
    """Return whether a layer computes nothing: a view or a concatenation."""
    return layer.op in VIEWS or layer.op == "Concat"


def joinable(network: Network, layer: Layer, lanes: int) -> bool:
    """Return whether a layer can be part of a command stream.

    A concatenation can if its operands but the last fill whole channel blocks.
    """
    if layer.op != "Concat":
        return True
    return all(network.tensors[name].shape[1] % lanes == 0 for name in layer.inputs[:-1])


def lay(network: Network, layer: Layer, given: Mapping[str, Form], lanes: int) -> Laid:
    """Return the forms of a layer's operands and result.

    Parameters
    ----------
    given
        Form of the operands that lie in the accelerator's memory; the host packs the others in
        whatever form is wanted.
    lanes
        Channels of a block.

    Raises
    ------
    InputError
        If the accelerator cannot compute the layer.
    """
    if layer.op in VIEWS:
        return Laid(result=given.get(layer.inputs[0]))
    if layer.op == "Concat":
        wants, result = _concat(network, layer)
    else:
        wants, result = _computed(layer, shape_of(network, layer), given, lanes)
        if layer.residual:
            wants = (*wants, (layer.residual, result))
    broken = {x for x, form in wants if x in given and not form.lies_as(given[x])}
    return Laid(wants, result, frozenset(broken))


def _computed(
    layer: Layer, shape: Shape, given: Mapping[str, Form], lanes: int
) -> tuple[tuple[Want, ...], Form]:
    source = layer.inputs[0]
    if isinstance(shape, FullyConnectedShape):
        return _fully_connected(layer, shape, given, lanes)
    if isinstance(shape, ConvShape):
        image = source not in given and image_layout_fits(shape)
        return ((source, Form(shape.input_shape, image=image)),), Form(shape.output_shape)
    if isinstance(shape, PoolShape):
        return ((source, Form(shape.input_shape)),), Form(shape.output_shape)
    names = layer.inputs[:2] if layer.op == "Add" else layer.inputs[:1]
    known = [given[name] for name in names if name in given]
    form = known[0] if known else Form((1, shape.elements, 1, 1))
    return tuple((name, form) for name in names), form


def _fully_connected(
    layer: Layer, shape: FullyConnectedShape, given: Mapping[str, Form], lanes: int
) -> tuple[tuple[Want, ...], Form]:
    """Return the forms of rows of features: along the width of a map, or an image per row."""
    rows, features, source = shape.rows, shape.in_features, layer.inputs[0]
    form = given.get(source)
    residual = given.get(layer.residual)
    if form is None and rows > 1 and (residual is None or residual.rows):
        form = Form((1, features, 1, rows), rows=True)
    if form is not None and form.rows:
        wanted = Form((1, features, 1, rows), rows=True)
        return ((source, wanted),), Form((1, shape.out_features, 1, rows), rows=True)
    result = Form((rows, shape.out_features, 1, 1))
    if form is not None and _flat_features(form, lanes) <= MAX_REDUCTION:
        n, c, h, w = form.shape
        if (n, c * h * w) == (rows, features):
            return ((source, form),), result
    return ((source, Form((rows, features, 1, 1))),), result


def _flat_features(form: Form, lanes: int) -> int:
    """Return the codes of one image, unused lanes included: the reduction that reads them all."""
    _, channels, height, width = form.shape
    return -(-channels // lanes) * lanes * height * width


def _concat(network: Network, layer: Layer) -> tuple[tuple[Want, ...], Form]:
    """Return the forms of operands that lie next to each other, and of all of them together."""

    def form(name: str) -> Form:
        batch, channels, *rest = network.tensors[name].shape
        height, width = rest if len(rest) == 2 else (1, math.prod(rest))
        return Form((batch, channels, height, width))

    return tuple((name, form(name)) for name in layer.inputs), form(layer.outputs[0])
