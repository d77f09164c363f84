"""Probes: layers designed to tell the terms of a cost model apart, before any network is seen.

Shapes are drawn by a scrambled low-discrepancy sequence (Sobol) over what convolutional networks of
the last decade have: maps whose sides come from images of 224 to 416 pixels halved again and again,
channels in multiples of 8, more of them where maps are small, kernels 1, 3, 5, 7, stride 1 or 2.
Odd sizes would measure the edges of matrix kernels that networks avoid. A probe is a network of one
layer, so that the same code times and describes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.metrics.measure import Subject
from heterolith.sw.network import Activation, Array, Layer, Network, TensorType

MOST_MACS = 2.5e8
"""Largest probe: below a tenth of a second on one small core."""
ELEMENTS = (20_000, 800_000)
"""Elements of a map: networks have many channels where maps are small."""
BOTTLENECK = (5_000, 250_000)
"""Elements of a map at a convolution with a window, which networks keep narrow."""
SIDES = (7, 8, 10, 13, 14, 17, 20, 26, 28, 35, 40, 52, 56, 71, 80, 104, 112, 149, 160, 208, 224)
"""Sides of maps: 224, 256, 299, 320 and 416 pixels halved one to five times."""
BLOCKS = 10
"""Probes are dealt into so many networks, which validation leaves out one by one."""
SHARES = {"conv": 0.6, "fc": 0.08, "pool": 0.14, "elementwise": 0.18}
"""Share of the probes of each kind; what has more shapes gets more."""

Point = Sequence[float]


def _between(low: float, high: float, at: float) -> int:
    """Return a value at a position 0 to 1 between two, evenly in its logarithm."""
    return round(float(low * (high / low) ** at))


def _channels(at: float, side: int, bounds: tuple[int, int] = ELEMENTS) -> int:
    """Return a number of channels, a multiple of 8, such that the map has a usual size."""
    return min(2048, max(8, 8 * round(_between(*bounds, at) / side**2 / 8)))


def _side(at: float, largest: int = 112) -> int:
    """Return the side of a map."""
    sides = [side for side in SIDES if side <= largest]
    return sides[min(int(at * len(sides)), len(sides) - 1)]


def _network(name: str, layer: Layer, tensors: Mapping[str, tuple[int, ...]],
             constants: Mapping[str, Array]) -> Network:  # fmt: skip
    inputs = tuple(key for key in tensors if key != "y")
    return Network(
        name=name,
        inputs=inputs,
        outputs=("y",),
        layers=(layer,),
        tensors={key: TensorType(shape) for key, shape in tensors.items()},
        constants=constants,
    )


def _values(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape, dtype=np.float32)


CONVOLUTIONS = (
    (0.30, "pointwise", 1),
    (0.62, "conv", 3),
    (0.70, "conv", 5),
    (0.75, "stem", 7),
    (0.85, "depthwise", 3),
    (0.93, "grouped", 1),
    (1.00, "scale", 1),
)
"""Upper end of a share of all convolutions, what they are, and their kernel."""


def conv(name: str, at: Point, rng: np.random.Generator) -> Network:
    """Return a convolution with bias and activation, of a kind of `CONVOLUTIONS`."""
    kind, kernel = next((kind, k) for end, kind, k in CONVOLUTIONS if at[0] <= end)
    size, stride = _side(at[3]), 2 if at[4] > 0.8 and kernel in (1, 3) else 1
    bounds = BOTTLENECK if kind == "conv" else ELEMENTS
    channels = _channels(at[1], size, bounds)
    filters = _channels(at[2], size // stride, bounds)
    groups = 1
    if kind == "stem":
        channels, filters = 3, 8 * _between(2, 12, at[2])
        size, stride = _side(0.7 + 0.3 * at[3], 224), 2
    elif kind in ("depthwise", "scale"):
        filters = groups = channels
        stride = stride if kind == "depthwise" else 1
    elif kind == "grouped":
        groups = 2 + int(at[4] * 3)
        channels, filters = (groups * 8 * max(1, n // groups // 8) for n in (channels, filters))
    while (size / stride) ** 2 * channels / groups * filters * kernel**2 > MOST_MACS and kernel < 7:
        filters = filters // 2 // (8 * groups) * 8 * groups
    out = (size + 2 * (kernel // 2) - kernel) // stride + 1
    weights = _values(rng, filters, channels // groups, kernel, kernel)
    layer = Layer(
        name=name,
        op="Conv",
        inputs=("x", "w", "b"),
        outputs=("y",),
        attributes={
            "kernel_shape": (kernel, kernel),
            "strides": (stride, stride),
            "pads": (kernel // 2,) * 4,
            "dilations": (1, 1),
            "group": groups,
            "auto_pad": "NOTSET",
        },
        activation=Activation() if at[5] < 0.7 else None,
        macs=filters * out**2 * (channels // groups) * kernel**2,
    )
    tensors = {"x": (1, channels, size, size), "y": (1, filters, out, out)}
    return _network(name, layer, tensors, {"w": weights, "b": _values(rng, filters)})


def fc(name: str, at: Point, rng: np.random.Generator) -> Network:
    """Return a fully connected layer on one row."""
    features, outputs = 8 * _between(8, 1152, at[1]), _between(10, 4096, at[2])
    layer = Layer(
        name=name,
        op="Gemm",
        inputs=("x", "w", "b"),
        outputs=("y",),
        attributes={"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1},
        macs=features * outputs,
    )
    constants = {"w": _values(rng, outputs, features), "b": _values(rng, outputs)}
    return _network(name, layer, {"x": (1, features), "y": (1, outputs)}, constants)


def pool(name: str, at: Point, rng: np.random.Generator) -> Network:
    """Return a maximum, average or global average pooling."""
    del rng
    size = _side(at[2])
    channels = _channels(at[1], size)
    if at[0] > 0.8:
        layer = Layer(name=name, op="GlobalAveragePool", inputs=("x",), outputs=("y",))
        return _network(name, layer, {"x": (1, channels, size, size), "y": (1, channels, 1, 1)}, {})
    stride = 1 if at[3] > 0.6 else 2
    kernel = 3 if at[4] > 0.35 else 2
    if at[0] > 0.65:  # an average over the whole map, as the last pooling of many networks is
        size = kernel = min(size, 14)
        stride = 1
    pad = 1 if kernel == 3 and stride == 1 and size > 3 else 0
    out = (size + 2 * pad - kernel) // stride + 1
    attributes: dict[str, object] = {
        "kernel_shape": (kernel, kernel),
        "strides": (stride, stride),
        "pads": (pad,) * 4,
        "dilations": (1, 1),
        "ceil_mode": 0,
        "auto_pad": "NOTSET",
    }
    op = "MaxPool" if at[0] < 0.5 else "AveragePool"
    attributes |= {"storage_order": 0} if op == "MaxPool" else {"count_include_pad": 0}
    layer = Layer(name=name, op=op, inputs=("x",), outputs=("y",), attributes=attributes)
    tensors = {"x": (1, channels, size, size), "y": (1, channels, out, out)}
    return _network(name, layer, tensors, {})


def elementwise(name: str, at: Point, rng: np.random.Generator) -> Network:
    """Return an addition, concatenation, rectifier, transposition, softmax or LRN."""
    del rng
    size = _side(at[2])
    channels = _channels(at[1], size)
    shape: tuple[int, ...] = (1, channels, size, size)
    kinds: list[tuple[str, dict[str, object], int]] = [
        ("Add", {}, 2),
        ("Concat", {"axis": 1}, 2),
        ("Relu", {}, 1),
        ("Transpose", {"perm": (0, 2, 1, 3, 4)}, 1),
        ("Softmax", {"axis": -1}, 1),
        ("LRN", {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}, 1),
    ]
    op, attributes, operands = kinds[min(int(at[0] * len(kinds)), len(kinds) - 1)]
    if op == "Transpose":  # the channel shuffle
        groups = 2 + int(at[3] * 3)
        shape = (1, groups, max(4, channels // groups), size, size)
    if op == "Softmax":
        shape = (1, _between(10, 20_000, at[3]))
    result = (1, 2 * channels, size, size) if op == "Concat" else shape
    if op == "Transpose":
        result = (1, shape[2], shape[1], size, size)
    names = ("x", "z")[:operands]
    layer = Layer(name=name, op=op, inputs=names, outputs=("y",), attributes=attributes)
    return _network(name, layer, {**dict.fromkeys(names, shape), "y": result}, {})


Maker = Callable[[str, Point, np.random.Generator], Network]
KINDS: Mapping[str, Maker] = {"conv": conv, "fc": fc, "pool": pool, "elementwise": elementwise}


def probes(kinds: Sequence[str], count: int, seed: int = 0) -> list[Subject]:
    """Return probes with random inputs, sorted by operator.

    Parameters
    ----------
    kinds
        Names of `KINDS`.
    count
        Probes in all, dealt over the kinds as `SHARES` says.

    Raises
    ------
    InputError
        If a kind is unknown, or there are fewer probes than kinds.
    """
    from scipy.stats import qmc

    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("kind of probe", kind, KINDS)
    if count < len(kinds) or not kinds:
        raise InputError(f"{count} probes are too few for {len(kinds)} kinds; take at least 8 each")
    rng = np.random.default_rng(seed)
    total = sum(SHARES[kind] for kind in kinds)
    made: list[Network] = []
    for kind in kinds:
        own = max(1, round(count * SHARES[kind] / total))
        points = qmc.Sobol(6, seed=seed + len(made)).random_base2(math.ceil(math.log2(own + 1)))
        made += [KINDS[kind](f"{kind}-{i}", points[i].tolist(), rng) for i in range(own)]
    subjects = []
    for index, probe in enumerate(made):
        named = replace(probe, name=f"sweep-{index % BLOCKS}")
        inputs = {name: _values(rng, *probe.tensors[name].shape) for name in probe.inputs}
        subjects.append(Subject(named, inputs))
    # like follows like, as in a network, so that code is as warm as it is there
    return sorted(subjects, key=lambda subject: subject.network.layers[0].op)
