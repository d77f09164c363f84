"""Shapes of the accelerator's operations: output sizes, MACs, bytes, limits.

Axis letters are N (batch), C (channels), H and W (rows and columns); a 1-D operation has H = 1.
Pads are (top, left, bottom, right). Invariant: a shape that exists has a non-empty output; whether
the accelerator takes it is a question to `limit_reason`. The reduction limit keeps every partial
sum of 8-bit products, zero points included, inside 32 bits: ``2 * 65536 * 127 * 128 < 2**31``.
"""

from __future__ import annotations

from dataclasses import dataclass

from heterolith.errors import InputError

MAX_CHANNELS = 4096
MAX_SIDE = 1024
MAX_KERNEL = 11
MAX_STEP = 16
"""Largest stride and dilation."""

MAX_REDUCTION = 65536
"""Most products in one sum; also the most input features of a fully connected layer."""

MAX_FEATURES = 65536
MAX_BATCH = 1024
MAX_ELEMENTS = 2**26
"""Most elements of one elementwise operation."""

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


def _check_window(
    size: Pair, kernel: Pair, stride: Pair, pads: Pads, dilation: Pair = (1, 1)
) -> None:
    if min(*kernel, *stride, *dilation) < 1 or min(pads) < 0:
        raise InputError(
            f"kernel {kernel}, stride {stride}, dilation {dilation} must be at least 1, "
            f"pads {pads} at least 0"
        )
    out = output_size(size, kernel, stride, pads, dilation)
    if min(out) < 1:
        raise InputError(
            f"kernel {kernel} with dilation {dilation} is larger than the padded input of "
            f"{size[0] + pads[0] + pads[2]}x{size[1] + pads[1] + pads[3]}"
        )


