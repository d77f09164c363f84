"""Networks as jobs of the accelerator, built layer by layer from their published shapes.

224 x 224 input, batch 1, weights random. Factors follow from the number of products of a sum, so
that codes keep a standard deviation of about 40 from layer to layer and few saturate.
`accelerator.py`, `accelerator_model.py`, `functional_speed.py` and `nngen_cases.py` import it; by
itself it prints the size of each network.

Run: python benchmarks/accelerator_networks.py --config ultra96
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from heterolith.hw.compiler.job import Activation, Job, JobBuilder
from heterolith.hw.compiler.mapping import convolution, pooling
from heterolith.hw.config import ArrayConfig, config
from heterolith.hw.fixed import Output, Residual, Scaling
from heterolith.hw.golden import LinearParameters, average_parameters
from heterolith.hw.shapes import ConvShape, PoolShape
from heterolith.hw.timing.timeline import Dram

SPREAD = 40.0
"""Standard deviation that a layer's codes are scaled to."""

IMAGE = (1, 3, 224, 224)
"""Input of every network, NCHW."""


class Stack:
    """A network that grows layer by layer in a `JobBuilder`, from one input of uniform codes."""

    def __init__(
        self, array: ArrayConfig, dram: Dram, shape: tuple[int, ...] = IMAGE, seed: int = 0
    ) -> None:
        self.builder = JobBuilder(array, dram)
        self.macs = 0
        self.rng = np.random.default_rng(seed)
        self.input = self.builder.tensor(shape, image=shape[1] <= 4)
        # Root mean square of the codes by tensor offset, as expected; SPREAD where it is not named.
        self._rms = {self.input.first.offset: 74.0}

    def _parameters(self, shape: ConvShape, x: Activation, residual: bool) -> LinearParameters:
        """Return random weights and biases, and the factor that brings sums to the spread."""
        channels = shape.out_channels
        weights = self.rng.integers(-127, 128, shape.weight_shape, dtype=np.int8)
        rms = self._rms.get(x.first.offset, SPREAD)
        products = math.prod(shape.weight_shape[1:])
        spread = math.sqrt(products) * rms * 127 / math.sqrt(3)
        bias = self.rng.integers(-int(spread / 4), int(spread / 4) + 1, channels, dtype=np.int32)
        factors = SPREAD / spread * self.rng.uniform(0.85, 1.15, channels)
        return LinearParameters(
            weights=weights,
            bias=bias,
            scaling=Scaling.of(factors),
            output=Output(),
            residual=Residual(scaling=Scaling.of(0.5), zero_point=0) if residual else None,
        )

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
        parameters = self._parameters(shape, x, add is not None)
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
        self._rms[target.first.offset] = 1.6 * SPREAD
        return target

    def mean(self, x: Activation) -> Activation:
        """Append a global average pooling."""
        _, channels, height, width = x.shape
        size = (height, width)
        shape = PoolShape(
            kind="average", channels=channels, height=height, width=width, kernel=size
        )
        average = average_parameters(shape, 4.0, 0, Output())
        mapping = pooling(shape, self.builder.geometry, average)
        target = self.builder.tensor(shape.output_shape)
        self.builder.layer(mapping, x.view(*mapping.size), target)
        return target


def resnet(stack: Stack, blocks: tuple[int, ...], bottleneck: bool) -> Activation:
    """He et al., CVPR 2016, table 1."""
    x = stack.pool(stack.conv(stack.input, 64, 7, 2), 3, 2, (1, 1))
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
    return stack.conv(stack.mean(x), 1000, 1)


def squeezenet(stack: Stack) -> Activation:
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

    x = stack.pool(stack.conv(stack.input, 64, 3, 2, pad=0), 3, 2)
    x = stack.pool(fire(fire(x, 16, 64), 16, 64), 3, 2, (0, 1))
    x = stack.pool(fire(fire(x, 32, 128), 32, 128), 3, 2, (0, 1))
    x = fire(fire(x, 48, 192), 48, 192)
    x = fire(fire(x, 64, 256), 64, 256)
    return stack.mean(stack.conv(x, 1000, 1))


def vgg19_convolutions(stack: Stack) -> Activation:
    """Simonyan and Zisserman, 2015, column E without its fully connected layers."""
    x = stack.input
    for channels, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            x = stack.conv(x, channels, 3)
        x = stack.pool(x, 2, 2)
    return x


def mobilenet_v2(stack: Stack) -> Activation:
    """Sandler et al., CVPR 2018, table 2."""
    x = stack.conv(stack.input, 32, 3, 2)
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
    return stack.conv(stack.mean(stack.conv(x, 1280, 1)), 1000, 1)


NETWORKS: dict[str, Callable[[Stack], Activation]] = {
    "resnet18": lambda stack: resnet(stack, (2, 2, 2, 2), False),
    "mobilenetv2": mobilenet_v2,
    "squeezenet": squeezenet,
    "resnet50": lambda stack: resnet(stack, (3, 4, 6, 3), True),
    "vgg19": vgg19_convolutions,
}
"""SqueezeNet is version 1.1; VGG-19 is its convolutions and poolings alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledNetwork:
    """A network as one job with its input and output tensors."""

    job: Job
    macs: int
    input: Activation
    output: Activation


def compile_network(name: str, array: ArrayConfig, dram: Dram) -> CompiledNetwork:
    """Return a network of `NETWORKS` compiled for a configuration and a memory."""
    stack = Stack(array, dram)
    return finish(stack, NETWORKS[name](stack))


def finish(stack: Stack, output: Activation) -> CompiledNetwork:
    """Return the network that stands in ``stack`` and ends in ``output``."""
    return CompiledNetwork(
        job=stack.builder.finish(), macs=stack.macs, input=stack.input, output=output
    )


def main() -> None:
    """Print multiply-accumulates, commands and window bytes of each network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", default="ultra96")
    array = config(parser.parse_args().config)
    dram = Dram(bytes_per_cycle=14.2, latency_cycles=120)
    for name in NETWORKS:
        network = compile_network(name, array, dram)
        print(name, network.macs, len(network.job.commands), network.job.memory.size)


if __name__ == "__main__":
    main()
