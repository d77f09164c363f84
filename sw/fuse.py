"""Fuses layers: conv or gemm, then scale and shift per channel, residual addition, activation.

Rewrites are exact in real arithmetic (`heterolith.sw.fold` says how they round). A tensor
disappears only if one layer alone reads it and it is no network output. A fused layer stands where
its last part stood, so the order stays topological.

A batch normalization with nothing to fold into becomes a 1x1 convolution, a group per channel.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from heterolith.sw.draft import Draft
from heterolith.sw.fold import Affine, affine_of, folded_bias, scaled_weights
from heterolith.sw.macs import layer_macs
from heterolith.sw.network import Activation, Array, Layer

_FOLDS = ("Conv", "ConvTranspose", "Gemm")  # take a scale and shift into their weights
_ADDS = ("Conv", "ConvTranspose", "Gemm")  # take a residual
_CLAMPS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "Add")  # take an activation


def fuse(draft: Draft) -> None:
    """Fuse the layers of a draft, in place."""
    fuser = _Fuser(draft=draft, reads=draft.reads())
    for layer in draft.layers:
        fuser.add(layer)
    draft.layers = [layer for layer in fuser.done if layer is not None]


@dataclass(slots=True)
class _Fuser:
    """What was fused so far; ``producer`` maps a tensor to the place in ``done`` that makes it."""

    draft: Draft
    reads: Counter[str]
    done: list[Layer | None] = field(default_factory=list)
    producer: dict[str, int] = field(default_factory=dict)

    def add(self, layer: Layer) -> None:
        """Take the next layer, into an earlier one where that is possible."""
        fused = len(layer.outputs) == 1 and (
            self._fold(layer) or self._to_gemm(layer) or self._add(layer) or self._clamp(layer)
        )
        if not fused:
            self._push(self._as_convolution(layer))

    def _push(self, layer: Layer) -> None:
        for name in layer.outputs:
            self.producer[name] = len(self.done)
        self.done.append(layer)

    def _before(self, name: str, ops: tuple[str, ...]) -> Layer | None:
        """Return the layer that makes a tensor for one reader alone and is one of ``ops``."""
        at = self.producer.get(name)
        layer = None if at is None else self.done[at]
        if layer is None or layer.op not in ops or len(layer.outputs) != 1 or self.reads[name] != 1:
            return None
        return layer

    def _merge(self, before: Layer, layer: Layer, changed: Layer) -> None:
        """Replace two layers by a changed form of the earlier one, in the place of the later."""
        name = before.outputs[0]
        self.done[self.producer.pop(name)] = None
        del self.draft.tensors[name]
        nodes = (*before.nodes, *layer.nodes)
        self._push(replace(changed, outputs=layer.outputs, nodes=nodes))

    def _replace(self, name: str, value: Array) -> str:
        """Store a changed constant, under its own name if nobody else reads it."""
        if name and self.reads[name] == 1:
            self.draft.constants[name] = value
            return name
        added = self.draft.add_constant(name, value)
        self.reads[added] = 1
        return added

    def _is_float(self, name: str) -> bool:
        return self.draft.type_of(name).dtype.startswith("float")

    def _fold(self, layer: Layer) -> bool:
        source = next((name for name in layer.inputs if name not in self.draft.constants), "")
        before = self._before(source, _FOLDS)
        if before is None or before.residual or before.activation or not self._is_float(source):
            return False
        kind = self.draft.type_of(source)
        if self.draft.type_of(layer.outputs[0]) != kind:
            return False
        affine = affine_of(layer, self.draft.constants, kind.shape)
        inputs = self._fold_into(before, affine) if affine else None
        if inputs is None:
            return False
        beta = {"beta": 1.0} if before.op == "Gemm" else {}
        attributes = {**before.attributes, **beta}
        self._merge(before, layer, replace(before, inputs=inputs, attributes=attributes))
        return True

    def _fold_into(self, layer: Layer, affine: Affine) -> tuple[str, ...] | None:
        """Return the layer's inputs after the fold, ``None`` if its parameters do not allow it."""
        constants = self.draft.constants
        source, weights_name, *rest = layer.inputs
        bias_name = rest[0] if rest else ""
        channels = affine.scale.size
        weights, bias = constants.get(weights_name), constants.get(bias_name)
        if weights is None or (bias_name and bias is None):
            return None
        if bias is not None:
            if bias.size not in (1, channels) or bias.shape[-1:] not in ((), (1,), (channels,)):
                return None
            factor = float(layer.attributes.get("beta", 1.0))
            bias = np.broadcast_to(bias.reshape(-1).astype(np.float64) * factor, (channels,))
        scaled = scaled_weights(layer, weights, affine.scale)
        shifted = folded_bias(layer, bias, affine, weights.dtype)
        if scaled is not weights:
            weights_name = self._replace(weights_name, scaled)
        if bias_name:
            bias_name = self._replace(bias_name, shifted)
        else:
            bias_name = self.draft.add_constant(f"{layer.name}:bias", shifted)
            self.reads[bias_name] = 1
        return (source, weights_name, bias_name)

    def _to_gemm(self, layer: Layer) -> bool:
        """Make a Gemm of a matrix product and the addition of a constant bias."""
        if layer.op != "Add" or len(layer.inputs) != 2:
            return False
        constants = self.draft.constants
        for source, bias in (layer.inputs, layer.inputs[::-1]):
            before = self._before(source, ("MatMul",))
            if before is None or before.activation or bias not in constants:
                continue
            kind = self.draft.type_of(source)
            ranks = {len(self.draft.type_of(name).shape) for name in before.inputs}
            fits = ranks == {2} and self.draft.type_of(layer.outputs[0]) == kind
            if fits and constants[bias].ndim <= 2 and self._is_float(source):
                attributes = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0}
                inputs = (*before.inputs, bias)
                gemm = replace(before, op="Gemm", inputs=inputs, attributes=attributes)
                self._merge(before, layer, gemm)
                return True
        return False

    def _add(self, layer: Layer) -> bool:
        """Fuse the addition of two activations into the later of the layers that make them."""
        if layer.op != "Add" or any(name in self.draft.constants for name in layer.inputs):
            return False
        kinds = {self.draft.type_of(name) for name in (*layer.inputs, *layer.outputs)}
        if len(kinds) != 1 or not self._is_float(layer.outputs[0]):
            return False
        latest_first = sorted(layer.inputs, key=lambda name: -self.producer.get(name, -1))
        for name, other in (latest_first, latest_first[::-1]):
            before = self._before(name, _ADDS)
            if before is not None and not before.residual and before.activation is None:
                self._merge(before, layer, replace(before, residual=other))
                return True
        return False

    def _clamp(self, layer: Layer) -> bool:
        limits = self._limits(layer)
        before = self._before(layer.inputs[0], _CLAMPS) if limits else None
        if before is None or limits is None or not self._is_float(layer.inputs[0]):
            return False
        earlier = before.activation or Activation(-math.inf, math.inf)
        low, high = (
            min(max(bound, limits.low), limits.high) for bound in (earlier.low, earlier.high)
        )
        self._merge(before, layer, replace(before, activation=Activation(low, high)))
        return True

    def _limits(self, layer: Layer) -> Activation | None:
        """Return the clamp that a layer computes, ``None`` if it is none or its bounds vary."""
        if layer.op == "Relu":
            return Activation()
        if layer.op != "Clip":
            return None
        bounds = [-math.inf, math.inf]
        for at, name in enumerate(layer.inputs[1:3]):
            if name:
                value = self.draft.constants.get(name)
                if value is None or value.size != 1:
                    return None
                bounds[at] = float(value.item())
        return Activation(*bounds) if bounds[0] <= bounds[1] else None

    def _as_convolution(self, layer: Layer) -> Layer:
        """Return a batch normalization over pixels as a 1x1 convolution, others as they are."""
        if layer.op != "BatchNormalization" or len(layer.outputs) != 1:
            return layer
        kind = self.draft.type_of(layer.outputs[0])
        affine = affine_of(layer, self.draft.constants, kind.shape)
        if affine is None or len(kind.shape) < 3:
            return layer
        channels, places = kind.shape[1], len(kind.shape) - 2
        ones = (1,) * places
        dtype = np.dtype(kind.dtype)
        values = {"scale": folded_bias(layer, None, Affine(affine.scale, affine.scale), dtype)}
        values["scale"] = values["scale"].reshape(channels, 1, *ones)
        values["shift"] = folded_bias(layer, None, affine, dtype)
        names = []
        for key, value in values.items():
            names.append(self.draft.add_constant(f"{layer.name}:{key}", value))
            self.reads[names[-1]] = 1
        attributes = {
            "dilations": ones,
            "group": channels,
            "kernel_shape": ones,
            "pads": (0,) * (2 * places),
            "strides": ones,
        }
        shapes = (kind.shape, (channels, 1, *ones))
        return replace(
            layer,
            op="Conv",
            inputs=(layer.inputs[0], *names),
            attributes=attributes,
            macs=layer_macs("Conv", attributes, shapes, kind.shape),
        )
