"""Windows over maps of two axes: what convolutions and poolings have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass

from heterolith.metrics.models.context import window
from heterolith.sw.network import Layer, Network


@dataclass(frozen=True, slots=True)
class Grid:
    """A window over a map of two axes.

    Attributes
    ----------
    channels, size, places
        Channels read, extent of the input, extent of the output.
    kernel, strides, pads
        Of the window; pads are begins, then ends.
    """

    channels: int
    size: tuple[int, int]
    places: tuple[int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]

    @property
    def taps(self) -> int:
        """Elements of the window."""
        return math.prod(self.kernel)

    def covered(self, axis: int, first: int, last: int) -> tuple[int, int]:
        """Return how far windows of some places reach, and how much of it lies in the input."""
        begin = first * self.strides[axis] - self.pads[axis]
        end = (last - 1) * self.strides[axis] + self.kernel[axis] - self.pads[axis]
        return end - begin, max(0, min(end, self.size[axis]) - max(begin, 0))


def grid(network: Network, layer: Layer) -> Grid | None:
    """Return the window of a convolution or pooling of one image, ``None`` for anything else."""
    if layer.op not in ("Conv", "MaxPool", "AveragePool") or layer.inputs[0] not in network.tensors:
        return None
    x = network.tensors[layer.inputs[0]].shape
    out = network.tensors[layer.outputs[0]].shape
    if len(x) != 4 or len(out) != 4:
        return None
    pads = tuple(layer.attributes.get("pads") or (0, 0, 0, 0))
    strides = tuple(layer.attributes.get("strides") or (1, 1))
    kernel = window(network, layer)
    dilated = tuple(layer.attributes.get("dilations") or (1, 1))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilated, strict=True))
    if len(layer.outputs) > 1 or len(pads) != 4 or reach != kernel:
        return None
    return Grid(x[1], x[2:], out[2:], kernel, strides, pads)  # type: ignore[arg-type]
