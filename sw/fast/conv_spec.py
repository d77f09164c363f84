"""A convolution over images: its geometry, and which paths can compute it."""

from __future__ import annotations

from dataclasses import dataclass

from heterolith.sw.fast.spots import PLAIN, Frame
from heterolith.sw.network import Layer, Network
from heterolith.sw.ops.window import Window

# Layers of fewer places than this for each worker are cut by kernels, larger ones by rows.
_FEW_PLACES = 96
# So are those of Winograd's filtering with this many kernels for each tile: kernels are read from
# far away, tiles are at hand. With fewer, preparing all tiles twice costs more.
_KERNELS_PER_TILE = 4
_MOST_PLANAR_CHANNELS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvSpec:
    """Shapes of a two-dimensional convolution; pads are top, left, bottom, right."""

    n: int
    size: tuple[int, int]
    channels: int
    kernels: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    group: int
    out: tuple[int, int]

    @property
    def key(self) -> str:
        """Name of the shape, e.g. in a file of measured choices."""
        pairs = (self.size, self.kernel, self.strides, self.dilations)
        parts = ["x".join(map(str, pair)) for pair in (*pairs, self.pads)]
        return "_".join(
            ["conv", *parts, *map(str, (self.n, self.channels, self.kernels, self.group))]
        )

    @property
    def macs(self) -> int:
        """Multiply-accumulates by the definition of convolution."""
        taps = self.kernel[0] * self.kernel[1] * self.channels // self.group
        return self.n * self.out[0] * self.out[1] * self.kernels * taps

    @property
    def depthwise(self) -> bool:
        """Whether every kernel sees one channel and every channel one kernel."""
        return self.group == self.channels == self.kernels

    @property
    def pointwise(self) -> bool:
        """Whether the result is a product of matrices as they lie."""
        return self.kernel == self.strides == (1, 1) and not any(self.pads)

    def product(self, path: str) -> tuple[int, int]:
        """Return rows and inner length of the matrix products that a path makes."""
        channels, places = self.channels // self.group, self.out[0] * self.out[1]
        if path.startswith("winograd"):
            height, width = winograd_tiles(self, int(path.removeprefix("winograd")))
            return height * width, channels
        return places, channels * self.kernel[0] * self.kernel[1]

    def by_kernels(self, threads: int, path: str) -> bool:
        """Tell whether workers should share the kernels of a path, as there are few places.

        Each then reads a part of the kernels, but prepares the input for itself.
        """
        if threads == 1 or self.kernels < 16 * threads or self.group > 1 or path == "depthwise":
            return False
        few = self.n * self.out[0] * self.out[1] < _FEW_PLACES * threads
        tiled = path.startswith("winograd")
        return few or (tiled and self.kernels >= _KERNELS_PER_TILE * self.n * self.product(path)[0])


def conv_spec(network: Network, layer: Layer) -> ConvSpec | None:
    """Return the geometry of a layer, ``None`` if it is no float32 convolution of constants."""
    if layer.op != "Conv" or any(
        name not in network.constants for name in layer.inputs[1:] if name
    ):
        return None
    x, y = network.tensors.get(layer.inputs[0]), network.tensors[layer.outputs[0]]
    if layer.residual and network.tensors.get(layer.residual) != y:
        return None
    w = network.constants[layer.inputs[1]]
    if x is None or len(x.shape) != 4 or x.dtype != "float32" or w.dtype != "float32":
        return None
    geometry = {key: value for key, value in layer.attributes.items() if key != "group"}
    window = Window.of(w.shape[2:], geometry)
    group = layer.attributes.get("group", 1)
    fits = x.shape[1] == w.shape[1] * group and w.shape[0] % group == 0
    if not fits or 0 in x.shape or 0 in y.shape or window.output(x.shape[2:]) != y.shape[2:]:
        return None
    return ConvSpec(
        n=x.shape[0],
        size=(x.shape[2], x.shape[3]),
        channels=x.shape[1],
        kernels=w.shape[0],
        kernel=(w.shape[2], w.shape[3]),
        strides=(window.strides[0], window.strides[1]),
        dilations=(window.dilations[0], window.dilations[1]),
        pads=(window.pads[0], window.pads[1], window.pads[2], window.pads[3]),
        group=group,
        out=(y.shape[2], y.shape[3]),
    )


def winograd_tiles(spec: ConvSpec, outputs: int) -> tuple[int, int]:
    """Return the number of tiles of ``outputs`` x ``outputs`` results, by rows and columns."""
    return -(-spec.out[0] // outputs), -(-spec.out[1] // outputs)


def frame_for(spec: ConvSpec, path: str) -> Frame:
    """Return the padding that a path needs around its input: all its windows lie inside."""
    if path in ("pointwise", "planar"):
        return PLAIN
    top, left, _, _ = spec.pads
    if path.startswith("winograd"):
        outputs = int(path.removeprefix("winograd"))
        covered = [n * outputs + spec.kernel[0] - 1 for n in winograd_tiles(spec, outputs)]
    else:
        covered = [
            (places - 1) * stride + (kernel - 1) * dilation + 1
            for places, stride, kernel, dilation in zip(
                spec.out, spec.strides, spec.kernel, spec.dilations, strict=True
            )
        ]
    bottom, right = (
        max(0, c - s - p) for c, s, p in zip(covered, spec.size, (top, left), strict=True)
    )
    return Frame(top, left, bottom, right)


def paths_for(spec: ConvSpec, *, from_input: bool, winograd: bool) -> tuple[str, ...]:
    """Return the paths that can compute a convolution, the usual best first.

    Parameters
    ----------
    from_input
        Whether it reads a network input, which lies channels first.
    winograd
        Whether paths that round more than a sum of products does may be taken.
    """
    if spec.depthwise:
        return ("depthwise",)
    if spec.pointwise:
        return ("pointwise",)
    if from_input and spec.channels <= _MOST_PLANAR_CHANNELS and spec.group == 1:
        return ("planar",) if spec.dilations == (1, 1) else ("gather",)
    square = spec.kernel[0] == spec.kernel[1] and spec.strides == spec.dilations == (1, 1)
    deep = min(spec.channels, spec.kernels) // spec.group >= 8
    if not (winograd and square and deep and spec.kernel[0] in (3, 5)):
        return ("gather",)
    if spec.kernel[0] == 5:
        return ("winograd2", "gather")
    places = spec.out[0] * spec.out[1]
    if places >= 600:
        return ("winograd4", "winograd2", "gather")
    if places >= 100:
        return ("winograd2", "winograd4", "winograd3", "gather")
    return ("winograd2", "gather", "winograd3")
