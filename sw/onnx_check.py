"""What can be said about an ONNX model before any node is looked at closely.

Every refusal names the value, what was expected and what to do; nothing of onnx's or protobuf's own
exceptions gets out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from heterolith.errors import InputError, unknown_name
from heterolith.sw import contrib
from heterolith.sw.network import Array, TensorType
from heterolith.sw.onnx_types import numpy_dtype, schema_of

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TypeProto

_CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")


class RunTimeShapeError(InputError):
    """A result's shape depends on tensors that are computed at run time.

    Attributes
    ----------
    names
        Those tensors, by the names of the network under construction.
    """

    def __init__(self, what: str, names: Sequence[str]) -> None:
        super().__init__(
            f"{what}: the shape of its result depends on values computed at run time "
            f"({', '.join(names)}), and a plan needs static shapes; cut the model there with "
            f"onnx.utils.extract_model(..., output_names={list(names)}) and plan that part, or run "
            "the whole model on the CPU with heterolith.sw.backend"
        )
        self.names = tuple(names)


def inline_functions(proto: ModelProto) -> ModelProto:
    """Return the model with its own functions replaced by their bodies."""
    if not proto.functions:
        return proto
    from onnx import inliner

    try:
        return inliner.inline_local_functions(proto)
    except Exception as error:  # the C++ inliner raises bare RuntimeErrors
        raise InputError(f"the model's functions cannot be inlined: {one_line(error)}") from None


def model_opset(proto: ModelProto) -> int:
    """Return the version of the default operator set.

    Raises
    ------
    InputError
        If the installed onnx is older than the model.
    """
    import onnx

    versions = [entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")]
    opset = max(versions, default=1)
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= opset <= newest or proto.ir_version > onnx.IR_VERSION:
        raise InputError(
            f"the model is opset {opset}, IR {proto.ir_version}; onnx {onnx.__version__} knows "
            f"1 to {newest}, IR to {int(onnx.IR_VERSION)}; upgrade with: pip install -U onnx"
        )
    return opset


def check_nodes(nodes: Mapping[str, NodeProto], opset: int) -> None:
    """Refuse nodes that no operator set of the model defines, and control flow.

    Raises
    ------
    InputError
        Naming node, operator, domain and opset.
    """
    for name, node in nodes.items():
        what = f"node {name!r}: operator {node.op_type}"
        if node.domain == contrib.DOMAIN and node.op_type in contrib.OPERATORS:
            continue
        if node.domain not in ("", "ai.onnx"):
            raise InputError(
                f"{what} of domain {node.domain!r} is known to no device; "
                "export the model with the operators of domain ai.onnx"
            )
        if node.op_type in _CONTROL_FLOW:
            raise InputError(
                f"{what} (opset {opset}) is control flow, which has no static schedule; "
                "export the model with the branch taken and loops unrolled"
            )
        schema = schema_of(node.op_type, opset)
        if schema is None or schema.deprecated:
            raise unknown_operator(name, node.op_type, opset)


def unknown_operator(name: str, op: str, opset: int) -> InputError:
    """Build the error for an operator that no device knows."""
    from heterolith.sw import ops

    near = get_close_matches(op, sorted(ops.OPERATORS), n=2, cutoff=0.7)
    hint = f"did you mean {' or '.join(near)}?" if near else "export the model without it"
    return InputError(
        f"node {name!r}: operator {op} (domain ai.onnx, opset {opset}) is known to no device; "
        f"{hint}"
    )


def check_model(proto: ModelProto, inputs: Mapping[str, TensorType]) -> None:
    """Run onnx's checker on a model, whose inputs are given their shapes for good.

    The declared types of outputs, which may be stale or absent, are of no use: types are inferred.

    Raises
    ------
    InputError
        With the checker's message on one line.
    """
    from onnx import checker

    if len(proto.graph.sparse_initializer):
        name = proto.graph.sparse_initializer[0].values.name
        raise InputError(f"tensor {name!r} is sparse; export the model with dense weights")
    for entry in proto.graph.input:
        if entry.name in inputs:
            shape = entry.type.tensor_type.shape
            shape.ClearField("dim")
            for length in inputs[entry.name].shape:
                shape.dim.add(dim_value=length)
            shape.SetInParent()
    for entry in proto.graph.output:
        if not entry.HasField("type"):
            entry.type.tensor_type.elem_type = 1
        if entry.type.HasField("tensor_type"):
            entry.type.tensor_type.shape.ClearField("dim")
            entry.type.tensor_type.shape.SetInParent()
    try:
        checker.check_model(proto)
    except Exception as error:  # ValidationError, and RuntimeErrors of the C++ checker
        raise InputError(f"onnx refuses the model: {one_line(error)}") from None


def check_values(graph: GraphProto, values: Mapping[str, Array]) -> None:
    """Check values that inputs are bound to.

    Raises
    ------
    InputError
        If a name is unknown, or dtype or shape is not the one declared.
    """
    entries = {entry.name: entry for entry in graph.input}
    for name, value in values.items():
        if name not in entries:
            raise unknown_name("input", name, entries)
        tensor = entries[name].type.tensor_type
        dtype = numpy_dtype(tensor.elem_type, f"input {name!r}")
        if value.dtype.name != dtype:
            raise InputError(f"input {name!r} is bound to {value.dtype.name}; the file has {dtype}")
        if tensor.HasField("shape"):
            _resolve(name, _dims(tensor), value.shape, least=0)


def static_inputs(
    graph: GraphProto,
    stored: Mapping[str, object],
    shapes: Mapping[str, Sequence[int]],
    *,
    least: int = 1,
) -> dict[str, TensorType]:
    """Return the network inputs with static shapes.

    Parameters
    ----------
    graph
        ``GraphProto``.
    stored
        Initializers, which are no inputs even where they are listed as such.
    shapes
        Shapes by input name where the file leaves dimensions open.
    least
        Smallest length that a dimension may have.

    Raises
    ------
    InputError
        If a dimension stays open, contradicts the file or is too small, or a name is unknown.
    """
    entries = {entry.name: entry for entry in graph.input if entry.name not in stored}
    for name in shapes:
        if name not in entries:
            raise unknown_name("input", name, entries)
    result = {}
    for name, entry in entries.items():
        if entry.type.WhichOneof("value") != "tensor_type":
            raise InputError(f"input {name!r} is no dense tensor; export the model with tensors")
        tensor = entry.type.tensor_type
        dtype = numpy_dtype(tensor.elem_type, f"input {name!r}")
        dims = _dims(tensor) if tensor.HasField("shape") else None
        result[name] = TensorType(_resolve(name, dims, shapes.get(name), least), dtype)
    return result


def _dims(tensor: TypeProto.Tensor) -> list[int | str]:
    """Return each dimension's length, or its symbol where it is open."""
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in tensor.shape.dim
    ]


