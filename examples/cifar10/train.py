"""Train the CIFAR-10 networks of this folder with PyTorch on a CPU and write them as ONNX.

    python examples/cifar10/train.py --data FOLDER --network resnet8
    python examples/cifar10/train.py --data FOLDER --network exits

PyTorch is needed here alone; the package never imports it. The last 5,000 training images are held
out: exits are calibrated on them (one temperature each, folded into the classifier). Test images
are looked at once, at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from heterolith.metrics.images import CIFAR_MEAN, CIFAR_STD, load_images

FOLDER = Path(__file__).parent
HELD_OUT = 5000
BLOCKS = {"resnet8": (1, 1, 1), "exits": (1, 2, 2)}
EPOCHS = {"resnet8": 48, "exits": 44}
PATCH = 8
"""Classifiers see means over 8x8 patches: 16, 4 and 1 of them after the three stages."""
WIDTHS = {"resnet8": (16, 48, 128), "exits": (16, 48, 112)}
SHARES = (0.3, 0.6, 1.0)
"""What each exit counts in the loss: early ones less, for they bend the features of later ones."""


class Block(nn.Module):
    """Two 3x3 convolutions with a shortcut; 1x1 convolution on it where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.short: nn.Conv2d | None = None
        if stride > 1 or inputs != outputs:
            self.short = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.bn3 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.short is None else self.bn3(self.short(x))))


class Network(nn.Module):
    """A residual network for 32x32 images; `exits` gives a classifier to every stage."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        widths = WIDTHS[name]
        self.stem = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(widths[0])
        stages, inputs = [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, BLOCKS[name], strict=True)):
            blocks = []
            for index in range(count):
                blocks.append(Block(inputs, width, 2 if stage and not index else 1))
                inputs = width
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        heads = widths if name == "exits" else widths[-1:]
        sides = [32 // PATCH >> stage for stage in range(3)][-len(heads) :]
        self.heads = nn.ModuleList(
            [nn.Linear(width * side**2, 10) for width, side in zip(heads, sides, strict=True)]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the logits of every exit."""
        x = torch.relu(self.bn(self.stem(x)))
        means = []
        for stage in self.stages:
            x = stage(x)
            means.append(nn.functional.avg_pool2d(x, PATCH).flatten(1))
        return [head(m) for head, m in zip(self.heads, means[-len(self.heads) :], strict=True)]


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return randomly shifted (up to 4 pixels) and flipped images."""
    padded = nn.functional.pad(images, (4, 4, 4, 4))
    shift = torch.randint(0, 9, (2, len(images)), generator=generator)
    rows = shift[0][:, None] + torch.arange(32)
    cols = shift[1][:, None] + torch.arange(32)
    flip = torch.rand(len(images), generator=generator) < 0.5
    cols = torch.where(flip[:, None], cols.flip(1), cols)
    index = torch.arange(len(images))[:, None, None]
    return padded.permute(0, 2, 3, 1)[index, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)


@torch.no_grad()
def logits(network: Network, images: Tensor) -> list[Tensor]:
    """Return the logits of every exit for all images."""
    network.eval()
    parts = [network(batch) for batch in images.split(1000)]
    return [torch.cat(exits) for exits in zip(*parts, strict=True)]


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Return the share of images whose label has the highest score."""
    return float((scores.argmax(1) == labels).float().mean())


