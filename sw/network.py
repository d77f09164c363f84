"""The network as every floor sees it: layers in topological order over named tensors.

A `Layer` is one ONNX operator (canonical form of the newest opset) with what was fused into it: a
residual addition and an activation. Constants (weights, biases, shapes) are named like activations
and live in ``Network.constants``; a layer's inputs keep the operator's ONNX order.

Invariants, checked by `Network.__post_init__`: every input of a layer is a network input, a
constant or an output of an earlier layer; every tensor has one producer and a static shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heterolith.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorType:
    """Static shape and numpy dtype name of a tensor."""

    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size of a dense array of this type."""
        return self.elements * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Activation:
    """A fused elementwise function ``min(max(x, low), high)``: Relu is (0, inf), Relu6 (0, 6)."""

    low: float = 0.0
    high: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One operator with everything fused into it.

    Attributes
    ----------
    op
        ONNX operator type, e.g. ``Conv``.
    inputs
        Names in the operator's ONNX order, ``""`` for an absent optional input.
    outputs
        Names of the results.
    attributes
        Attributes in the newest opset's form, defaults filled in for the operators of
        `heterolith.sw.ops`; values are int, float, str or tuples of them.
    residual
        Tensor added to the result before the activation, or ``""``.
    activation
        Fused clamp, or ``None``.
    nodes
        Names of the ONNX nodes this layer stands for, in graph order.
    macs
        Multiply-accumulates of one inference, batch included.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    residual: str = ""
    activation: Activation | None = None
    nodes: tuple[str, ...] = ()
    macs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Layers in topological order; see the module docstring.

    Attributes
    ----------
    tensors
        Type of every activation (network inputs and layer outputs).
    constants
        Values of every constant that a layer reads.
    removed
        ONNX nodes that compute nothing at inference, with the reason: ``Dropout``, ``Identity``,
        constant sub-graphs.
    opset
        Version of the default ONNX operator set the model was written in.
    path
        File it was imported from, or ``""``.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[Layer, ...]
    tensors: Mapping[str, TensorType]
    constants: Mapping[str, Array]
    removed: tuple[tuple[str, str], ...] = ()
    opset: int = 0
    path: str = ""

    def __post_init__(self) -> None:
        known = set(self.inputs) | set(self.constants)
        for layer in self.layers:
            for name in (*layer.inputs, layer.residual):
                if name and name not in known:
                    raise InputError(f"layer {layer.name!r} reads {name!r} before it is computed")
            for name in layer.outputs:
                if name in known:
                    raise InputError(f"tensor {name!r} has two producers, one is {layer.name!r}")
                known.add(name)
        missing = [name for name in self.outputs if name not in known]
        if missing:
            raise InputError(f"network output {missing[0]!r} is never computed")

    def activations(self, layer: Layer) -> tuple[str, ...]:
        """Return the distinct non-constant inputs of a layer, the residual last."""
        names = dict.fromkeys((*layer.inputs, layer.residual))
        return tuple(name for name in names if name and name not in self.constants)

    def weight_bytes(self, layer: Layer, bytes_per_element: int = 4) -> int:
        """Return the size of the layer's constants at a given element width."""
        names = set(layer.inputs) & set(self.constants)
        return sum(int(self.constants[name].size) for name in names) * bytes_per_element

    def parameters(self, layer: Layer) -> int:
        """Return the number of constant elements the layer reads."""
        return self.weight_bytes(layer, 1)

    def fingerprint(self) -> str:
        """Return a hash over structure, shapes and weights: what a plan was made for."""
        digest = sha256()
        for layer in self.layers:
            fused = (layer.residual, layer.activation, sorted(layer.attributes.items()))
            digest.update(repr((layer.op, layer.inputs, layer.outputs, fused)).encode())
        for name, tensor in self.tensors.items():
            digest.update(repr((name, tensor.shape, tensor.dtype)).encode())
        for name, value in self.constants.items():
            # a repeated axis has stride 0 and counts once
            once = tuple(slice(0, 1) if step == 0 else slice(None) for step in value.strides)
            digest.update(repr((name, value.shape, str(value.dtype))).encode())
            digest.update(np.ascontiguousarray(value[once]).tobytes())
        return digest.hexdigest()[:16]
