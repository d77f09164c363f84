"""Random shapes and parameters of the accelerator's operations for property tests."""

import numpy as np
from hypothesis import strategies as st

from heterolith.hw.fixed import Output, Residual, Scaling
from heterolith.hw.golden import LinearParameters
from heterolith.hw.shapes import ConvShape, PoolShape


@st.composite
def conv_shapes(draw, depthwise=False):
    """Draw a convolution of any kernel 1..11, stride, padding, dilation and grouping."""
    groups = draw(st.integers(2 if depthwise else 1, 4))
    per_group = 1 if depthwise else draw(st.integers(1, 5))
    kernel = draw(st.tuples(st.integers(1, 11), st.integers(1, 11)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    pads = draw(st.tuples(*[st.integers(0, 4)] * 4))
    size = [
        max(1, (kernel[i] - 1) * dilation[i] + 1 - pads[i] - pads[i + 2]) + draw(st.integers(0, 9))
        for i in (0, 1)
    ]
    return ConvShape(
        batch=draw(st.integers(1, 2)),
        in_channels=groups * per_group,
        out_channels=groups * draw(st.integers(1, 4)),
        height=size[0],
        width=size[1],
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
        pads=pads,
        dilation=dilation,
        groups=groups,
    )


@st.composite
def pool_shapes(draw, kind):
    """Draw a pooling whose pads stay below its kernel."""
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    pads = tuple(draw(st.integers(0, kernel[i % 2] - 1)) for i in range(4))
    size = [max(1, kernel[i] - pads[i] - pads[i + 2]) + draw(st.integers(0, 8)) for i in (0, 1)]
    return PoolShape(
        kind=kind,
        batch=draw(st.integers(1, 2)),
        channels=draw(st.integers(1, 4)),
        height=size[0],
        width=size[1],
        kernel=kernel,
        stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        pads=pads,
        count_pads=draw(st.booleans()),
    )


def codes(rng, shape, extreme=False):
    """Return random int8 codes, or only the lowest and highest."""
    if extreme:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return rng.integers(-128, 128, shape).astype(np.int8)


def scalings(rng, shape=()):
    """Return random rescalings whose results spread over the codes and past them."""
    multiplier = rng.integers(2**15, 2**16, shape).astype(np.uint16)
    return Scaling(multiplier=multiplier, shift=rng.integers(18, 30, shape).astype(np.uint8))


def parameters(rng, shape, *, extreme=False, residual=False):
    """Return random parameters of a convolution."""
    low = int(rng.integers(-128, 0))
    other = Residual(scaling=scalings(rng), zero_point=int(rng.integers(-128, 128)))
    return LinearParameters(
        weights=codes(rng, shape.weight_shape, extreme),
        bias=rng.integers(-(2**20), 2**20, shape.out_channels).astype(np.int32),
        scaling=scalings(rng, shape.out_channels),
        output=Output(zero_point=int(rng.integers(-128, 128)), low=low),
        pad_value=int(rng.integers(-128, 128)),
        residual=other if residual else None,
    )
