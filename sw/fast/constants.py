"""Constants of a convolution as its path wants them: biases folded, small groups made one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heterolith.sw.fast.conv_spec import ConvSpec
from heterolith.sw.fast.nodes import Node
from heterolith.sw.network import Array, Network

# Groups of fewer channels cost more calls and passes than the products with zeros that a dense
# matrix has.
_SMALL_GROUP = 12


def as_computed(spec: ConvSpec) -> ConvSpec:
    """Return the geometry that is computed: pointwise layers of small groups without groups."""
    small = spec.channels // spec.group < _SMALL_GROUP
    dense = spec.pointwise and spec.group > 1 and small and not spec.depthwise
    return replace(spec, group=1) if dense else spec


def prepared(network: Network, node: Node, spec: ConvSpec) -> tuple[Array, Array | None, int]:
    """Return kernels, bias and the number of groups left to interleave in the output.

    Where groups became one, kernels get zeros for the channels of other groups and stand in the
    order of the interleaved output.
    """
    layer, constants = node.layer, network.constants
    w = np.asarray(constants[layer.inputs[1]])
    names = (*layer.inputs, "")[:3]
    b = np.ascontiguousarray(constants[names[2]]) if names[2] else None
    group = layer.attributes.get("group", 1)
    if node.shift:
        shift = constants[node.shift].astype(np.float64).reshape(group, 1, -1)
        kernels = w.astype(np.float64).reshape(group, -1, w.shape[1])
        added = (kernels * shift).sum(axis=2).reshape(-1)
        b = (added if b is None else added + b).astype(np.float32)
    if spec.group == group:
        return w, b, node.shuffle
    dense = np.zeros((group, w.shape[0] // group, group, w.shape[1]), np.float32)
    for place in range(group):
        dense[place, :, place] = w.reshape(group, -1, w.shape[1])[place]
    rows = dense.reshape(w.shape[0], spec.channels, 1, 1)
    order = np.arange(w.shape[0]).reshape(node.shuffle, -1).T.reshape(-1)
    return rows[order], None if b is None else b[order], 1