def output_size(
    size: Pair, kernel: Pair, stride: Pair, pads: Pads, dilation: Pair = (1, 1)
) -> Pair:
    """Return (rows, columns) of the output of a sliding window, rounded down."""
    rows, columns = (
        (size[i] + pads[i] + pads[i + 2] - (kernel[i] - 1) * dilation[i] - 1) // stride[i] + 1
        for i in (0, 1)
    )
    return rows, columns


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvShape:
    """A 2-D convolution; depthwise is ``groups == in_channels``, 1-D is ``height == 1``."""

    batch: int = 1
    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel: Pair
    stride: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def __post_init__(self) -> None:
        sizes = (self.batch, self.in_channels, self.out_channels, self.groups)
        if min(*sizes, self.height, self.width) < 1:
            raise InputError(f"batch, channels, sizes and groups of {self} must be at least 1")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise InputError(
                f"channels {self.in_channels} -> {self.out_channels} do not divide into "
                f"{self.groups} groups"
            )
        _check_window((self.height, self.width), self.kernel, self.stride, self.pads, self.dilation)

    @property
    def output_size(self) -> Pair:
        """Rows and columns of the output."""
        size = (self.height, self.width)
        return output_size(size, self.kernel, self.stride, self.pads, self.dilation)

    @property
    def reduction(self) -> int:
        """Products per output element: input channels of a group times kernel taps."""
        return self.in_channels // self.groups * self.kernel[0] * self.kernel[1]

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input, (N, C, H, W)."""
        return (self.batch, self.in_channels, self.height, self.width)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the output, (N, C, H, W)."""
        return (self.batch, self.out_channels, *self.output_size)

    @property
    def weight_shape(self) -> tuple[int, int, int, int]:
        """Shape of the weights, (Co, Ci / groups, Kh, Kw)."""
        return (self.out_channels, self.in_channels // self.groups, *self.kernel)

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding included."""
        rows, columns = self.output_size
        return self.batch * self.out_channels * rows * columns * self.reduction

    @property
    def input_bytes(self) -> int:
        """Bytes of the int8 input."""
        return self.batch * self.in_channels * self.height * self.width

    @property
    def weight_bytes(self) -> int:
        """Bytes of the int8 weights."""
        return self.out_channels * self.reduction

    @property
    def output_bytes(self) -> int:
        """Bytes of the int8 output."""
        rows, columns = self.output_size
        return self.batch * self.out_channels * rows * columns


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConnectedShape:
    """``rows`` vectors of ``in_features`` times a matrix (in_features, out_features)."""

    rows: int = 1
    in_features: int
    out_features: int

    def __post_init__(self) -> None:
        if min(self.rows, self.in_features, self.out_features) < 1:
            raise InputError(f"rows and features of {self} must be at least 1")

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return self.rows * self.in_features * self.out_features

    @property
    def input_bytes(self) -> int:
        """Bytes of the int8 input."""
        return self.rows * self.in_features

    @property
    def weight_bytes(self) -> int:
        """Bytes of the int8 weights."""
        return self.in_features * self.out_features

    @property
    def output_bytes(self) -> int:
        """Bytes of the int8 output."""
        return self.rows * self.out_features


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolShape:
    """A max or average pooling; a global one has the input's size as kernel.

    ``count_pads`` is about averages: whether padding counts as elements of value 0.
    """

    kind: str
    batch: int = 1
    channels: int
    height: int
    width: int
    kernel: Pair
    stride: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    count_pads: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("max", "average"):
            raise InputError(f"pooling kind is {self.kind!r}; it must be 'max' or 'average'")
        if min(self.batch, self.channels, self.height, self.width) < 1:
            raise InputError(f"batch, channels and sizes of {self} must be at least 1")
        if any(self.pads[i] >= self.kernel[i % 2] for i in range(4)):
            raise InputError(f"pads {self.pads} must be below the kernel {self.kernel}")
        _check_window((self.height, self.width), self.kernel, self.stride, self.pads)

    @property
    def output_size(self) -> Pair:
        """Rows and columns of the output."""
        return output_size((self.height, self.width), self.kernel, self.stride, self.pads)

    @property
    def is_global(self) -> bool:
        """Whether one window covers the whole input."""
        return self.kernel == (self.height, self.width) and not any(self.pads)

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the input, (N, C, H, W)."""
        return (self.batch, self.channels, self.height, self.width)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the output, (N, C, H, W)."""
        return (self.batch, self.channels, *self.output_size)

    @property
    def input_bytes(self) -> int:
        """Bytes of the int8 input."""
        return self.batch * self.channels * self.height * self.width

    @property
    def output_bytes(self) -> int:
        """Bytes of the int8 output."""
        rows, columns = self.output_size
        return self.batch * self.channels * rows * columns


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementwiseShape:
    """An operation element by element: ``add`` (two operands), ``requantize`` or ``copy``."""

    kind: str
    elements: int

    def __post_init__(self) -> None:
        if self.kind not in ("add", "requantize", "copy"):
            raise InputError(f"kind is {self.kind!r}; it must be 'add', 'requantize' or 'copy'")
        if self.elements < 0:
            raise InputError(f"elements is {self.elements}; it must be at least 0")

    @property
    def input_bytes(self) -> int:
        """Bytes of the int8 operands."""
        return self.elements * (2 if self.kind == "add" else 1)

    @property
    def output_bytes(self) -> int:
        """Bytes of the int8 result."""
        return self.elements


Shape = ConvShape | FullyConnectedShape | PoolShape | ElementwiseShape


def _over(rows: tuple[tuple[str, int, int], ...]) -> str:
    for what, value, limit in rows:
        if value > limit:
            return f"{what} is {value}, the accelerator takes at most {limit}"
    return ""


def limit_reason(shape: Shape) -> str:
    """Return why the accelerator cannot take a shape, or ``""`` if it can."""
    if isinstance(shape, ElementwiseShape):
        return _over((("number of elements", shape.elements, MAX_ELEMENTS),))
    if isinstance(shape, FullyConnectedShape):
        return _over(
            (
                ("number of rows", shape.rows, MAX_SIDE * MAX_SIDE),
                ("number of input features", shape.in_features, MAX_REDUCTION),
                ("number of output features", shape.out_features, MAX_FEATURES),
            )
        )
    common = (
        ("batch", shape.batch, MAX_BATCH),
        ("height", shape.height, MAX_SIDE),
        ("width", shape.width, MAX_SIDE),
        ("stride", max(shape.stride), MAX_STEP),
    )
    if isinstance(shape, PoolShape):
        kernel = 1 if shape.is_global else max(shape.kernel)
        return _over(
            (*common, ("channels", shape.channels, MAX_CHANNELS), ("kernel", kernel, MAX_KERNEL))
        )
    return _over(
        (
            *common,
            ("input channels", shape.in_channels, MAX_CHANNELS),
            ("output channels", shape.out_channels, MAX_CHANNELS),
            ("kernel", max(shape.kernel), MAX_KERNEL),
            ("dilation", max(shape.dilation), MAX_STEP),
            ("pads", max(shape.pads), MAX_KERNEL * MAX_STEP),
            ("reduction", shape.reduction, MAX_REDUCTION),
        )
    )
