"""One layer as an ONNX model of its own: the operator, its residual addition and its clamp.

Constants become initializers. The model is in operator set 18 and IR version 8, which ONNX Runtime
reads from 1.14 on. What came later takes the first set that has it, an operator that came later at
least the set of its network; softmax by matrices needs set 11.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from heterolith.errors import InputError, MissingExtraError
from heterolith.sw import contrib
from heterolith.sw.canonical import NEWER_FORM
from heterolith.sw.network import Layer, Network
from heterolith.sw.onnx_types import schema_of

if TYPE_CHECKING:
    from onnx import NodeProto, ValueInfoProto

_USUAL = 18


def layer_model(network: Network, layer: Layer) -> bytes:
    """Return the serialised model of one layer.

    Its inputs are ``network.activations(layer)``, its outputs those of the layer.

    Raises
    ------
    InputError
        If the installed onnx does not know the operator.
    MissingExtraError
        If onnx is not installed.
    """
    try:
        from onnx import helper
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnx", "verify") from error
    writer = _Writer(network, layer, helper)
    writer.add_operator()
    opset = _opset(network, layer)
    graph = helper.make_graph(
        writer.nodes,
        "layer",
        [writer.declare(name) for name in network.activations(layer)],
        [writer.declare(name) for name in layer.outputs if name],
    )
    versions = [helper.make_opsetid("", opset)]
    ir_version = max(8, helper.find_min_ir_version_for(versions))
    if layer.op in contrib.OPERATORS:
        versions.append(helper.make_opsetid(contrib.DOMAIN, 1))
    model = helper.make_model(graph, opset_imports=versions, ir_version=ir_version)
    for name, value in writer.constants.items():
        # Written into the model in place: weights may take hundreds of megabytes.
        tensor = model.graph.initializer.add()
        tensor.name = name
        tensor.data_type = helper.np_dtype_to_tensor_dtype(value.dtype)
        tensor.dims.extend(value.shape)
        tensor.raw_data = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
    content: bytes = model.SerializeToString()
    return content


def _opset(network: Network, layer: Layer) -> int:
    """Return the operator set whose meaning the layer has."""
    attributes = layer.attributes
    if attributes.get("flatten"):
        return 11
    if layer.op in contrib.OPERATORS or _fits(layer, _USUAL):
        newer = (
            attributes.get("mode") == "wrap"
            or attributes.get("coordinate_transformation_mode") == "half_pixel_symmetric"
        )
        return 20 if newer else _USUAL
    from onnx import defs

    newest = defs.onnx_opset_version()
    for opset in range(_USUAL + 1, newest + 1):
        if _fits(layer, opset):
            return max(opset, network.opset) if schema_of(layer.op, _USUAL) is None else opset
    raise InputError(
        f"operator sets up to {newest}, which the installed onnx knows, have no {layer.op} with "
        f"{len(layer.inputs)} inputs and {', '.join(attributes) or 'no attributes'}"
    )


def _fits(layer: Layer, opset: int) -> bool:
    """Return whether an operator set has the operator with these inputs and attributes."""
    schema = schema_of(layer.op, opset)
    if schema is None or opset < NEWER_FORM.get(layer.op, 0):
        return False
    given = {name for name, _ in _written(layer)}
    return given <= set(schema.attributes) and len(layer.inputs) <= schema.max_input


def _written(layer: Layer) -> Iterator[tuple[str, Any]]:
    """Yield the attributes that stand in the model."""
    for name, value in layer.attributes.items():
        if name != "flatten" and value is not None and value != ():
            yield name, value


class _Writer:
    """Collects nodes and constants of one layer."""

    def __init__(self, network: Network, layer: Layer, helper: ModuleType) -> None:
        self._network, self._layer, self._helper = network, layer, helper
        self.nodes: list[NodeProto] = []
        names = dict.fromkeys((*layer.inputs, layer.residual))
        self.constants = {
            name: network.constants[name] for name in names if name in network.constants
        }

    def declare(self, name: str) -> ValueInfoProto:
        """Return the typed declaration of an activation."""
        kind = self._network.tensors[name]
        element = self._helper.np_dtype_to_tensor_dtype(np.dtype(kind.dtype))
        info: ValueInfoProto = self._helper.make_tensor_value_info(name, element, kind.shape)
        return info

    def add_operator(self) -> None:
        """Add the operator, then what was fused behind its first output."""
        layer = self._layer
        steps: list[tuple[str, tuple[str, ...]]] = []
        if layer.residual:
            steps.append(("Add", (layer.residual,)))
        if layer.activation is not None:
            steps.append(self._clamp(layer.activation.low, layer.activation.high))
        first = layer.outputs[0]
        names = [f"{first}:{place}" for place in range(len(steps))] + [first]
        outputs = [names[0], *layer.outputs[1:]]
        domain = contrib.DOMAIN if layer.op in contrib.OPERATORS else ""
        self.nodes.append(
            self._helper.make_node(
                layer.op, layer.inputs, outputs, domain=domain, **dict(_written(layer))
            )
        )
        for (op, others), (source, target) in zip(steps, pairwise(names), strict=True):
            self.nodes.append(self._helper.make_node(op, [source, *others], [target]))

    def _clamp(self, low: float, high: float) -> tuple[str, tuple[str, ...]]:
        if (low, high) == (0.0, math.inf):
            return "Relu", ()
        dtype = self._network.tensors[self._layer.outputs[0]].dtype
        bounds = []
        for name, bound in (("low", low), ("high", high)):
            bounds.append("" if math.isinf(bound) else f"{self._layer.outputs[0]}:{name}")
            if bounds[-1]:
                self.constants[bounds[-1]] = np.array(bound, dtype)
        return "Clip", tuple(bounds)
