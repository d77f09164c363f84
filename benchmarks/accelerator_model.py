"""Modelled cycles and MAC utilization of whole networks on one accelerator configuration.

Compiles each network into one command stream (zero weights: only shapes matter) and runs
`heterolith.hw.timeline` over it: a model of the units and one DRAM, not the RTL. Networks are
built here from their published shapes, 224 x 224 input, batch 1.

Run: python benchmarks/accelerator_model.py --config ultra96 --dram-gbs 4.27 --mhz 300 [--json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from heterolith.hw.config import ArrayConfig, config
from heterolith.hw.fixed import Output, Residual, Scaling
from heterolith.hw.golden import LinearParameters, average_parameters
from heterolith.hw.job import Activation, JobBuilder
from heterolith.hw.mapping import convolution, pooling
from heterolith.hw.shapes import ConvShape, PoolShape
from heterolith.hw.timeline import Dram, simulate


class Stack:
    """A network that grows layer by layer in a `JobBuilder`."""

    def __init__(self, array: ArrayConfig, dram: Dram) -> None:
        self.builder = JobBuilder(array, dram)
        self.macs = 0

    def image(self) -> Activation:
        """Return the input: three channels of 224 x 224."""
        return self.builder.tensor((1, 3, 224, 224), image=True)

    def conv(
        self,
        x: Activation,
        channels: int,
        kernel: int,
        stride: int = 1,
        *,
        pad: int | None = None,
        groups: int = 1,
        add: Activation | None = None,
        out: Activation | None = None,
    ) -> Activation:
        """Append a convolution; padding is that of 'same' unless given."""
        pad = kernel // 2 if pad is None else pad
        _, inputs, height, width = x.shape
        shape = ConvShape(
            in_channels=inputs,
            out_channels=channels,
            height=height,
            width=width,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            pads=(pad,) * 4,
            groups=groups,
        )
        parameters = LinearParameters(
            weights=np.zeros(shape.weight_shape, np.int8),
            bias=np.zeros(channels, np.int32),
            scaling=Scaling.of(np.full(channels, 0.01)),
            output=Output(),
            residual=None if add is None else Residual(scaling=Scaling.of(0.5), zero_point=0),
        )
        mapping = convolution(shape, parameters, self.builder.geometry, x.first.image)
        target = out or self.builder.tensor(shape.output_shape)
        self.builder.layer(mapping, x, target, add)
        self.macs += shape.macs
        return target

    def pool(
        self, x: Activation, kernel: int, stride: int, pads: tuple[int, int] = (0, 0)
    ) -> Activation:
        """Append a max pooling; ``pads`` are before and after in both directions."""
        _, channels, height, width = x.shape
        shape = PoolShape(
            kind="max",
            channels=channels,
            height=height,
            width=width,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            pads=(pads[0], pads[0], pads[1], pads[1]),
        )
        target = self.builder.tensor(shape.output_shape)
        self.builder.layer(pooling(shape, self.builder.geometry), x, target)
        return target

    def mean(self, x: Activation) -> Activation:
        """Append a global average pooling."""
        _, channels, height, width = x.shape
        size = (height, width)
        shape = PoolShape(
            kind="average", channels=channels, height=height, width=width, kernel=size
        )
        average = average_parameters(shape, 1.0, 0, Output())
        mapping = pooling(shape, self.builder.geometry, average)
        target = self.builder.tensor(shape.output_shape)
        self.builder.layer(mapping, x.view(*mapping.size), target)
        return target


def resnet(stack: Stack, blocks: tuple[int, ...], bottleneck: bool) -> None:
    """He et al., CVPR 2016, table 1."""
    x = stack.pool(stack.conv(stack.image(), 64, 7, 2), 3, 2, (1, 1))
    for stage, count in enumerate(blocks):
        channels = 64 << stage
        wide = 4 * channels if bottleneck else channels
        for index in range(count):
            stride = 2 if stage and not index else 1
            same = stride == 1 and x.shape[1] == wide
            shortcut = x if same else stack.conv(x, wide, 1, stride)
            if bottleneck:
                y = stack.conv(stack.conv(x, channels, 1), channels, 3, stride)
                x = stack.conv(y, wide, 1, add=shortcut)
            else:
                x = stack.conv(stack.conv(x, channels, 3, stride), wide, 3, add=shortcut)
    stack.conv(stack.mean(x), 1000, 1)


def squeezenet(stack: Stack) -> None:
    """Iandola et al., 2016, version 1.1 of the authors' repository."""

    def fire(x: Activation, squeeze: int, expand: int) -> Activation:
        y = stack.conv(x, squeeze, 1)
        both = stack.builder.tensor((1, 2 * expand, *y.shape[2:]))
        half = both.image_bytes // 2
        first = replace(both.first, blocks=both.first.blocks // 2)
        shape = (1, expand, *y.shape[2:])
        left = replace(both, shape=shape, first=first)
        right = replace(left, first=replace(first, offset=first.offset + half))
        stack.conv(y, expand, 1, out=left)
        stack.conv(y, expand, 3, out=right)
        return both

    x = stack.pool(stack.conv(stack.image(), 64, 3, 2, pad=0), 3, 2)
    x = stack.pool(fire(fire(x, 16, 64), 16, 64), 3, 2, (0, 1))
    x = stack.pool(fire(fire(x, 32, 128), 32, 128), 3, 2, (0, 1))
    x = fire(fire(x, 48, 192), 48, 192)
    x = fire(fire(x, 64, 256), 64, 256)
    stack.mean(stack.conv(x, 1000, 1))


def vgg19_convolutions(stack: Stack) -> None:
    """Simonyan and Zisserman, 2015, column E without its fully connected layers."""
    x = stack.image()
    for channels, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            x = stack.conv(x, channels, 3)
        x = stack.pool(x, 2, 2)


def mobilenet_v2(stack: Stack) -> None:
    """Sandler et al., CVPR 2018, table 2."""
    x = stack.conv(stack.image(), 32, 3, 2)
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2))
    rows += ((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for factor, channels, count, first_stride in rows:
        for index in range(count):
            stride = 1 if index else first_stride
            inputs = x.shape[1]
            y = x if factor == 1 else stack.conv(x, inputs * factor, 1)
            y = stack.conv(y, y.shape[1], 3, stride, groups=y.shape[1])
            add = x if stride == 1 and inputs == channels else None
            x = stack.conv(y, channels, 1, add=add)
    stack.conv(stack.mean(stack.conv(x, 1280, 1)), 1000, 1)


NETWORKS: dict[str, Callable[[Stack], None]] = {
    "resnet18": lambda stack: resnet(stack, (2, 2, 2, 2), False),
    "resnet50": lambda stack: resnet(stack, (3, 4, 6, 3), True),
    "squeezenet1.1": squeezenet,
    "vgg19-conv": vgg19_convolutions,
    "mobilenet-v2": mobilenet_v2,
}


def measure(name: str, array: ArrayConfig, dram: Dram) -> dict[str, float]:
    """Return the modelled figures of one network."""
    stack = Stack(array, dram)
    NETWORKS[name](stack)
    job = stack.builder.finish()
    run = simulate(job.commands, job.geometry, dram)
    utilization = stack.macs / (run.cycles * array.macs_per_cycle)
    return {
        "macs": stack.macs,
        "cycles": run.cycles,
        "utilization": round(utilization, 4),
        "macs_per_cycle_per_dsp": round(utilization * array.macs_per_cycle / array.dsp, 3),
        "dram_bytes": run.read_bytes + run.write_bytes,
        "commands": len(job.commands),
    }


def main() -> None:
    """Print one row per network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="ultra96")
    parser.add_argument("--network", choices=sorted(NETWORKS), action="append")
    parser.add_argument("--dram-gbs", type=float, default=4.27)
    parser.add_argument("--mhz", type=float, default=300.0)
    parser.add_argument("--latency-cycles", type=int, default=120)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    dram = Dram(
        bytes_per_cycle=options.dram_gbs * 1e3 / options.mhz,
        latency_cycles=options.latency_cycles,
    )
    array = config(options.config)
    names = options.network or list(NETWORKS)
    rows = {name: measure(name, array, dram) for name in names}
    if options.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        print(f"{name:14}", " ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
