"""Small networks of published block structures: what probes are cut from.

A `Draft` grows a network layer by layer, weights drawn as in He et al. (ICCV 2015) so that
activations keep their scale. A block takes a draft, a tensor and a width and returns its result:
structure as in VGG, ResNet, DenseNet, Inception, MobileNetV2, ShuffleNet and SqueezeNet, channels
drawn around the width. No network of anybody's is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from heterolith.metrics.measure import Subject
from heterolith.sw.network import Activation, Array, Layer, Network, TensorType


class Draft:
    """A network under construction on one image; tensors are named after their layers.

    Layers of all drafts differ in name: a worker keeps what it has loaded by it.
    """

    def __init__(self, name: str, side: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self._name = name
        self._layers: list[Layer] = []
        self._tensors = {"x": TensorType((1, 3, side, side))}
        self._constants: dict[str, Array] = {}

    def width(self, low: float, high: float, step: int = 8) -> int:
        """Return a number of channels between two, even in its logarithm, a multiple of a step."""
        return max(step, step * round(float(low * (high / low) ** self.rng.random()) / step))

    def chance(self, share: float) -> bool:
        """Return true in a share of all cases."""
        return bool(self.rng.random() < share)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return self._tensors[tensor].shape

    def layer(
        self,
        op: str,
        inputs: Sequence[str],
        shape: Sequence[int],
        constants: Sequence[Array] = (),
        **fields: object,
    ) -> str:
        """Append a layer with `Layer` fields beside its name, inputs and output; its output."""
        name = f"{self._name}.{op.lower()}{len(self._layers)}"
        given = {f"{name}.{index}": value for index, value in enumerate(constants)}
        self._constants |= given
        self._tensors[name] = TensorType(tuple(shape))
        made = Layer(name=name, op=op, inputs=(*inputs, *given), outputs=(name,), **fields)  # type: ignore[arg-type]
        self._layers.append(made)
        return name

    def subject(self) -> Subject:
        """Return the network, which ends with the last layer, and a random image."""
        network = Network(
            name=self._name,
            inputs=("x",),
            outputs=self._layers[-1].outputs,
            layers=tuple(self._layers),
            tensors=self._tensors,
            constants=self._constants,
        )
        return Subject(network, {"x": self.values(*self.shape("x"))})

    def values(self, *shape: int) -> Array:
        """Return normal values; a matrix or kernels are scaled by the length of their sums."""
        scale = (2 / prod(shape[1:])) ** 0.5 if len(shape) in (2, 4) and shape[0] > 1 else 1.0
        return self.rng.standard_normal(shape, dtype=np.float32) * np.float32(scale)


def conv(d: Draft, x: str, filters: int, kernel: int = 1, stride: int = 1, **more: object) -> str:
    """Append a convolution.

    Parameters
    ----------
    more
        ``group``; ``relu`` and ``bias``, true by default; ``residual``, a tensor; ``pad``, by
        default half the kernel.
    """
    _, channels, height, width = d.shape(x)
    group, pad = int(str(more.get("group", 1))), int(str(more.get("pad", kernel // 2)))
    size = [(side + 2 * pad - kernel) // stride + 1 for side in (height, width)]
    weights = d.values(filters, channels // group, kernel, kernel)
    return d.layer(
        "Conv",
        (x,),
        (1, filters, *size),
        (weights, 0.1 * d.rng.standard_normal(filters, np.float32))
        if more.get("bias", True)
        else (weights,),
        attributes={
            "kernel_shape": (kernel, kernel),
            "strides": (stride, stride),
            "pads": (pad,) * 4,
            "dilations": (1, 1),
            "group": group,
            "auto_pad": "NOTSET",
        },
        macs=filters * prod(size) * (channels // group) * kernel**2,
        activation=Activation() if more.get("relu", True) else None,
        residual=str(more.get("residual", "")),
    )


def pool(d: Draft, x: str, op: str, kernel: int, stride: int, pad: int = 0) -> str:
    """Append a maximum or average pooling."""
    _, channels, height, width = d.shape(x)
    size = [(side + 2 * pad - kernel) // stride + 1 for side in (height, width)]
    attributes = {
        "kernel_shape": (kernel, kernel),
        "strides": (stride, stride),
        "pads": (pad,) * 4,
        "dilations": (1, 1),
        "ceil_mode": 0,
        "auto_pad": "NOTSET",
        **({"storage_order": 0} if op == "MaxPool" else {"count_include_pad": 0}),
    }
    return d.layer(op, (x,), (1, channels, *size), attributes=attributes)


def concat(d: Draft, *tensors: str) -> str:
    """Append a concatenation of channels."""
    channels = sum(d.shape(x)[1] for x in tensors)
    shape = (1, channels, *d.shape(tensors[0])[2:])
    return d.layer("Concat", tensors, shape, attributes={"axis": 1})


def connected(d: Draft, x: str, outputs: int, relu: bool = False) -> str:
    """Append a fully connected layer on one row, flattening what is no row."""
    features = prod(d.shape(x))
    if len(d.shape(x)) > 2:
        x = d.layer("Flatten", (x,), (1, features), attributes={"axis": 1})
    return d.layer(
        "Gemm",
        (x,),
        (1, outputs),
        (d.values(outputs, features), d.rng.standard_normal(outputs, np.float32)),
        attributes={"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1},
        macs=features * outputs,
        activation=Activation() if relu else None,
    )


def _shuffle(d: Draft, x: str, groups: int) -> str:
    """Append the channel shuffle of ShuffleNet: reshape, transpose, reshape."""
    _, channels, height, width = shape = d.shape(x)
    split = (1, groups, channels // groups, height, width)
    turned = (1, split[2], groups, height, width)
    y = d.layer("Reshape", (x,), split, (np.array(split),))
    y = d.layer("Transpose", (y,), turned, attributes={"perm": (0, 2, 1, 3, 4)})
    return d.layer("Reshape", (y,), shape, (np.array(shape),))


def plain(d: Draft, x: str, width: int) -> str:
    """Append two convolutions with a window, as AlexNet and VGG have; some in two groups."""
    group = 2 if d.chance(0.25) and d.shape(x)[1] % 2 == 0 else 1
    wide = d.width(0.7 * width, 1.5 * width, 16)
    x = conv(d, x, wide, 3 if d.chance(0.7) else 5, group=group)
    return conv(d, x, d.width(0.7 * width, 1.5 * width, 16), 3)


def bottleneck(d: Draft, x: str, width: int) -> str:
    """Append ResNet's bottleneck with a projected shortcut, some with a stride."""
    narrow, stride = d.width(0.5 * width, 1.2 * width), 2 if _halves(d, x) else 1
    y = conv(d, conv(d, x, narrow, stride=stride), narrow, 3)
    short = conv(d, x, 4 * narrow, stride=stride, relu=False)
    return conv(d, y, 4 * narrow, residual=short)


