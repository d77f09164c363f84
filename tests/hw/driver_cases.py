"""Jobs for the tests of the driver; needs numpy alone, so that it runs where PYNQ does."""

from dataclasses import dataclass

import numpy as np

from heterolith.hw import golden
from heterolith.hw.compiler.job import Activation, Job, JobBuilder
from heterolith.hw.compiler.mapping import convolution
from heterolith.hw.config import ArrayConfig
from heterolith.hw.fixed import Output, Scaling
from heterolith.hw.golden import LinearParameters
from heterolith.hw.shapes import ConvShape

TINY = ArrayConfig(
    name="tiny",
    n_pe=8,
    pixels=2,
    lanes=8,
    requantizers=8,
    weight_buffer_bytes=32 * 1024,
    activation_buffer_bytes=8 * 1024,
    accumulator_buffer_bytes=32 * 1024,
)
"""The smallest buffers a configuration may have."""


@dataclass(frozen=True)
class Case:
    """A chain of convolutions as one job, and what the golden model makes of inputs."""

    job: Job
    source: Activation
    target: Activation
    layers: tuple

    def golden(self, codes):
        """Return the codes of the last layer."""
        for shape, parameters in self.layers:
            codes = golden.conv2d(codes, parameters, shape)
        return codes


def span(tensor):
    """Return the bytes of a tensor."""
    return slice(tensor.first.offset, tensor.first.offset + tensor.bytes)


def parameters(rng, shape):
    """Return random parameters whose results spread over the codes."""
    return LinearParameters(
        weights=rng.integers(-128, 128, shape.weight_shape).astype(np.int8),
        bias=rng.integers(-1000, 1000, shape.out_channels).astype(np.int32),
        scaling=Scaling(
            multiplier=np.full(shape.out_channels, 40000, np.uint16),
            shift=np.full(shape.out_channels, 25, np.uint8),
        ),
        output=Output(zero_point=3),
        pad_value=0,
    )


def chain(config, layers=2, channels=24, side=9, fuse=False):
    """Return a `Case` of 3 x 3 convolutions named ``conv0``, ``conv1``, ..."""
    rng = np.random.default_rng(layers * channels + side)
    shape = ConvShape(
        in_channels=channels,
        out_channels=channels,
        height=side,
        width=side,
        kernel=(3, 3),
        pads=(1, 1, 1, 1),
    )
    builder = JobBuilder(config)
    tensors, done = [builder.tensor(shape.input_shape)], []
    for index in range(layers):
        p = parameters(rng, shape)
        tensors.append(builder.tensor(shape.output_shape))
        mapping = convolution(shape, p, builder.geometry, False)
        builder.layer(mapping, tensors[-2], tensors[-1], name=f"conv{index}")
        done.append((shape, p))
    return Case(builder.finish(fuse=fuse), tensors[0], tensors[-1], tuple(done))


def codes(case, seed=0):
    """Return random input codes."""
    return np.random.default_rng(seed).integers(-128, 128, case.source.shape).astype(np.int8)


def run(case, placed, x):
    """Run a placed case on codes; returns the codes of its last layer."""
    case.source.write(placed.memory, x)
    placed.run([span(case.source)], [span(case.target)])
    return case.target.read(placed.memory)
