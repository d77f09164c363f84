"""Which operators are claimed, and why a model is outside of the claim.

The reasons are structural: read off a model's operators and declared types before anything runs.
What they exclude is refused by the import, which the tests check; everything else must pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from heterolith.sw import contrib, ops
from heterolith.sw.onnx_types import DATA_TYPES

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TypeProto

# What the import turns into another operator, a constant or nothing.
IMPORTED = frozenset({"CastLike", "Constant", "Dropout", "Scatter", "Upsample"})

_UNCLAIMED = {
    "control flow has no static schedule": ("If", "Loop", "Scan", "SequenceMap"),
    "sequence or optional type, which is no dense tensor": (
        "ConcatFromSequence",
        "Optional",
        "OptionalGetElement",
        "OptionalHasElement",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceEmpty",
        "SequenceErase",
        "SequenceInsert",
        "SequenceLength",
        "SplitToSequence",
    ),
    "random numbers, whose generator ONNX leaves open": (
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    ),
    "text": ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit"),
    "counts n-grams of text": ("TfIdfVectorizer",),
    "decodes image files": ("ImageDecoder",),
}
UNCLAIMED = {op: reason for reason, names in _UNCLAIMED.items() for op in names}

_DOMAINS = {
    "ai.onnx.ml": "domain ai.onnx.ml: trees and other classical models",
    "ai.onnx.preview": "domain ai.onnx.preview: operators that may still change",
    "ai.onnx.preview.training": "domain ai.onnx.preview.training: training",
    "ai.onnx.training": "domain ai.onnx.training: training",
}


def claimed() -> dict[str, str]:
    """Return the claimed operators with the domain of each, ``""`` for ai.onnx."""
    own = (ops.OPERATORS | IMPORTED) - contrib.OPERATORS
    return {**dict.fromkeys(own, ""), **dict.fromkeys(contrib.OPERATORS, contrib.DOMAIN)}


def operators(model: ModelProto) -> tuple[str, ...]:
    """Return the operators of a model, those of inner graphs included, in order."""
    return tuple(dict.fromkeys(node.op_type for node in _nodes(model.graph)))


def excluded(model: ModelProto) -> tuple[str, str]:
    """Return what puts a model outside of the claim: operator or ``""``, and reason or ``""``."""
    known = claimed()
    for node in _nodes(model.graph):
        if node.domain in ("", "ai.onnx", contrib.DOMAIN):
            if node.op_type not in known:
                return node.op_type, UNCLAIMED.get(node.op_type, "not claimed")
        elif node.domain not in {entry.domain for entry in model.functions}:
            return node.op_type, _DOMAINS.get(node.domain, f"domain {node.domain}")
    for entry in (*model.graph.input, *model.graph.output):
        reason = _type_reason(entry.type)
        if reason:
            return "", reason
    for node in model.graph.node:
        if _trains(node):
            return node.op_type, "training mode"
    return "", ""


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _type_reason(kind: TypeProto) -> str:
    which = kind.WhichOneof("value")
    if which not in (None, "tensor_type"):
        return f"{str(which).removesuffix('_type')} type, which is no dense tensor"
    number = kind.tensor_type.elem_type
    if not number or number in DATA_TYPES.values():
        return ""
    from onnx import TensorProto

    return f"dtype {TensorProto.DataType.Name(number).lower()}, which numpy does not have"


def _trains(node: NodeProto) -> bool:
    """Return whether a node computes for training, or leaves that to its inputs."""
    if node.op_type == "Dropout":
        return len(node.input) > 2 and bool(node.input[2])
    values: dict[str, Any] = {entry.name: entry.i for entry in node.attribute}
    return node.op_type == "BatchNormalization" and bool(values.get("training_mode"))
