"""The nine networks of the SCALENet study, from their published shapes, with random weights.

AlexNet, SqueezeNet, Inception-v1 and ResNet-50 are the onnx wheel's, ResNet-20 is
`residual_networks`'. Built here: LeNet-5 (LeCun et al., Proc. IEEE 86, 1998; maximum pooling), CNV
(Umuroglu et al., FPGA 2017), MobileNetV1 (Howard et al., arXiv:1704.04861, table 1) and a 1-D CNN
for EEG: 23 channels of 256 samples, five convolutions; its shape is assumed, the published one is
not known. Weights are drawn as in He et al., ICCV 2015: the study needs shapes, not accuracy.

Run: python benchmarks/scalenet_networks.py FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from networks import paths as wheel
from residual_networks import residual_network

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

WHEEL = {
    "alexnet": "alexnet",
    "squeezenet": "squeezenet",
    "inception-v1": "inception_v1",
    "resnet50": "resnet50",
}
"""Name in the study -> name in `networks.paths`."""


class _Chain:
    """A network without branches that grows layer by layer; ``shape`` is (channels, *size)."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name, self.first, self.shape = name, shape, shape
        self.rng = np.random.default_rng(0)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.last = "input"

    def _add(self, op: str, *constants: str, **attributes: int | list[int]) -> None:
        from onnx import helper

        name = f"{op.lower()}{len(self.nodes)}"
        node = helper.make_node(op, [self.last, *constants], [name], name=name, **attributes)
        self.nodes.append(node)
        self.last = name

    def _weights(self, *shape: int) -> tuple[str, str]:
        from onnx import numpy_helper

        spread = np.sqrt(2 / np.prod(shape[1:]))
        drawn = (self.rng.standard_normal(shape) * spread, np.zeros(shape[0]))
        names = (f"w{len(self.constants)}", f"b{len(self.constants)}")
        for name, value in zip(names, drawn, strict=True):
            self.constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return names

    def conv(
        self, outputs: int, kernel: int, stride: int = 1, pad: int = 0, groups: int = 1
    ) -> None:
        """Append a convolution and its Relu."""
        channels, *size = self.shape
        axes = len(size)
        weights = self._weights(outputs, channels // groups, *[kernel] * axes)
        self._add(
            "Conv",
            *weights,
            kernel_shape=[kernel] * axes,
            strides=[stride] * axes,
            pads=[pad] * (2 * axes),
            group=groups,
        )
        self._add("Relu")
        self.shape = (outputs, *((n + 2 * pad - kernel) // stride + 1 for n in size))

    def pool(self, kernel: int = 2) -> None:
        """Append maximum pooling without overlap."""
        channels, *size = self.shape
        self._add("MaxPool", kernel_shape=[kernel] * len(size), strides=[kernel] * len(size))
        self.shape = (channels, *(n // kernel for n in size))

    def mean(self) -> None:
        """Append global average pooling."""
        self._add("GlobalAveragePool")
        self.shape = (self.shape[0], *[1] * (len(self.shape) - 1))

    def model(self, *features: int) -> ModelProto:
        """Append fully connected layers and Softmax; return the network, opset 17, batch 1."""
        from onnx import TensorProto, helper

        self._add("Flatten")
        inputs = int(np.prod(self.shape))
        for index, outputs in enumerate(features):
            self._add("Gemm", *self._weights(outputs, inputs), transB=1)
            inputs = outputs
            if index + 1 < len(features):
                self._add("Relu")
        self._add("Softmax", axis=1)
        info = helper.make_tensor_value_info
        ends = (
            info("input", TensorProto.FLOAT, [1, *self.first]),
            info(self.last, TensorProto.FLOAT, [1, inputs]),
        )
        graph = helper.make_graph(self.nodes, self.name, [ends[0]], [ends[1]], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        return model


def lenet5() -> ModelProto:
    """Return LeNet-5 on 32 x 32 grey images."""
    net = _Chain("lenet5", (1, 32, 32))
    net.conv(6, 5)
    net.pool()
    net.conv(16, 5)
    net.pool()
    return net.model(120, 84, 10)


def cnv() -> ModelProto:
    """Return CNV on CIFAR-10 images."""
    net = _Chain("cnv", (3, 32, 32))
    for channels, pooled in ((64, True), (128, True), (256, False)):
        net.conv(channels, 3)
        net.conv(channels, 3)
        if pooled:
            net.pool()
    return net.model(512, 512, 10)


def mobilenet_v1() -> ModelProto:
    """Return MobileNetV1 of width 1 on 224 x 224 images."""
    net = _Chain("mobilenet-v1", (3, 224, 224))
    net.conv(32, 3, 2, 1)
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    for outputs, stride in [*blocks, *[(512, 1)] * 5, (1024, 2), (1024, 1)]:
        net.conv(net.shape[0], 3, stride, 1, groups=net.shape[0])
        net.conv(outputs, 1)
    net.mean()
    return net.model(1000)


def eeg() -> ModelProto:
    """Return a 1-D CNN on one second of 23 EEG channels; its shape is assumed."""
    net = _Chain("eeg-1d", (23, 256))
    for channels in (32, 32, 64, 64, 128):
        net.conv(channels, 7, pad=3)
        net.pool()
    return net.model(64, 2)


def write(folder: Path) -> dict[str, Path]:
    """Write the networks that the wheel lacks into a folder; return all nine by name."""
    import onnx

    folder.mkdir(parents=True, exist_ok=True)
    built = {
        "lenet5": lenet5(),
        "cnv": cnv(),
        "resnet20": residual_network("resnet20"),
        "mobilenet-v1": mobilenet_v1(),
        "eeg-1d": eeg(),
    }
    for name, model in built.items():
        onnx.save(model, folder / f"{name}.onnx")
    found = {name: folder / f"{name}.onnx" for name in built}
    return {**found, **{name: wheel()[key] for name, key in WHEEL.items()}}


def main() -> None:
    """Write the networks."""
    parser = argparse.ArgumentParser(description=" ".join((__doc__ or "").split()))
    parser.add_argument("folder", type=Path)
    for name, path in write(parser.parse_args().folder).items():
        print(f"{name}: {path}")


if __name__ == "__main__":
    main()
