"""Networks that exercise how the fast paths lay tensors out, built without ONNX."""

import numpy as np

from heterolith.sw.execute import apply
from heterolith.sw.network import Activation, Layer, Network, TensorType

RELU = Activation()
SAME = {"pads": (1, 1, 1, 1)}
POOL = {"kernel_shape": (3, 3), "pads": (1, 1, 1, 1)}


class Builder:
    """Adds layers one by one and finds out the shapes by computing them."""

    def __init__(self, shape, seed=0):
        self.rng = np.random.default_rng(seed)
        self.constants, self.layers, self.values = {}, [], {}
        self.values["x"] = self.rng.standard_normal(shape).astype(np.float32)

    def add(self, op, *inputs, attributes=None, residual="", activation=None, outputs=1):
        """Add a layer and return the name of its first output."""
        name = f"t{len(self.layers)}"
        names = tuple(f"{name}.{k}" if k else name for k in range(outputs))
        layer = Layer(
            name=f"layer {name}",
            op=op,
            inputs=inputs,
            outputs=names,
            attributes=attributes or {},
            residual=residual,
            activation=activation,
        )
        self.layers.append(layer)
        self.values.update(zip(names, apply(layer, {**self.values, **self.constants}), strict=True))
        return name

    def constant(self, value):
        """Store a constant and return its name."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def conv(self, source, kernels, kernel=1, bias=True, group=1, **more):
        """Add a convolution with random constants of unit gain."""
        channels = self.values[source].shape[1] // group
        shape = (kernels, channels, kernel, kernel)
        w = self.rng.standard_normal(shape).astype(np.float32) / np.sqrt(channels * kernel**2)
        names = [self.constant(w.astype(np.float32))]
        if bias:
            names.append(self.constant(self.rng.standard_normal(kernels).astype(np.float32)))
        residual, activation = more.pop("residual", ""), more.pop("activation", None)
        attributes = {"group": group, **more}
        return self.add(
            "Conv", source, *names, attributes=attributes, residual=residual, activation=activation
        )

    def network(self, *outputs):
        """Return the network and its input."""
        network = Network(
            name="net",
            inputs=("x",),
            outputs=outputs,
            layers=tuple(self.layers),
            tensors={
                name: TensorType(value.shape, value.dtype.name)
                for name, value in self.values.items()
            },
            constants=self.constants,
        )
        return network, {"x": self.values["x"]}


def inception():
    """Two modules of four branches, the second on the first's concatenation, pooled and dense."""
    b = Builder((2, 3, 13, 11))
    t = b.conv("x", 24, 3, activation=RELU, **SAME)
    for width in (8, 12):
        one = b.conv(t, width, activation=RELU)
        three = b.conv(b.conv(t, 8, activation=RELU), 16, 3, activation=RELU, **SAME)
        five = b.conv(b.conv(t, 9), 10, 5, activation=RELU, pads=(2, 2, 2, 2))
        pooled = b.conv(b.add("MaxPool", t, attributes=POOL), 7, activation=RELU)
        t = b.add("Concat", one, three, five, pooled, attributes={"axis": 1})
    t = b.add("LRN", t, attributes={"size": 5, "alpha": 0.3})
    t = b.add("GlobalAveragePool", t)
    t = b.add("Flatten", t, attributes={"axis": 1})
    w = b.constant(b.rng.standard_normal((10, 45)).astype(np.float32))
    t = b.add("Gemm", t, w, attributes={"transB": 1})
    return b.network(b.add("Softmax", t, attributes={"axis": 1}))


def dense():
    """Nested concatenations; scale, shift and clamp in front of pointwise convolutions."""
    b = Builder((1, 3, 12, 12))
    t = b.conv("x", 16, 3, strides=(2, 2), **SAME)
    for _ in range(3):
        channels = b.values[t].shape[1]
        scale = b.rng.standard_normal((channels, 1, 1, 1)).astype(np.float32)
        scale[1] = 0
        shift = b.rng.standard_normal(channels).astype(np.float32)
        names = b.constant(scale), b.constant(shift)
        u = b.add("Conv", t, *names, attributes={"group": channels}, activation=RELU)
        u = b.conv(b.conv(u, 20, activation=RELU), 6, 3, bias=False, **SAME)
        t = b.add("Concat", t, u, attributes={"axis": 1})
    u = b.add("AveragePool", t, attributes={"kernel_shape": (2, 2), "strides": (2, 2)})
    return b.network(t, b.conv(u, 5))


def residual():
    """Bottlenecks whose additions are written in place, one behind a strided projection."""
    b = Builder((1, 8, 14, 14))
    t = b.conv("x", 32, activation=RELU)
    for stride in (1, 2, 1):
        side = t if stride == 1 else b.conv(t, 32, strides=(2, 2))
        u = b.conv(t, 16, activation=RELU)
        u = b.conv(u, 16, 3, activation=RELU, strides=(stride, stride), **SAME)
        t = b.conv(u, 32, residual=side, activation=RELU)
    return b.network(b.conv(t, 4, 3, residual="", activation=Activation(-0.5, 0.5), **SAME), t)


def shuffled():
    """Grouped convolutions with interleaved channels and depthwise ones, as in ShuffleNet."""
    b = Builder((1, 12, 10, 10))
    t = "x"
    for stride in (1, 2):
        n, c, h, w = b.values[t].shape
        u = b.conv(t, 24, group=4, activation=RELU)
        u = b.add("Reshape", u, b.constant(np.array([n, 4, 6, h, w])))
        u = b.add("Transpose", u, attributes={"perm": (0, 2, 1, 3, 4)})
        u = b.add("Reshape", u, b.constant(np.array([n, 24, h, w])))
        u = b.conv(u, 24, 3, group=24, strides=(stride, stride), **SAME)
        if stride == 1:
            t = b.conv(u, c, group=4, residual=t, activation=RELU)
        else:
            side = b.add("AveragePool", t, attributes={**POOL, "strides": (2, 2)})
            t = b.add("Concat", b.conv(u, 12, group=4), side, attributes={"axis": 1})
            t = b.add("Relu", t)
    return b.network(t)


def mixed():
    """Operators without a path of their own, several outputs, other ranks, one input read twice."""
    b = Builder((2, 6, 8, 8))
    t = b.conv("x", 8, 3, activation=RELU, **SAME)
    halves = b.add("Split", t, b.constant(np.array([3, 5])), attributes={"axis": 1}, outputs=2)
    u = b.add("Concat", f"{halves}.1", halves, f"{halves}.1", attributes={"axis": 1})
    u = b.add("Sigmoid", b.conv(u, 8, 1, activation=None))
    gate = b.add("GlobalMaxPool", t)
    u = b.add("Mul", u, gate)
    u = b.add("Add", u, t, activation=RELU)
    v = b.add("Sub", u, u)
    flat = b.add("Reshape", u, b.constant(np.array([2, 8, 64])))
    w = b.constant(b.rng.standard_normal((64, 4)).astype(np.float32))
    s = b.add("Softmax", b.add("MatMul", flat, w), attributes={"axis": 2})
    i = b.add("ArgMax", s, attributes={"axis": 2, "keepdims": 0})
    return b.network(v, s, i, u)


NETWORKS = {make.__name__: make for make in (inception, dense, residual, shuffled, mixed)}
