"""Mean and covariance of what layers read, from runs of the float32 network."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.execute import execute
from heterolith.sw.network import Array, Layer, Network
from heterolith.sw.variants.factors import Moments


def moments_of(
    network: Network, names: Collection[str], samples: Iterable[Mapping[str, Array]]
) -> dict[str, tuple[Moments, ...]]:
    """Return layer name -> `Moments` of each group's patches, over all samples and positions.

    Padding counts as what it is, zeros. Layers that are no Conv, Gemm or MatMul are left out.

    Raises
    ------
    InputError
        If there is no sample, or one does not fit the network.
    """
    layers = [x for x in network.layers if x.name in names and x.op in ("Conv", "Gemm", "MatMul")]
    sums: dict[str, list[_Sums]] = {}
    count = 0
    for sample in samples:
        count += 1
        arrays = execute(network, sample, keep=True)
        for layer in layers:
            groups = _patches(network, layer, arrays[layer.inputs[0]].astype(np.float64))
            mine = sums.setdefault(layer.name, [_Sums(rows.shape[1]) for rows in groups])
            for total, rows in zip(mine, groups, strict=True):
                total.add(rows)
    if not count:
        raise InputError("there is no sample to factor layers by; give at least one")
    return {name: tuple(part.moments() for part in parts) for name, parts in sums.items()}


class _Sums:
    """Sums of rows and of their products; rows wait until a product of many pays."""

    def __init__(self, width: int) -> None:
        self.count, self.waiting = 0, list[Array]()
        self.total, self.squares = np.zeros(width), np.zeros((width, width))

    def add(self, rows: Array) -> None:
        """Add rows (N, width)."""
        self.waiting.append(rows)
        if sum(len(part) for part in self.waiting) >= len(self.total):
            self._flush()

    def moments(self) -> Moments:
        """Return mean and covariance of all rows."""
        self._flush()
        mean = self.total / self.count
        return Moments(mean=mean, covariance=self.squares / self.count - np.outer(mean, mean))

    def _flush(self) -> None:
        if self.waiting:
            rows = np.concatenate(self.waiting)
            self.count += len(rows)
            self.total += rows.sum(0)
            self.squares += rows.T @ rows
            self.waiting.clear()


def _patches(network: Network, layer: Layer, x: Array) -> list[Array]:
    """Return what each group reads at every position, (positions, features), float64."""
    if layer.op != "Conv":
        turned = layer.op == "Gemm" and layer.attributes.get("transA", 0)
        return [(x.T if turned else x).reshape(-1, x.shape[0 if turned else -1])]
    a = layer.attributes
    weights = network.constants[layer.inputs[1]].shape
    pads, axes = tuple(a["pads"]), len(weights) - 2
    width = [(0, 0), (0, 0), *zip(pads[:axes], pads[axes:], strict=True)]
    spread = tuple((k - 1) * d + 1 for k, d in zip(weights[2:], a["dilations"], strict=True))
    padded = np.pad(x, width)
    view = np.lib.stride_tricks.sliding_window_view(padded, spread, axis=tuple(range(2, 2 + axes)))
    steps = [slice(None, None, s) for s in a["strides"]]
    inner = [slice(None, None, d) for d in a["dilations"]]
    view = view[(slice(None), slice(None), *steps, *inner)]
    outer = tuple(range(2, 2 + axes))
    order = (0, *outer, 1, *range(2 + axes, 2 + 2 * axes))
    return [
        part.transpose(order).reshape(-1, part.shape[1] * int(np.prod(weights[2:])))
        for part in np.split(view, int(a["group"]), axis=1)
    ]
