"""One layer as an ONNX model of its own: the operator, its residual addition and its clamp.

Constants become initializers. The model is in operator set 18 and IR version 8, which ONNX Runtime
reads from 1.14 on; a few layers need set 20 and IR version 9, softmax by matrices needs set 11.
"""

from __future__ import annotations

import math
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from heterolith.errors import MissingExtraError
from heterolith.sw.network import Layer, Network

if TYPE_CHECKING:
    from onnx import NodeProto, ValueInfoProto


def layer_model(network: Network, layer: Layer) -> bytes:
    """Return the serialised model of one layer.

    Its inputs are ``network.activations(layer)``, its outputs those of the layer.

    Raises
    ------
    MissingExtraError
        If onnx is not installed.
    """
    try:
        from onnx import helper
    except ModuleNotFoundError as error:
        raise MissingExtraError("onnx", "verify") from error
    writer = _Writer(network, layer, helper)
    writer.add_operator()
    opset = _opset(layer)
    graph = helper.make_graph(
        writer.nodes,
        "layer",
        [writer.declare(name) for name in network.activations(layer)],
        [writer.declare(name) for name in layer.outputs if name],
    )
    version = helper.make_opsetid("", opset)
    model = helper.make_model(graph, opset_imports=[version], ir_version=9 if opset > 18 else 8)
    for name, value in writer.constants.items():
        # Written into the model in place: weights may take hundreds of megabytes.
        tensor = model.graph.initializer.add()
        tensor.name = name
        tensor.data_type = helper.np_dtype_to_tensor_dtype(value.dtype)
        tensor.dims.extend(value.shape)
        tensor.raw_data = value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()
    content: bytes = model.SerializeToString()
    return content


def _opset(layer: Layer) -> int:
    """Return the operator set whose meaning the layer has."""
    attributes = layer.attributes
    if attributes.get("flatten"):
        return 11
    newer = (
        layer.op == "Gelu"
        or attributes.get("mode") == "wrap"
        or attributes.get("coordinate_transformation_mode") == "half_pixel_symmetric"
        or (layer.op == "AveragePool" and "dilations" in attributes)
    )
    return 20 if newer else 18


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
        attributes = {
            name: value
            for name, value in layer.attributes.items()
            if name != "flatten" and value is not None and value != ()
        }
        outputs = [names[0], *layer.outputs[1:]]
        self.nodes.append(self._helper.make_node(layer.op, layer.inputs, outputs, **attributes))
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