def basic(d: Draft, x: str, width: int) -> str:
    """Append ResNet's basic block with a projected shortcut."""
    wide = d.width(0.7 * width, 1.5 * width)
    short = conv(d, x, wide, relu=False)
    return conv(d, conv(d, x, wide, 3), wide, 3, residual=short)


def dense(d: Draft, x: str, width: int) -> str:
    """Append a layer of DenseNet: scale, squeeze, convolve, concatenate; some behind a squeeze."""
    if d.chance(0.6):
        x = conv(d, x, d.width(2 * width, 6 * width), relu=False, bias=False)
    growth, folded = d.width(12, 48, 4), d.chance(0.5)
    y = conv(d, x, d.shape(x)[1], group=d.shape(x)[1])
    y = conv(d, y, 4 * growth, relu=folded, bias=folded)
    if not folded:
        y = conv(d, y, 4 * growth, group=4 * growth)
    return concat(d, x, conv(d, y, growth, 3, relu=False, bias=False))


def inception(d: Draft, x: str, width: int) -> str:
    """Append GoogLeNet's module of four branches."""
    direct = conv(d, x, d.width(0.5 * width, 1.5 * width))
    middle = conv(d, x, d.width(0.4 * width, width))
    middle = conv(d, middle, d.width(0.7 * width, 1.5 * width), 3)
    wide = conv(d, x, d.width(0.15 * width, 0.4 * width))
    wide = conv(d, wide, d.width(0.25 * width, 0.7 * width), 5 if d.chance(0.6) else 3)
    pooled = pool(d, x, "MaxPool" if d.chance(0.7) else "AveragePool", 3, 1, 1)
    return concat(d, direct, middle, wide, conv(d, pooled, d.width(0.25 * width, 0.7 * width)))


def inverted(d: Draft, x: str, width: int) -> str:
    """Append MobileNetV2's inverted residual; some with a stride, others with a shortcut."""
    wide, halves = d.width(1.5 * width, 4 * width), _halves(d, x)
    narrow = d.width(0.5 * width, width)
    x = conv(d, x, narrow, relu=False)
    kernel = 3 if d.chance(0.8) else 5
    y = conv(d, conv(d, x, wide), wide, kernel, 2 if halves else 1, group=wide)
    return conv(d, y, narrow, relu=False, residual="" if halves else x)


def shuffled(d: Draft, x: str, width: int) -> str:
    """Append ShuffleNet's unit; some with a stride, others with a shortcut."""
    groups = int(d.rng.integers(2, 5))
    wide, halves = d.width(width, 2.5 * width, 8 * groups), _halves(d, x)
    x = conv(d, x, wide, relu=False)
    y = _shuffle(d, conv(d, x, wide, group=groups), groups)
    y = conv(d, y, wide, 3, 2 if halves else 1, group=wide, relu=False)
    return conv(d, y, wide, group=groups, relu=not halves, residual="" if halves else x)


def fire(d: Draft, x: str, width: int) -> str:
    """Append SqueezeNet's fire module."""
    narrow = conv(d, x, d.width(0.15 * width, 0.5 * width))
    both = [d.width(0.5 * width, 2 * width) for _ in range(2)]
    return concat(d, conv(d, narrow, both[0]), conv(d, narrow, both[1], 3))


def _halves(d: Draft, x: str) -> bool:
    """Tell whether a block halves its map: some do where there is enough of it."""
    return d.shape(x)[2] >= 14 and d.chance(0.4)


Block = Callable[[Draft, str, int], str]
BLOCKS: tuple[Block, ...] = (
    plain,
    dense,
    bottleneck,
    inception,
    shuffled,
    basic,
    inverted,
    fire,
)