def temperature(scores: Tensor, labels: Tensor) -> float:
    """Return the temperature with the least cross entropy (Guo et al., ICML 2017)."""
    grid = np.exp(np.linspace(np.log(0.3), np.log(4.0), 400))
    losses = [float(nn.functional.cross_entropy(scores / t, labels)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def to_onnx(network: Network, temperatures: list[float]) -> onnx.ModelProto:
    """Return the network with batch normalization, exits ending in softmax."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, value: Tensor) -> str:
        constants.append(numpy_helper.from_array(value.detach().numpy().astype(np.float32), name))
        return name

    def conv(name: str, layer: nn.Conv2d, norm: nn.BatchNorm2d, x: str) -> str:
        k, s, p = layer.kernel_size[0], layer.stride[0], int(layer.padding[0])
        weight = constant(f"{name}.weight", layer.weight)
        nodes.append(
            helper.make_node("Conv", [x, weight], [name], name=name, kernel_shape=[k, k],
                             strides=[s, s], pads=[p] * 4)
        )  # fmt: skip
        fields = {"scale": norm.weight, "bias": norm.bias, "mean": norm.running_mean,
                  "var": norm.running_var}  # fmt: skip
        inputs = [constant(f"{name}.{key}", value) for key, value in fields.items()]
        nodes.append(
            helper.make_node("BatchNormalization", [name, *inputs], [f"{name}.bn"],
                             name=f"{name}.bn", epsilon=norm.eps)
        )  # fmt: skip
        return f"{name}.bn"

    def node(op: str, name: str, *inputs: str, **attributes: int | list[int]) -> str:
        nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    x = node("Relu", "stem.relu", conv("stem", network.stem, network.bn, "image"))
    outputs, first = [], len(network.stages) - len(network.heads)
    for number, stage in enumerate(network.stages):
        for index, block in enumerate(stage):
            name = f"stage{number + 1}.{index}"
            y = node("Relu", f"{name}.relu1", conv(f"{name}.conv1", block.conv1, block.bn1, x))
            y = conv(f"{name}.conv2", block.conv2, block.bn2, y)
            short = x if block.short is None else conv(f"{name}.short", block.short, block.bn3, x)
            x = node("Relu", f"{name}.relu2", node("Add", f"{name}.add", y, short))
        if number >= first:
            head, heat = network.heads[number - first], temperatures[number - first]
            name = f"exit{number - first + 1}"
            patch = {"kernel_shape": [PATCH] * 2, "strides": [PATCH] * 2}
            flat = node("Flatten", f"{name}.flat", node("AveragePool", f"{name}.mean", x, **patch))
            weight = constant(f"{name}.weight", head.weight / heat)
            bias = constant(f"{name}.bias", head.bias / heat)
            scores = node("Gemm", f"{name}.logits", flat, weight, bias, transB=1)
            outputs.append(node("Softmax", f"{name}.scores", scores, axis=1))
    graph = helper.make_graph(
        nodes,
        f"cifar10_{network.name}",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 10]) for name in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main(arguments: list[str]) -> int:
    """Train, calibrate, test and write one network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of CIFAR-10, see README.md"
    )
    parser.add_argument("--network", choices=sorted(BLOCKS), default="resnet8")
    parser.add_argument("--epochs", type=int, help="default 48 (resnet8), 44 (exits)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=0.1, help="peak learning rate")
    parser.add_argument("--decay", type=float, default=5e-4, help="weight decay")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--bf16", action="store_true", help="bfloat16 products in training, 2x on AMX processors"
    )
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile, needs a C++ compiler"
    )
    parser.add_argument("--out", type=Path, default=FOLDER)
    asked = parser.parse_args(arguments)
    asked.epochs = asked.epochs or EPOCHS[asked.network]
    torch.manual_seed(asked.seed)
    generator = torch.Generator().manual_seed(asked.seed)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (CIFAR_MEAN, CIFAR_STD))

    def tensors(split: str) -> tuple[Tensor, Tensor]:
        found = load_images(asked.data, split)
        images, labels = torch.from_numpy(found.pixels), torch.from_numpy(found.labels)
        return (images.float() / 255 - mean) / std, labels

    images, labels = tensors("train")
    held, held_labels = images[-HELD_OUT:], labels[-HELD_OUT:]
    images, labels = images[:-HELD_OUT], labels[:-HELD_OUT]
    network = Network(asked.network).to(memory_format=torch.channels_last)
    rule = torch.optim.SGD(
        network.parameters(), lr=asked.rate, momentum=0.9, nesterov=True, weight_decay=asked.decay
    )
    steps = asked.epochs * (len(images) // asked.batch)
    plan = torch.optim.lr_scheduler.OneCycleLR(
        rule, max_lr=asked.rate, total_steps=steps, pct_start=0.25, anneal_strategy="cos"
    )
    forward = torch.compile(network) if asked.compile else network
    begin, log = time.monotonic(), []
    for epoch in range(asked.epochs):
        network.train()
        total, order = 0.0, torch.randperm(len(images), generator=generator)
        for batch in order.split(asked.batch):
            if len(batch) < asked.batch:
                break
            x = augment(images[batch], generator).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=asked.bf16):
                exits = forward(x)
            loss = sum(
                share * nn.functional.cross_entropy(scores.float(), labels[batch])
                for share, scores in zip(SHARES[-len(exits) :], exits, strict=True)
            )
            rule.zero_grad()
            loss.backward()
            rule.step()
            plan.step()
            total += float(loss.detach())
        row = {
            "epoch": epoch + 1,
            "loss": round(total / (len(images) // asked.batch), 4),
            "minutes": round((time.monotonic() - begin) / 60, 2),
        }
        if epoch % 4 == 3 or epoch + 1 == asked.epochs:
            row["held_out"] = [round(accuracy(s, held_labels), 4) for s in logits(network, held)]
        log.append(row)
        print(json.dumps(row), flush=True)
    temperatures = [temperature(s, held_labels) for s in logits(network, held)]
    test, test_labels = tensors("test")
    report = {
        "network": asked.network,
        "parameters": sum(p.numel() for p in network.parameters()),
        "seed": asked.seed,
        "epochs": asked.epochs,
        "batch": asked.batch,
        "rate": asked.rate,
        "decay": asked.decay,
        "bf16": asked.bf16,
        "compile": asked.compile,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "minutes": log[-1]["minutes"],
        "temperatures": [round(t, 4) for t in temperatures],
        "test_accuracy": [round(accuracy(s, test_labels), 4) for s in logits(network, test)],
        "log": log,
    }
    model = to_onnx(network.cpu().float(), temperatures)
    onnx.save(model, asked.out / f"{asked.network}.onnx")
    (asked.out / f"{asked.network}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps({k: v for k, v in report.items() if k != "log"}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
