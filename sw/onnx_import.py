"""ONNX models as networks: static shapes, constants folded, one canonical form, layers fused.

Invariant: every node of the graph ends in exactly one ``Layer.nodes`` or, with the reason, in
``Network.removed``. The steps: `heterolith.sw.onnx_file` reads, `heterolith.sw.onnx_check` refuses,
`heterolith.sw.onnx_walk` makes layers, `heterolith.sw.fuse` joins them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.draft import Draft
from heterolith.sw.fuse import fuse
from heterolith.sw.network import Array, Network
from heterolith.sw.onnx_check import (
    check_model,
    check_nodes,
    check_values,
    inline_functions,
    model_opset,
    static_inputs,
)
from heterolith.sw.onnx_file import Initializer, OnnxModel, read_file, split_model
from heterolith.sw.onnx_types import DATA_TYPES
from heterolith.sw.onnx_walk import Walk

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_DEAD = "no network output depends on it"
_FOLDED_AWAY = "only constants depended on it"
# Operators whose weights must be finite; elsewhere infinity may be meant, as in a mask.
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "PRelu", "LRN")


def load_onnx(
    path: Path | str, shapes: Mapping[str, Sequence[int]] | None = None, *, fused: bool = True
) -> Network:
    """Import an ONNX file.

    Parameters
    ----------
    shapes
        Static shape per input, needed where the file leaves dimensions open.
    fused
        Whether batch normalization, residual additions and activations become part of the layers
        they follow.

    Raises
    ------
    InputError
        If the file is missing, damaged, dynamic in shape or uses what no device knows.
    """
    _require_onnx()
    file = Path(path)
    network = _build(read_file(file), shapes or {}, file.stem, _Options(fused))
    return replace(network, path=str(file.resolve()))


def from_model(
    model: ModelProto,
    name: str,
    shapes: Mapping[str, Sequence[int]] | None = None,
    *,
    fused: bool = True,
    values: Mapping[str, Array] | None = None,
    allow_empty: bool = False,
) -> Network:
    """Import a ``ModelProto`` in memory, which is left unchanged; see `load_onnx`.

    Parameters
    ----------
    values
        Inputs that are bound: they become constants, which a shape may depend on.
    allow_empty
        Whether tensors may have no elements. In a network of layers to place they are nearly
        always a mistake in the input shapes.
    """
    _require_onnx()
    split = split_model(model)
    check_values(split.proto.graph, values or {})
    for key, value in (values or {}).items():
        number = DATA_TYPES[value.dtype.name]
        split.initializers[key] = Initializer(number, value.shape, partial(np.array, value))
    return _build(split, shapes or {}, name, _Options(fused, allow_empty, frozenset(values or ())))


@dataclass(frozen=True, slots=True)
class _Options:
    fused: bool
    allow_empty: bool = False
    bound: frozenset[str] = frozenset()


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError:
        raise InputError(
            "onnx is not installed; install it with: pip install onnx, "
            "or plan on a host that has it"
        ) from None


def _build(
    model: OnnxModel, shapes: Mapping[str, Sequence[int]], name: str, options: _Options
) -> Network:
    opset = model_opset(model.proto)
    proto = inline_functions(model.proto)
    outputs = tuple(entry.name for entry in proto.graph.output)
    live, removed = _without_dead(proto.graph.node, outputs)
    check_nodes(live, opset)
    least = 0 if options.allow_empty else 1
    inputs = static_inputs(proto.graph, model.initializers, shapes, least=least)
    check_model(proto, inputs)
    draft = Draft(inputs=tuple(inputs), outputs=outputs, tensors=dict(inputs), removed=[*removed])
    wanted = {*outputs, *(tensor for node in proto.graph.node for tensor in node.input)}
    walk = Walk(
        draft=draft,
        stored=model.initializers,
        wanted=wanted,
        opset=opset,
        allow_empty=options.allow_empty,
    )
    for node_name, node in live.items():
        walk.visit(node, node_name)
    walk.resolve_outputs()
    draft.drop_unused(_FOLDED_AWAY)
    _check_finite(draft, options.bound)
    if options.fused:
        fuse(draft)
    return draft.finish(name, opset)


def node_names(nodes: Sequence[NodeProto]) -> list[str]:
    """Return a unique name per node: its own where it has one, else operator and index."""
    own = {node.name for node in nodes if node.name}
    taken: set[str] = set()
    names = []
    for at, node in enumerate(nodes):
        name = node.name or f"{node.op_type}_{at}"
        if name in taken or (not node.name and name in own):
            name = f"{name}_{at}"
        while name in taken:
            name += "_"
        taken.add(name)
        names.append(name)
    return names


def _without_dead(
    nodes: MutableSequence[NodeProto], outputs: Iterable[str]
) -> tuple[dict[str, NodeProto], list[tuple[str, str]]]:
    """Remove the nodes that no output depends on; return the others by name, and the reasons."""
    names = node_names(nodes)
    wanted, removed = set(outputs), []
    for at in range(len(names) - 1, -1, -1):
        if any(name in wanted for name in nodes[at].output if name):
            wanted.update(nodes[at].input)
        else:
            removed.append((names.pop(at), _DEAD))
            del nodes[at]
    return dict(zip(names, nodes, strict=True)), removed[::-1]


def _check_finite(draft: Draft, bound: Iterable[str]) -> None:
    """Refuse weights that are not finite, and constants that are not numbers, unless bound."""
    seen = dict.fromkeys(bound, "")
    for layer in draft.layers:
        for name in layer.inputs:
            value = draft.constants.get(name)
            if value is None or value.dtype.kind != "f":
                continue
            if name not in seen:
                seen[name] = _first_odd(value)
            if seen[name] == "NaN" or (seen[name] and layer.op in _WEIGHTED):
                raise InputError(
                    f"tensor {name!r} of node {layer.name!r} ({layer.op}) holds {seen[name]}; "
                    "weights must be finite, train or export the model again"
                )


def _first_odd(value: Array) -> str:
    """Return ``NaN`` or ``Inf`` if the array holds one, else ``""``; looks at a block at a time."""
    compact = value[tuple(slice(0, 1) if step == 0 else slice(None) for step in value.strides)]
    flat, block, found = compact.ravel(order="K"), 1 << 20, ""
    for at in range(0, flat.size, block):
        part = flat[at : at + block]
        if not np.isfinite(part).all():
            if np.isnan(part).any():
                return "NaN"
            found = "Inf"
    return found
