"""A network under construction: what the ONNX import fills and the fusion rewrites.

The only mutable network there is; it lives from the first node to `Draft.finish` and is never
shared. Layers stay in topological order. A constant that is replaced is released at once, so that
an import holds one copy of the weights.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from heterolith.sw.network import Array, Layer, Network, TensorType


@dataclass(slots=True, kw_only=True)
class Draft:
    """Layers, types of activations, values of constants; see `heterolith.sw.network.Network`."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    layers: list[Layer] = field(default_factory=list)
    tensors: dict[str, TensorType] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    removed: list[tuple[str, str]] = field(default_factory=list)

    def type_of(self, name: str) -> TensorType:
        """Return the type of an activation or a constant."""
        value = self.constants.get(name)
        return self.tensors[name] if value is None else TensorType(value.shape, value.dtype.name)

    def add_constant(self, name: str, value: Array) -> str:
        """Store a value under a name or, if that is taken, a numbered one; return the name."""
        taken = self.constants.keys() | self.tensors.keys()
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}.{number}"
        self.constants[unique] = value
        return unique

    def reads(self) -> Counter[str]:
        """Return how often each tensor is read, by layers and as a network output."""
        count = Counter(self.outputs)
        for layer in self.layers:
            count.update(name for name in (*layer.inputs, layer.residual) if name)
        return count

    def rename(self, names: dict[str, str]) -> None:
        """Give activations other names."""
        for at, layer in enumerate(self.layers):
            self.layers[at] = replace(
                layer,
                inputs=tuple(names.get(name, name) for name in layer.inputs),
                outputs=tuple(names.get(name, name) for name in layer.outputs),
            )
        self.tensors = {names.get(name, name): kind for name, kind in self.tensors.items()}

    def drop_unused(self, reason: str) -> None:
        """Remove layers whose results nobody reads."""
        wanted, kept = set(self.outputs), []
        for layer in reversed(self.layers):
            if wanted.intersection(layer.outputs):
                kept.append(layer)
                wanted.update((*layer.inputs, layer.residual))
            else:
                self.removed.extend((node, reason) for node in layer.nodes)
        self.layers = kept[::-1]

    def finish(self, name: str, opset: int, path: str = "") -> Network:
        """Return the network with the tensors and constants that its layers name."""
        activations = [*self.inputs]
        for layer in self.layers:
            activations.extend(layer.outputs)
        wanted = self.reads()
        constants = {key: value for key, value in self.constants.items() if key in wanted}
        for value in constants.values():
            value.flags.writeable = False
        return Network(
            name=name,
            inputs=self.inputs,
            outputs=self.outputs,
            layers=tuple(self.layers),
            tensors={key: self.tensors[key] for key in activations},
            constants=constants,
            removed=tuple(self.removed),
            opset=opset,
            path=path,
        )


def splat(value: Array, shape: tuple[int, ...]) -> Array:
    """Return one value in every place of a shape: a read-only view with zero strides."""
    return np.broadcast_to(np.asarray(value).reshape(()), shape)
