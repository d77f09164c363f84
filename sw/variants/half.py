"""Float16 variants: weights and tensors of a layer are rounded to float16, sums are float32.

This is what tensor cores and the like compute: products of float16 numbers, added in float32. As a
rewrite it is weights rounded once, and a pair of Cast around what the layer reads and makes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array, Layer, Network, TensorType

FLOAT, HALF = 1, 10
"""ONNX numbers of float32 and float16."""
LARGEST = 65504.0
"""Largest finite float16 number."""


def half(network: Network, names: Collection[str]) -> Network:
    """Return the network with some layers in float16.

    Raises
    ------
    InputError
        If a layer is unknown or computes no float32, or a weight is beyond float16.
    """
    known = {layer.name: layer for layer in network.layers}
    for name in names:
        if name not in known:
            raise unknown_name("layer", name, known)
    draft = _Draft(network)
    for layer in network.layers:
        if layer.name in names:
            draft.round(layer)
        else:
            draft.layers.append(layer)
    read = {name for layer in draft.layers for name in (*layer.inputs, layer.residual)}
    constants = {k: v for k, v in draft.constants.items() if k in read or k in network.outputs}
    return replace(network, layers=tuple(draft.layers), tensors=draft.tensors, constants=constants)


class _Draft:
    """Layers, tensors and constants as they are rewritten."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.layers: list[Layer] = []
        self.tensors = dict(network.tensors)
        self.constants: dict[str, Array] = dict(network.constants)
        self.rounded: dict[str, str] = {}

    def round(self, layer: Layer) -> None:
        """Append a layer with rounded weights between casts."""
        for name in layer.outputs:
            if self.network.tensors[name].dtype != "float32":
                raise InputError(
                    f"layer {layer.name!r} makes {self.network.tensors[name].dtype}; only layers "
                    "in float32 have a float16 variant"
                )
        inputs = tuple(self._input(layer, name) for name in layer.inputs)
        residual = self._input(layer, layer.residual)
        wide = tuple(f"{name}.wide" for name in layer.outputs)
        for name, before in zip(wide, layer.outputs, strict=True):
            self.tensors[name] = self.network.tensors[before]
        self.layers.append(replace(layer, inputs=inputs, residual=residual, outputs=wide))
        for name, before in zip(wide, layer.outputs, strict=True):
            self._casts(name, before)

    def _input(self, layer: Layer, name: str) -> str:
        """Return the rounded form of an input; what is no float32 stays."""
        value = self.network.constants.get(name)
        if not name or (value is not None and value.dtype != np.float32):
            return name
        if value is None and self.network.tensors[name].dtype != "float32":
            return name
        if name not in self.rounded:
            self.rounded[name] = f"{name}.fp16"
            if value is None:
                self._casts(name, f"{name}.fp16")
            else:
                worst = float(np.abs(value).max(initial=0.0))
                if worst > LARGEST and np.isfinite(worst):
                    raise InputError(
                        f"layer {layer.name!r} has weights up to {worst:g}, float16 ends at "
                        f"{LARGEST:g}; keep it in float32"
                    )
                self.constants[f"{name}.fp16"] = value.astype(np.float16).astype(np.float32)
        return self.rounded[name]

    def _casts(self, source: str, target: str) -> None:
        kind = self.network.tensors.get(source) or self.tensors[source]
        short = f"{target}.short"
        self.tensors[short] = TensorType(kind.shape, "float16")
        self.tensors[target] = TensorType(kind.shape, "float32")
        for name, made, to in ((source, short, HALF), (short, target, FLOAT)):
            self.layers.append(
                Layer(
                    name=f"{made}.cast", op="Cast", inputs=(name,), outputs=(made,),
                    attributes={"to": to},
                )
            )  # fmt: skip
