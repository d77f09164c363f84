"""Train a LeNet-size CNN on scikit-learn's digits and write digits.onnx beside this file.

Run once with PyTorch installed: python examples/digits/train.py. The held-out split is fixed by
`split`, which the evaluation uses too; training is deterministic under SEED on one machine.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from data import split
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SEED = 0
EPOCHS = 40


def network() -> nn.Sequential:
    """Return the CNN: two 3x3 convolutions, two 2x2 max poolings, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def train() -> nn.Sequential:
    """Return the trained network in evaluation mode."""
    torch.manual_seed(SEED)
    images, labels = (torch.from_numpy(part) for part in split()[:2])
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for epoch in range(EPOCHS):
        loss = torch.zeros(())
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
        schedule.step()
        print(f"epoch {epoch:2d}  last loss {loss.item():.4f}")
    return model.eval()


def to_onnx(model: nn.Sequential) -> onnx.ModelProto:
    """Return the network as ONNX, opset 17, batch 1, ending in Softmax."""
    nodes, constants, here = [], [], "image"

    def constant(name: str, value: torch.Tensor) -> str:
        constants.append(numpy_helper.from_array(value.detach().numpy(), name))
        return name

    for index, layer in enumerate(model):
        inputs, name = [here], f"{type(layer).__name__.lower()}{index}"
        if isinstance(layer, nn.Conv2d):
            op, attributes = "Conv", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
            inputs += [constant(f"{name}.w", layer.weight), constant(f"{name}.b", layer.bias)]
        elif isinstance(layer, nn.BatchNorm2d):
            op, attributes = "BatchNormalization", {"epsilon": layer.eps}
            parts = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
            inputs += [constant(f"{name}.{i}", part) for i, part in enumerate(parts)]
        elif isinstance(layer, nn.MaxPool2d):
            op, attributes = "MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}
        elif isinstance(layer, nn.Linear):
            op, attributes = "Gemm", {"transB": 1}
            inputs += [constant(f"{name}.w", layer.weight), constant(f"{name}.b", layer.bias)]
        else:
            op, attributes = {nn.ReLU: "Relu", nn.Flatten: "Flatten"}[type(layer)], {}
        here = f"{name}.out"
        nodes.append(helper.make_node(op, inputs, [here], name=name, **attributes))
    nodes.append(helper.make_node("Softmax", [here], ["probability"], name="softmax", axis=1))
    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1, 10])],
        constants,
    )
    model_proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model_proto.ir_version = 8
    onnx.checker.check_model(model_proto)
    return model_proto


def main() -> None:
    """Train, print held-out accuracy, write the file."""
    torch.set_num_threads(2)
    model = train()
    images, labels = split()[2:]
    with torch.no_grad():
        predicted = model(torch.from_numpy(images)).argmax(1).numpy()
    print(f"held-out accuracy {np.mean(predicted == labels):.4f} on {len(labels)} images")
    path = Path(__file__).with_name("digits.onnx")
    onnx.save(to_onnx(model), path)
    print(f"wrote {path.name}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
