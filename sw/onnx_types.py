"""Types of tensors: ONNX data types as numpy dtypes, and the inference of one node's results.

onnx infers a node's result types from its input types and the values of small constants. Going node
by node lets values computed at import (shape arithmetic) take part, which inference over a whole
graph cannot do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from heterolith.errors import InputError
from heterolith.sw.network import Array, TensorType

if TYPE_CHECKING:
    from onnx import NodeProto, TypeProto
    from onnx.defs import OpSchema

# TensorProto.DataType -> numpy dtype and ONNX's name in type constraints.
_DTYPES = {
    1: ("float32", "float"),
    2: ("uint8", "uint8"),
    3: ("int8", "int8"),
    4: ("uint16", "uint16"),
    5: ("int16", "int16"),
    6: ("int32", "int32"),
    7: ("int64", "int64"),
    9: ("bool", "bool"),
    10: ("float16", "float16"),
    11: ("float64", "double"),
    12: ("uint32", "uint32"),
    13: ("uint64", "uint64"),
}
DATA_TYPES = {numpy_name: number for number, (numpy_name, _) in _DTYPES.items()}
_CONSTRAINT = {numpy_name: f"tensor({onnx_name})" for numpy_name, onnx_name in _DTYPES.values()}
_SMALL = 4096  # elements of a constant that inference may want to read


def numpy_dtype(data_type: int, what: str) -> str:
    """Return the numpy dtype name of an ONNX data type.

    Raises
    ------
    InputError
        If numpy has none, e.g. for strings, bfloat16 and 8-bit floats.
    """
    if data_type not in _DTYPES:
        from onnx import TensorProto

        known = TensorProto.DataType.keys()
        name = dict(zip(TensorProto.DataType.values(), known, strict=True)).get(
            data_type, str(data_type)
        )
        raise InputError(
            f"{what} has the type {name.lower()}, which no device computes; "
            "export the model in float32"
        )
    return _DTYPES[data_type][0]


@dataclass(frozen=True, slots=True)
class _Formal:
    """A declared input: name of its type variable, allowed types."""

    variable: str
    allowed: frozenset[str]
    homogeneous: bool
    variadic: bool


@cache
def schema_of(op: str, opset: int) -> OpSchema | None:
    """Return onnx's schema of an operator of the default domain, or ``None``."""
    from onnx import defs

    try:
        return defs.get_schema(op, opset, "")
    except defs.SchemaError:
        return None


@cache
def _formals(op: str, opset: int) -> tuple[_Formal, ...]:
    from onnx import defs

    schema = schema_of(op, opset)
    assert schema is not None  # check_nodes has seen it
    variadic = defs.OpSchema.FormalParameterOption.Variadic
    return tuple(
        _Formal(
            entry.type_str, frozenset(entry.types), entry.is_homogeneous, entry.option == variadic
        )
        for entry in schema.inputs
    )


def check_types(op: str, opset: int, inputs: list[TensorType | None], what: str) -> None:
    """Check input dtypes against the operator's type constraints.

    Raises
    ------
    InputError
        If one is not allowed or two that must agree differ.
    """
    formals = _formals(op, opset)
    bound: dict[str, str] = {}
    for at, kind in enumerate(inputs):
        if kind is None or not formals:
            continue
        formal = formals[min(at, len(formals) - 1)]
        if _CONSTRAINT[kind.dtype] not in formal.allowed:
            allowed = ", ".join(sorted(formal.allowed))
            raise InputError(f"{what}: input {at} is {kind.dtype}, the operator takes {allowed}")
        if formal.variadic and not formal.homogeneous:
            continue
        first = bound.setdefault(formal.variable, kind.dtype)
        if first != kind.dtype:
            raise InputError(f"{what}: inputs are {first} and {kind.dtype}, which must agree")


def infer_outputs(
    node: NodeProto,
    opset: int,
    types: Mapping[str, TensorType],
    values: Mapping[str, Array],
    what: str,
) -> dict[str, TensorType | None]:
    """Return the types of a node's results, ``None`` where onnx cannot tell.

    Parameters
    ----------
    node
        ``NodeProto`` as it stands in the model.
    types
        Type of each of its inputs, by the name that the node uses.
    values
        Values of those inputs that are constant.

    Raises
    ------
    InputError
        If the inputs do not fit the operator.
    """
    from onnx import helper, numpy_helper, shape_inference

    protos = {
        name: helper.make_tensor_type_proto(DATA_TYPES[kind.dtype], kind.shape)
        for name, kind in types.items()
    }
    data = {
        name: numpy_helper.from_array(value, name)
        for name, value in values.items()
        if value.size <= _SMALL
    }
    schema = schema_of(node.op_type, opset)
    assert schema is not None  # check_nodes has seen it
    try:
        inferred = shape_inference.infer_node_outputs(
            schema,
            node,
            protos,
            data,
            opset_imports=[helper.make_opsetid("", opset)],
        )
    except shape_inference.InferenceError as error:
        detail = " ".join(str(error).replace("[ShapeInferenceError]", "").split())
        shapes = ", ".join(f"{name} {list(kind.shape)}" for name, kind in types.items())
        raise InputError(f"{what}: {detail} (inputs {shapes})") from None
    return {
        name: _static(inferred[name], f"{what}: result {name!r}") if name in inferred else None
        for name in node.output
        if name
    }


def _static(proto: TypeProto, what: str) -> TensorType | None:
    kind = proto.WhichOneof("value")
    if kind is None:
        return None
    if kind != "tensor_type":
        raise InputError(f"{what} is no dense tensor, which no device computes")
    tensor = proto.tensor_type
    dims = tensor.shape.dim
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in dims):
        return None
    shape = tuple(int(dim.dim_value) for dim in dims)
    return TensorType(shape, numpy_dtype(tensor.elem_type, what))