def _resolve(
    name: str, dims: list[int | str] | None, given: Sequence[int] | None, least: int = 1
) -> tuple[int, ...]:
    written = "unknown rank" if dims is None else f"[{', '.join(map(str, dims))}]"
    if given is None:
        if dims is not None and all(isinstance(dim, int) and dim >= least for dim in dims):
            return tuple(int(dim) for dim in dims)
        example = [
            dim if isinstance(dim, int) and dim > 0 else 1 for dim in dims or (1, 3, 224, 224)
        ]
        lack = "dynamic shape" if dims is None or 0 not in dims else "a length of 0 in its shape"
        raise InputError(
            f"input {name!r} has {lack} {written}; "
            f"fix it with --shape {name}={'x'.join(map(str, example))}"
        )
    if any(length < least for length in given):
        raise InputError(
            f"shape {list(given)} of input {name!r} has a length below {least}; use {least} or more"
        )
    if dims is None:
        return tuple(given)
    fits = len(dims) == len(given) and all(
        not isinstance(dim, int) or dim == length or (dim == 0 and least)
        for dim, length in zip(dims, given, strict=True)
    )
    if not fits:
        raise InputError(
            f"shape {list(given)} of input {name!r} contradicts the file, which has {written}; "
            "only open dimensions can be chosen"
        )
    return tuple(given)


def one_line(error: Exception, limit: int = 300) -> str:
    """Return an exception's message on one line of bounded length."""
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
