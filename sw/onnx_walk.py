"""Walks the nodes of an ONNX graph: each becomes a constant, an alias or a layer.

A node is brought into canonical form; if all its inputs are constant it is computed here and now,
otherwise it becomes a layer with inferred types. Shapes count as constants, since they are static.
Invariant: every node visited ends in one ``Layer.nodes`` of the draft or in ``Draft.removed``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from heterolith.errors import InputError
from heterolith.sw import contrib, ops
from heterolith.sw.canonical import attribute_value, canonicalize
from heterolith.sw.canonical_rules import Node
from heterolith.sw.draft import Draft, splat
from heterolith.sw.macs import layer_macs
from heterolith.sw.network import Array, Layer, TensorType
from heterolith.sw.onnx_check import RunTimeShapeError, one_line, unknown_operator
from heterolith.sw.onnx_file import Initializer
from heterolith.sw.onnx_types import check_types, infer_outputs, numpy_dtype

if TYPE_CHECKING:
    from onnx import NodeProto

_CONSTANT = "constant: computed at import"
_IDENTITY = "the identity at inference"
# Results whose shapes depend on values that are not known at import.
_DATA_DEPENDENT = (
    "BlackmanWindow",
    "Compress",
    "ConstantOfShape",
    "HammingWindow",
    "HannWindow",
    "MelWeightMatrix",
    "NonMaxSuppression",
    "NonZero",
    "Range",
    "Unique",
)
# Operators whose sizes may be given in floats.
_FLOAT_SIZES = ("OneHot", "Resize")
# Operators whose result types onnx tells wrong: STFT's spectrum is always two-sided to it. So are
# pools that round up: it counts windows that start behind the input.
_MISTOLD = ("STFT",)
# Operators some of whose modes no device knows, which computing them once on zeros tells.
_PARTLY_KNOWN = (
    "Attention",
    "Celu",
    "DepthToSpace",
    "GRU",
    "Gelu",
    "GridSample",
    "GroupNormalization",
    "LSTM",
    "LayerNormalization",
    "LinearAttention",
    "LpNormalization",
    "Pad",
    "RMSNormalization",
    "RNN",
    "Resize",
    "RoiAlign",
    "ScatterElements",
    "ScatterND",
    "SpaceToDepth",
    "TensorScatter",
)


@dataclass(slots=True)
class Walk:
    """One pass over the nodes.

    Attributes
    ----------
    stored
        Initializers by name.
    wanted
        Tensors that a node or the caller reads.
    alias
        Results of identities and what they equal.
    identities
        Results of identities and their nodes.
    allow_empty
        Whether results may have no elements.
    """

    draft: Draft
    stored: Mapping[str, Initializer]
    wanted: Set[str]
    opset: int
    alias: dict[str, str] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    allow_empty: bool = False

    def visit(self, proto: NodeProto, name: str) -> None:
        """Turn one node into a constant, an alias or a layer."""
        for at, output in enumerate(proto.output):
            proto.output[at] = output or f"{name}:{at}"
        attributes = self._attributes(proto, name)
        if proto.op_type == "Constant":
            self._fold(name, proto.output[0], _constant_value(attributes, name))
            return
        inputs = [self._resolve(entry) for entry in proto.input]
        outputs = list(proto.output)
        while outputs[-1] not in self.wanted:
            outputs.pop()
        node = Node(name, proto.op_type, self.opset, inputs, outputs, attributes)
        kinds = [self.draft.type_of(entry) if entry else None for entry in inputs]
        if proto.domain == contrib.DOMAIN:
            self._take(node, {outputs[0]: self._contrib_type(node, kinds)})
            return
        check_types(node.op, self.opset, kinds, node.what)
        if self._shortcut(node):
            return
        types = self._infer(proto, node)
        canonicalize(node, self.draft)
        if node.op not in ops.OPERATORS:
            raise unknown_operator(name, proto.op_type, self.opset)
        self._take(node, types)

    def _take(self, node: Node, types: dict[str, TensorType | None]) -> None:
        """Compute a node in canonical form here and now if it is constant, else keep it."""
        if any(entry and entry not in self.draft.constants for entry in node.inputs):
            self._append(node, types)
            return
        values = self._compute(node, self._values(node))
        for output, value in zip(node.outputs, values, strict=True):
            self._fold(node.name, output, value)

    def _contrib_type(self, node: Node, kinds: Sequence[TensorType | None]) -> TensorType:
        try:
            return contrib.result_type(node.op, node.attributes, kinds)
        except (InputError, ValueError) as error:
            raise InputError(f"{node.what}: {error}") from None

    def resolve_outputs(self) -> None:
        """Let network outputs that are aliases keep their ONNX names."""
        draft, renamed = self.draft, {}
        produced = {name for layer in draft.layers for name in layer.outputs}
        for output in draft.outputs:
            source = self._resolve(output)
            if source == output:
                continue
            if source in produced and source not in draft.outputs and source not in renamed:
                renamed[source] = output
                continue
            node = self.identities[output]
            draft.removed.remove((node, _IDENTITY))
            draft.tensors[output] = draft.type_of(source)
            draft.layers.append(
                Layer(name=node, op="Identity", inputs=(source,), outputs=(output,), nodes=(node,))
            )
        draft.rename(renamed)

    def _attributes(self, proto: NodeProto, name: str) -> dict[str, Any]:
        try:
            return {entry.name: attribute_value(entry) for entry in proto.attribute}
        except Exception as error:  # onnx raises by kind of attribute and of damage
            raise InputError(f"node {name!r} ({proto.op_type}): {one_line(error)}") from None

    def _resolve(self, name: str) -> str:
        """Return the name an input goes by in the draft, reading it if it is stored."""
        while name in self.alias:
            name = self.alias[name]
        if name in self.stored and name not in self.draft.constants:
            entry = self.stored[name]
            numpy_dtype(entry.data_type, f"tensor {name!r}")
            self.draft.constants[name] = entry.read()
        return name

    def _fold(self, node: str, output: str, value: Array) -> None:
        self.draft.constants[output] = value
        if (node, _CONSTANT) not in self.draft.removed[-1:]:
            self.draft.removed.append((node, _CONSTANT))

    def _shortcut(self, node: Node) -> bool:
        """Handle what needs no computation; return whether the node was such a one."""
        draft = self.draft
        source = node.input(0)
        if self._trains(node):
            raise InputError(
                f"{node.what} is in training mode; export the model after model.eval()"
            )
        if node.op in ("Identity", "Dropout") or (node.op == "Sum" and len(node.inputs) == 1):
            self.alias[node.outputs[0]] = source
            self.identities[node.outputs[0]] = node.name
            draft.removed.append((node.name, _IDENTITY))
            for mask in node.outputs[1:]:
                dtype = np.bool_ if node.opset >= 10 else draft.type_of(source).dtype
                draft.constants[mask] = splat(np.ones((), dtype), draft.type_of(source).shape)
            return True
        if node.op == "ConstantOfShape" and source in draft.constants:
            value = np.asarray(node.attributes.get("value", np.float32(0)))
            shape = tuple(draft.constants[source].ravel().tolist())
            if value.size != 1 or min(shape, default=0) < 0:
                raise InputError(
                    f"{node.what}: {value.size} values for shape {list(shape)}; "
                    "it takes one value and lengths of 0 or more"
                )
            self._fold(node.name, node.outputs[0], splat(value, shape))
            return True
        if node.op in ("Shape", "Size"):
            shape = draft.type_of(source).shape
            cut = shape[node.attributes.get("start", 0) : node.attributes.get("end")]
            value = np.array(
                cut if node.op == "Shape" else np.prod(shape, dtype=np.int64), np.int64
            )
            self._fold(node.name, node.outputs[0], value)
            return True
        return False

    def _trains(self, node: Node) -> bool:
        if node.op == "BatchNormalization":
            return bool(node.attributes.get("training_mode")) or len(node.outputs) > 1
        if node.op != "Dropout" or node.opset < 12 or not node.input(2):
            return False
        mode = self.draft.constants.get(node.inputs[2])
        return mode is None or bool(mode.item())

    def _infer(self, proto: NodeProto, node: Node) -> dict[str, TensorType | None]:
        types, values = {}, {}
        for own, name in zip(proto.input, node.inputs, strict=True):
            if own:
                types[own] = self.draft.type_of(name)
                if name in self.draft.constants:
                    values[own] = self.draft.constants[name]
        return infer_outputs(proto, self.opset, types, values, node.what)

    def _values(self, node: Node) -> list[Array | None]:
        return [self.draft.constants[name] if name else None for name in node.inputs]

    def _compute(self, node: Node, values: Sequence[Array | None]) -> tuple[Array, ...]:
        try:
            return ops.compute(node.op, node.attributes, values, len(node.outputs))
        except InputError as error:
            raise InputError(f"{node.what}: {error}") from None

    def _append(self, node: Node, types: dict[str, TensorType | None]) -> None:
        draft = self.draft
        try:
            ops.check(node.op, node.attributes)
        except InputError as error:
            raise InputError(f"{node.what}: {error}") from None
        mistold = node.op in _MISTOLD or node.attributes.get("ceil_mode")
        if mistold or any(types.get(name) is None for name in node.outputs):
            self._refuse_unknown_sizes(node)
            types = dict(zip(node.outputs, self._probe(node), strict=True))
        elif node.op in _PARTLY_KNOWN:
            computed = self._probe(node)
            if computed != [types[name] for name in node.outputs]:
                raise InputError(f"{node.what} gives {computed}, but {types} is inferred")
        _check_addend(node, draft, types)
        for name in node.outputs:
            kind = types[name]
            assert kind is not None
            if min(kind.shape, default=1) < (0 if self.allow_empty else 1):
                raise InputError(
                    f"{node.what}: result {name!r} of shape {list(kind.shape)} has no elements; "
                    "choose larger input shapes"
                )
            draft.tensors[name] = kind
        shapes = [draft.type_of(name).shape if name else () for name in node.inputs]
        out = draft.tensors[node.outputs[0]].shape
        draft.layers.append(
            Layer(
                name=node.name,
                op=node.op,
                inputs=tuple(node.inputs),
                outputs=tuple(node.outputs),
                attributes=node.attributes,
                nodes=(node.name,),
                macs=layer_macs(node.op, node.attributes, shapes, out),
            )
        )

    def _refuse_unknown_sizes(self, node: Node) -> None:
        """Refuse a node of untold result types whose sizes are values computed at run time."""
        kinds = [self.draft.type_of(name) if name else None for name in node.inputs]
        deciding = [
            name
            for at, (name, kind) in enumerate(zip(node.inputs, kinds, strict=True))
            if kind is not None and name not in self.draft.constants
            if node.op in _DATA_DEPENDENT
            or (at and (kind.dtype.lstrip("u").startswith("int") or node.op in _FLOAT_SIZES))
        ]
        if deciding:
            raise RunTimeShapeError(node.what, deciding)

    def _probe(self, node: Node) -> list[TensorType]:
        """Compute the node on zeros to learn its result types."""
        values = []
        for name in node.inputs:
            kind = self.draft.type_of(name) if name else None
            zeros = None if kind is None else splat(np.zeros((), kind.dtype), kind.shape)
            values.append(self.draft.constants.get(name, zeros))
        return [TensorType(value.shape, value.dtype.name) for value in self._compute(node, values)]


def _check_addend(node: Node, draft: Draft, types: Mapping[str, TensorType | None]) -> None:
    """Refuse an addend of Gemm that does not broadcast to the product, which onnx lets pass."""
    if node.op != "Gemm" or len(node.inputs) < 3:
        return
    addend, product = draft.type_of(node.inputs[2]), types[node.outputs[0]]
    assert product is not None
    padded = (*(1,) * (2 - len(addend.shape)), *addend.shape)
    if len(padded) > 2 or any(a not in (1, b) for a, b in zip(padded, product.shape, strict=True)):
        raise InputError(
            f"{node.what}: C of shape {addend.shape} does not broadcast to the product's "
            f"{product.shape}"
        )


def _constant_value(attributes: Mapping[str, Any], name: str) -> Array:
    """Return the tensor of a Constant node."""
    kinds = {
        "value": None,
        "value_float": np.float32,
        "value_floats": np.float32,
        "value_int": np.int64,
        "value_ints": np.int64,
    }
    for attribute, dtype in kinds.items():
        if attribute in attributes:
            value = np.asarray(attributes[attribute], dtype)
            if value.dtype.kind not in "fiub":
                break
            return value
    given = ", ".join(attributes) or "no value"
    raise InputError(f"node {name!r} (Constant) holds {given}; export it as a dense number tensor")
