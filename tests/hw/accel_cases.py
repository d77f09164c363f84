"""Random layers of every kind for the accelerator, with their golden results."""

from functools import cache

import numpy as np
from hypothesis import strategies as st

from heterolith.hw import golden
from heterolith.hw.compiler.single import ElementwiseParameters
from heterolith.hw.config import CONFIGS, ArrayConfig
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.fixed import Output, Residual
from heterolith.hw.shapes import ConvShape, ElementwiseShape, FullyConnectedShape, PoolShape

from .cases import codes, conv_shapes, parameters, pool_shapes, scalings

KINDS = ("dense", "any", "depthwise", "image", "fully_connected", "max", "average", "global")
KINDS += ("add", "requantize")

SMALL = ArrayConfig(
    name="small",
    n_pe=8,
    pixels=2,
    lanes=8,
    requantizers=8,
    weight_buffer_bytes=32 * 1024,
    activation_buffer_bytes=8 * 1024,
    accumulator_buffer_bytes=32 * 1024,
)
"""The smallest buffers a configuration may have: layers of a few kB are split."""

TESTED = {"small": SMALL, "ultra96": CONFIGS["ultra96"], "zcu104": CONFIGS["zcu104"]}
"""Both lane widths, one and two sub-blocks, two and four pixels."""


@cache
def device(name):
    """Return the functional device of a tested configuration."""
    return FunctionalDevice(TESTED[name])


@st.composite
def dense_shapes(draw):
    """Draw a convolution with enough channels for several blocks, groups and splits."""
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (5, 1), (1, 7), (2, 4)]))
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    size = [kernel[i] + draw(st.integers(0, 14)) for i in (0, 1)]
    return ConvShape(
        in_channels=groups * draw(st.sampled_from([1, 8, 16, 24, 40, 64, 130])),
        out_channels=groups * draw(st.sampled_from([1, 8, 16, 33, 64, 96])),
        height=size[0],
        width=size[1],
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 2), st.integers(1, 3))),
        pads=draw(st.tuples(*[st.integers(0, 2)] * 4)),
        groups=groups,
    )


@st.composite
def depthwise_shapes(draw):
    """Draw a depthwise convolution without channel multiplier, several blocks wide."""
    kernel = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    channels = draw(st.sampled_from([2, 8, 16, 20, 48, 70]))
    return ConvShape(
        in_channels=channels,
        out_channels=channels,
        height=kernel[0] + draw(st.integers(0, 20)),
        width=kernel[1] + draw(st.integers(0, 20)),
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 6))),
        pads=draw(st.tuples(*[st.integers(0, 3)] * 4)),
        groups=channels,
    )


@st.composite
def image_shapes(draw):
    """Draw a first layer: at most 4 channels, read in the image layout."""
    kernel = draw(st.tuples(st.integers(1, 11), st.integers(1, 11)))
    return ConvShape(
        in_channels=draw(st.integers(1, 4)),
        out_channels=draw(st.sampled_from([1, 16, 40])),
        height=2 * kernel[0] + draw(st.integers(0, 30)),
        width=kernel[1] + draw(st.integers(0, 60)),
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
        pads=draw(st.tuples(*[st.integers(0, 5)] * 4)),
        dilation=(draw(st.integers(1, 2)), 1),
    )


@st.composite
def global_shapes(draw):
    """Draw a global pooling, its sides up to a few hundred."""
    size = (draw(st.integers(1, 20)), draw(st.sampled_from([1, 7, 13, 64, 300])))
    return PoolShape(
        kind=draw(st.sampled_from(["max", "average"])),
        channels=draw(st.integers(1, 40)),
        height=size[0],
        width=size[1],
        kernel=size,
    )


@st.composite
def layers(draw):
    """Draw (shape, seed, extreme codes, residual) of any kind the accelerator takes."""
    kind = draw(st.sampled_from(KINDS))
    shapes = {
        "dense": dense_shapes(),
        "any": conv_shapes(depthwise=draw(st.booleans())),
        "depthwise": depthwise_shapes(),
        "image": image_shapes(),
        "max": pool_shapes("max"),
        "average": pool_shapes("average"),
        "global": global_shapes(),
        "fully_connected": st.builds(
            FullyConnectedShape,
            rows=st.integers(1, 40),
            in_features=st.sampled_from([1, 17, 300, 2000]),
            out_features=st.sampled_from([1, 10, 70]),
        ),
        "add": st.builds(ElementwiseShape, kind=st.just("add"), elements=st.integers(1, 40000)),
        "requantize": st.builds(
            ElementwiseShape, kind=st.just("requantize"), elements=st.integers(1, 40000)
        ),
    }
    seed = draw(st.integers(0, 2**32 - 1))
    return draw(shapes[kind]), seed, draw(st.booleans()), draw(st.booleans())


def linear(rng, shape, extreme, residual):
    """Return parameters and inputs of a convolution or fully connected layer."""
    if isinstance(shape, ConvShape):
        as_conv, inputs, outputs = shape, shape.input_shape, shape.output_shape
    else:
        as_conv = ConvShape(
            in_channels=shape.in_features,
            out_channels=shape.out_features,
            height=1,
            width=shape.rows,
            kernel=(1, 1),
        )
        inputs, outputs = (shape.rows, shape.in_features), (shape.rows, shape.out_features)
    p = parameters(rng, as_conv, extreme=extreme, residual=residual)
    arrays = (codes(rng, inputs, extreme),)
    return p, (*arrays, codes(rng, outputs)) if residual else arrays


def case(layer):
    """Return (shape, parameters, input arrays, golden result) of a drawn layer."""
    shape, seed, extreme, residual = layer
    rng = np.random.default_rng(seed)
    if isinstance(shape, ConvShape):
        p, arrays = linear(rng, shape, extreme, residual)
        return shape, p, arrays, golden.conv2d(arrays[0], p, shape, *arrays[1:])
    if isinstance(shape, FullyConnectedShape):
        p, arrays = linear(rng, shape, extreme, residual)
        p = _flat(p)
        return shape, p, arrays, golden.fully_connected(arrays[0], p, *arrays[1:])
    if isinstance(shape, PoolShape):
        x = codes(rng, shape.input_shape, extreme)
        if shape.kind == "max":
            return shape, None, (x,), golden.max_pool(x, shape)
        zero = int(rng.integers(-128, 128))
        p = golden.average_parameters(shape, 1.3, zero, Output(zero_point=3, low=-100))
        return shape, p, (x,), golden.average_pool(x, p, shape)
    return _elementwise(rng, shape, extreme)


def _flat(p):
    weights = p.weights.reshape(p.weights.shape[:2])
    return type(p)(
        weights=weights,
        bias=p.bias,
        scaling=p.scaling,
        output=p.output,
        pad_value=p.pad_value,
        residual=p.residual,
    )


def _elementwise(rng, shape, extreme):
    operands = [
        Residual(scaling=scalings(rng), zero_point=int(rng.integers(-128, 128))) for _ in range(2)
    ]
    output = Output(zero_point=int(rng.integers(-50, 50)), high=100)
    arrays = tuple(codes(rng, shape.elements, extreme) for _ in range(2))
    if shape.kind == "requantize":
        p = ElementwiseParameters(first=operands[0], second=None, output=output)
        return shape, p, arrays[:1], golden.rescale(arrays[0], operands[0], output)
    p = ElementwiseParameters(first=operands[0], second=operands[1], output=output)
    return shape, p, arrays, golden.add(arrays, tuple(operands), output)
