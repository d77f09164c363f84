"""Layer by layer work of the networks that public measurements name only.

Shapes from the papers: GoogLeNet (Szegedy et al., CVPR 2015, table 1), ResNet-50 (He et al., CVPR
2016, table 1; stride in the first 1x1), MobileNet (Howard et al., arXiv:1704.04861, table 1), CNV
and MLP (Umuroglu et al., FINN, FPGA 2017; six 3x3 convolutions without padding, three hidden
layers). Operations and parameters agree with the table that QuTiBench publishes, `tests/metrics`
compares.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One layer at batch 1: elements read and written, multiply-accumulates, weights."""

    family: str
    inputs: int
    outputs: int
    macs: int = 0
    weights: int = 0
    gather: int = 0


@dataclass(slots=True)
class _Map:
    """A square feature map that layers are appended to; ``layers`` collects their work."""

    channels: int
    size: int
    layers: list[Work]

    @property
    def elements(self) -> int:
        return self.channels * self.size**2

    def conv(self, filters: int, kernel: int, stride: int = 1, pad: int | None = None) -> _Map:
        """Append a convolution; padding keeps the size by default."""
        return self._window(filters, kernel, stride, kernel // 2 if pad is None else pad, 1)

    def depthwise(self, stride: int) -> _Map:
        """Append a 3x3 depthwise convolution."""
        return self._window(self.channels, 3, stride, 1, self.channels)

    def _window(self, filters: int, kernel: int, stride: int, pad: int, groups: int) -> _Map:
        size = (self.size + 2 * pad - kernel) // stride + 1
        length = self.channels // groups * kernel**2
        self.layers.append(
            Work(
                family=_family(kernel, stride, groups),
                inputs=self.elements,
                outputs=filters * size**2,
                macs=filters * size**2 * length,
                weights=filters * length,
                gather=size**2 * self.channels * kernel**2 if kernel > 1 else 0,
            )
        )
        return _Map(filters, size, self.layers)

    def pool(self, kernel: int, stride: int, pad: int = 0, family: str = "maxpool") -> _Map:
        """Append a pooling that rounds its size up, as both networks' authors did in Caffe."""
        size = -(-(self.size + 2 * pad - kernel) // stride) + 1
        outputs = self.channels * size**2
        self.layers.append(Work(family=family, inputs=self.elements, outputs=outputs))
        return _Map(self.channels, size, self.layers)

    def elementwise(self, family: str, operands: int = 1) -> None:
        """Append a layer that reads ``operands`` maps of this size and writes one."""
        elements = self.elements
        self.layers.append(Work(family=family, inputs=operands * elements, outputs=elements))


def _family(kernel: int, stride: int, groups: int) -> str:
    """Return the family of a convolution, as `heterolith.metrics.models.features` names it."""
    if groups > 1:
        return "depthwise"
    return "pointwise" if kernel == 1 else "strided" if stride > 1 else "conv"


def _dense(inputs: int, outputs: int) -> Work:
    size = inputs * outputs
    return Work(family="fc", inputs=inputs, outputs=outputs, macs=size, weights=size)


def mlp(width: int) -> list[Work]:
    """Return three hidden layers of a width on 28x28 images, ten classes."""
    return [_dense(784, width), _dense(width, width), _dense(width, width), _dense(width, 10)]


def cnv(width: int) -> list[Work]:
    """Return CNV with ``width`` channels in its first two convolutions, on 32x32 images."""
    at = _Map(3, 32, [])
    for index, times in enumerate((1, 1, 2, 2, 4, 4)):
        at = at.conv(times * width, 3, pad=0)
        if index in (1, 3):
            at = at.pool(2, 2)
    return [*at.layers, _dense(4 * width, 8 * width), _dense(8 * width, 8 * width),
            _dense(8 * width, 10)]  # fmt: skip


INCEPTION = (
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    (),
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    (),
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)
"""Filters of 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection; () is a pooling."""


def googlenet() -> list[Work]:
    """Return GoogLeNet (Inception v1) on 224x224 images; each concatenation copies."""
    at = _Map(3, 224, []).conv(64, 7, 2, 3).pool(3, 2)
    at.elementwise("lrn")
    at = at.conv(64, 1).conv(192, 3)
    at.elementwise("lrn")
    at = at.pool(3, 2)
    for filters in INCEPTION:
        if not filters:
            at = at.pool(3, 2)
            continue
        one, reduce3, three, reduce5, five, project = filters
        at.conv(one, 1)
        at.conv(reduce3, 1).conv(three, 3)
        at.conv(reduce5, 1).conv(five, 5)
        at.pool(3, 1, 1).conv(project, 1)
        at = _Map(one + three + five + project, at.size, at.layers)
        at.elementwise("concat")
    at.pool(at.size, 1, family="averagepool")
    return [*at.layers, _dense(at.channels, 1000)]


def resnet50(inner: float = 1.0) -> list[Work]:
    """Return ResNet-50 on 224x224 images.

    Parameters
    ----------
    inner
        Share of channels that pruning left between the two 1x1 convolutions of a block; the
        residual stream keeps its width.
    """
    at = _Map(3, 224, []).conv(64, 7, 2, 3).pool(3, 2)
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            kept = max(1, round(width * inner))
            out = at.conv(kept, 1, stride).conv(kept, 3).conv(4 * width, 1)
            if not block:
                at.conv(4 * width, 1, stride)
            out.elementwise("add", 2)
            at = out
    at.pool(at.size, 1, family="averagepool")
    return [*at.layers, _dense(at.channels, 1000)]


def mobilenet() -> list[Work]:
    """Return MobileNet v1 on 224x224 images."""
    at = _Map(3, 224, []).conv(32, 3, 2)
    for stride, filters in _separable():
        at = at.depthwise(stride).conv(filters, 1)
    at.pool(at.size, 1, family="averagepool")
    return [*at.layers, _dense(at.channels, 1000)]


def _separable() -> Iterator[tuple[int, int]]:
    yield from ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512))
    yield from [(1, 512)] * 5
    yield from ((2, 1024), (1, 1024))


def pruned_resnet50(gops: float) -> list[Work]:
    """Return ResNet-50 pruned to a published number of operations (two per multiply-accumulate).

    Which channels were cut is not published; the cut is taken as even over the blocks.
    """
    low, high = 0.0, 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        found = 2e-9 * sum(layer.macs for layer in resnet50(middle))
        low, high = (middle, high) if found < gops else (low, middle)
    return resnet50(high)
