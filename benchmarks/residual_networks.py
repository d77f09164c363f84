"""Residual networks as ONNX with seeded random weights, from their published shapes.

ResNet-8 is the image classifier of MLPerf Tiny (Banbury et al., NeurIPS Datasets 2021) for 32 x 32
CIFAR-10 images, ResNet-18 and ResNet-20 those of He et al., CVPR 2016, table 1 and section 4.2.
Normalizations are folded: each convolution has a bias. Weights are drawn as in He et al., ICCV
2015, so that activations keep their scale; they test arithmetic and cycles, not accuracy.

Run: python benchmarks/residual_networks.py resnet8 OUT.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

SHAPES = {
    # name: (image side, stem kernel and stride, pooled, channels per stage, blocks, classes)
    "resnet8": (32, (3, 1), False, (16, 32, 64), 1, 10),
    "resnet20": (32, (3, 1), False, (16, 32, 64), 3, 10),
    "resnet18": (224, (7, 2), True, (64, 128, 256, 512), 2, 1000),
}


class _Graph:
    """Nodes and constants of a network that grows layer by layer."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, op: str, inputs: list[str], **attributes: int | list[int]) -> str:
        """Append a node; returns its result."""
        from onnx import helper

        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def weights(self, *shape: int) -> list[str]:
        """Append random weights and a bias; returns their names."""
        from onnx import numpy_helper

        spread = np.sqrt(2 / np.prod(shape[1:]))
        values = (self.rng.standard_normal(shape) * spread, self.rng.standard_normal(shape[0]) / 10)
        names = [f"w{len(self.constants)}", f"b{len(self.constants)}"]
        for name, value in zip(names, values, strict=True):
            self.constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return names

    def conv(self, x: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> str:
        """Append a convolution with the padding of 'same'."""
        weights = self.weights(outputs, inputs, kernel, kernel)
        return self.add(
            "Conv",
            [x, *weights],
            kernel_shape=[kernel] * 2,
            strides=[stride] * 2,
            pads=[kernel // 2] * 4,
        )

    def block(self, x: str, inputs: int, outputs: int, stride: int) -> str:
        """Append two 3 x 3 convolutions and the addition of their input."""
        same = stride == 1 and inputs == outputs
        y = self.add("Relu", [self.conv(x, inputs, outputs, 3, stride)])
        y = self.conv(y, outputs, outputs, 3)
        shortcut = x if same else self.conv(x, inputs, outputs, 1, stride)
        return self.add("Relu", [self.add("Add", [y, shortcut])])


def residual_network(name: str, seed: int = 0) -> ModelProto:
    """Return a network of `SHAPES`, ending in Softmax, opset 17, batch 1."""
    from onnx import TensorProto, helper

    side, (kernel, stride), pooled, stages, blocks, classes = SHAPES[name]
    graph, inputs = _Graph(seed), stages[0]
    x = graph.add("Relu", [graph.conv("image", 3, inputs, kernel, stride)])
    if pooled:
        x = graph.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage, channels in enumerate(stages):
        for index in range(blocks):
            x = graph.block(x, inputs, channels, 2 if stage and not index else 1)
            inputs = channels
    x = graph.add("Flatten", [graph.add("GlobalAveragePool", [x])])
    x = graph.add("Gemm", [x, *graph.weights(classes, inputs)], transB=1)
    x = graph.add("Softmax", [x], axis=1)
    info = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [info("image", TensorProto.FLOAT, [1, 3, side, side])],
            [info(x, TensorProto.FLOAT, [1, classes])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    return model


def main() -> None:
    """Write one network."""
    import onnx

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=list(SHAPES))
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the weights")
    arguments = parser.parse_args()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(residual_network(arguments.name, arguments.seed), arguments.out)


if __name__ == "__main__":
    main()
