"""Networks that grow layer by layer, by hand or at random, built without ONNX."""

import numpy as np

from heterolith.sw.network import Layer, Network, TensorType

from .nets import RELU, window


class Draft:
    """A network that grows layer by layer; weights are drawn from ``rng``."""

    def __init__(self, rng, *shapes):
        self.rng, self.layers, self.constants = rng, [], {}
        self.tensors = {f"x{index}": TensorType(shape) for index, shape in enumerate(shapes)}
        self.inputs = tuple(self.tensors)

    def shape(self, name):
        """Return the shape of a tensor."""
        return self.tensors[name].shape

    def constant(self, *shape):
        """Add a random constant."""
        name = f"w{len(self.constants)}"
        self.constants[name] = self.rng.normal(size=shape).astype(np.float32)
        return name

    def add(self, op, inputs, shape, attributes=None, **fused):
        """Append a layer; returns its result."""
        name = f"{op.lower()}{len(self.layers)}"
        layer = Layer(
            name=name,
            op=op,
            inputs=tuple(inputs),
            outputs=(f"{name}.y",),
            attributes=attributes or {},
            **fused,
        )
        self.layers.append(layer)
        self.tensors[f"{name}.y"] = TensorType(tuple(int(size) for size in shape))
        return f"{name}.y"

    def conv(self, x, outputs, kernel=3, stride=1, groups=1, **fused):
        """Append a convolution with the padding of 'same'."""
        n, c, h, w = self.shape(x)
        weights = self.constant(outputs, c // groups, kernel, kernel)
        pads = (kernel // 2,) * 4
        attributes = {**window((kernel,) * 2, (stride,) * 2, pads), "group": groups}
        size = [(s + 2 * pads[0] - kernel) // stride + 1 for s in (h, w)]
        return self.add("Conv", [x, weights], (n, outputs, *size), attributes, **fused)

    def pool(self, x, op="MaxPool"):
        """Append a pooling of 2 x 2."""
        n, c, h, w = self.shape(x)
        attributes = {**window((2, 2), (2, 2)), "ceil_mode": 0}
        attributes |= {"storage_order": 0} if op == "MaxPool" else {"count_include_pad": 0}
        return self.add(op, [x], (n, c, h // 2, w // 2), attributes)

    def concat(self, *names):
        """Append a concatenation over channels."""
        n, _, *rest = self.shape(names[0])
        shape = (n, sum(self.shape(name)[1] for name in names), *rest)
        return self.add("Concat", names, shape, {"axis": 1})

    def reshape(self, x, *shape):
        """Append a view."""
        name = f"s{len(self.constants)}"
        self.constants[name] = np.array(shape, np.int64)
        return self.add("Reshape", [x, name], shape, {"allowzero": 0})

    def gemm(self, x, outputs, **fused):
        """Append a fully connected layer."""
        rows, features = self.shape(x)
        names = [x, self.constant(outputs, features), self.constant(outputs)]
        attributes = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
        return self.add("Gemm", names, (rows, outputs), attributes, **fused)

    def network(self, *outputs):
        """Return the network; by default its outputs are all that nobody reads."""
        read = {x for layer in self.layers for x in (*layer.inputs, layer.residual)}
        made = [layer.outputs[0] for layer in self.layers]
        return Network(
            name="drawn",
            inputs=self.inputs,
            outputs=tuple(dict.fromkeys((*outputs, *(x for x in made if x not in read)))),
            layers=tuple(self.layers),
            tensors=self.tensors,
            constants=self.constants,
        )


def grow(draft, pick, count):
    """Append ``count`` random layers that fit; ``pick`` draws an index below its argument."""
    for _ in range(count):
        x = list(draft.tensors)[-1 - pick(min(4, len(draft.tensors)))]
        shape = draft.shape(x)
        same = [name for name in draft.tensors if draft.shape(name) == shape]
        other = same[pick(len(same))]
        fused = {"activation": RELU} if pick(2) else {}
        kind = pick(10)
        if kind == 0:
            draft.add("Add", [x, other], shape, **fused)
        elif kind == 1:
            draft.add("Relu", [x], shape)
        elif len(shape) == 2:
            outputs = (10, 16, shape[1])[pick(3)]
            residual = other if outputs == shape[1] and pick(2) else ""
            draft.gemm(x, outputs, residual=residual, **fused)
        elif kind == 2 and min(shape[2:]) >= 2:
            draft.pool(x, ("MaxPool", "AveragePool")[pick(2)])
        elif kind == 3:
            flat = draft.reshape(x, shape[0], int(np.prod(shape[1:])))
            draft.gemm(flat, 16, **fused)
        elif kind == 4:
            draft.add("Sigmoid", [x], shape)
        elif kind == 5 and shape[2] > 1:
            draft.reshape(x, shape[0], shape[1], 1, shape[2] * shape[3])
        elif kind in (6, 7):
            near = [n for n in draft.tensors if draft.shape(n)[2:] == shape[2:]]
            near = [n for n in near if len(draft.shape(n)) == 4]
            draft.concat(x, *(near[pick(len(near))] for _ in range(1 + pick(2))))
        else:
            outputs = (8, 16, 24, shape[1])[pick(4)]
            residual = other if outputs == shape[1] and pick(2) else ""
            kernel = (1, 3)[pick(2)]
            draft.conv(x, outputs, kernel, residual=residual, **fused)
