"""Nodes of any operator set in one canonical form: operator set 18 with all defaults filled in.

Operators that came later have the form of the set they came with.

What later sets turned from attributes into inputs (axes, pads, bounds, shapes) is a constant
input; windows have explicit pads (`heterolith.sw.spatial`); ``Upsample`` is ``Resize``; ``Split``
names its sizes; a ``Sum`` of two is ``Add``. ``Softmax``, ``LogSoftmax`` and ``Hardmax`` from
before set 13 get the axis that means the same or, if there is none, ``flatten=1``: a matrix split
at ``axis``.

Left out: ``momentum`` and ``training_mode`` of BatchNormalization, and attributes newer than set 18
that have their default. Source: ONNX docs/Changelog.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from heterolith.sw.canonical_rules import RULES, Node
from heterolith.sw.draft import Draft
from heterolith.sw.onnx_types import schema_of

if TYPE_CHECKING:
    from onnx import AttributeProto

_CANONICAL_OPSET = 18
NEWER_FORM = {"DFT": 20, "GroupNormalization": 21}
"""Operator -> operator set of its canonical form, where that is not the usual one."""
_LEGACY = ("consumed_inputs", "is_test", "spatial", "broadcast", "output_sequence")


def canonicalize(node: Node, draft: Draft) -> None:
    """Bring a node with its explicit attributes into canonical form, in place.

    Constants and, for broadcasts of operator sets below 7, Reshape layers are added to the draft.

    Raises
    ------
    InputError
        If the node has no such form, e.g. batch normalization per pixel.
    """
    defaults = _defaults(node.op, node.opset)
    node.attributes = {**defaults, **node.attributes}
    rule = RULES.get(node.op)
    if rule:
        rule(node, draft)
    for name in _LEGACY:
        node.attributes.pop(name, None)
    newest = NEWER_FORM.get(node.op, _CANONICAL_OPSET)
    schema = schema_of(node.op, newest) or schema_of(node.op, node.opset)
    assert schema is not None  # check_nodes has seen it
    wanted = _defaults(node.op, schema.since_version)
    newer = [name for name in defaults if name not in schema.attributes]
    for name in newer:
        if node.attributes.get(name) == defaults[name]:
            del node.attributes[name]
    node.attributes = {**wanted, **node.attributes}
    for name in _DROPPED.get(node.op, ()):
        node.attributes.pop(name, None)
    while node.inputs and not node.inputs[-1]:
        node.inputs.pop()


def attribute_value(proto: AttributeProto) -> object:
    """Return an ``AttributeProto``'s int, float, str, tuple of them, or array."""
    from onnx import AttributeProto, helper, numpy_helper

    if proto.type == AttributeProto.TENSOR:
        return numpy_helper.to_array(proto.t)
    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (int, float)):
        return value
    return tuple(
        entry.decode("utf-8", "replace") if isinstance(entry, bytes) else entry for entry in value
    )


@cache
def _defaults(op: str, opset: int) -> Mapping[str, Any]:
    """Return the defaults of an operator's attributes at an operator set."""
    schema = schema_of(op, opset)
    entries = schema.attributes.items() if schema else ()
    return {
        name: attribute_value(entry.default_value)
        for name, entry in entries
        if entry.default_value.name
    }


_DROPPED = {
    **dict.fromkeys(("Conv", "ConvInteger", "ConvTranspose", "QLinearConv"), ("auto_pad",)),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), ("auto_pad",)),
    "BatchNormalization": ("momentum", "training_mode"),
}
