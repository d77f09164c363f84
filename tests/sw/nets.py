"""Networks of one layer, built without ONNX."""

import numpy as np
from hypothesis import strategies as st

from heterolith.sw.execute import apply
from heterolith.sw.network import Activation, Layer, Network, TensorType

RELU, RELU6 = Activation(0.0), Activation(0.0, 6.0)


def window(kernel, stride=None, pads=None, dilation=None):
    """Return the canonical attributes of a sliding window."""
    axes = len(kernel)
    return {
        "kernel_shape": tuple(kernel),
        "strides": tuple(stride or (1,) * axes),
        "pads": tuple(pads or (0,) * (2 * axes)),
        "dilations": tuple(dilation or (1,) * axes),
    }


def one_layer(op, shapes, constants=(), attributes=None, *, activation=None, residual=None):
    """Return the network of one layer on activations of the given shapes.

    ``constants`` follow the activations among the inputs; ``None`` stands for an absent one.
    ``residual`` is the shape of a second operand.
    """
    inputs = [f"x{index}" for index in range(len(shapes))]
    named = {f"w{i}": value for i, value in enumerate(constants) if value is not None}
    absent = [f"w{i}" if value is not None else "" for i, value in enumerate(constants)]
    tensors = {name: TensorType(tuple(shape)) for name, shape in zip(inputs, shapes, strict=True)}
    if residual is not None:
        tensors["r"] = TensorType(tuple(residual))
    layer = Layer(
        name="layer",
        op=op,
        inputs=(*inputs, *absent),
        outputs=("y",),
        attributes=attributes or {},
        residual="r" if residual is not None else "",
        activation=activation,
    )
    zeros = {name: np.zeros(kind.shape, kind.dtype) for name, kind in tensors.items()}
    result = apply(layer, {**zeros, **named})[0]
    return Network(
        name="one",
        inputs=tuple(tensors),
        outputs=("y",),
        layers=(layer,),
        tensors={**tensors, "y": TensorType(result.shape)},
        constants=named,
    )


def random_inputs(network, rng, spread=1.0):
    """Return standard-normal inputs by name."""
    return {
        name: (spread * rng.standard_normal(network.tensors[name].shape)).astype(np.float32)
        for name in network.inputs
    }


@st.composite
def conv_networks(draw):
    """Draw a convolution in 1-D or 2-D of any grouping with bias, residual and activation."""
    axes = draw(st.integers(1, 2))
    groups = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kernel = [draw(st.integers(1, 4)) for _ in range(axes)]
    dilation = [draw(st.integers(1, 2)) for _ in range(axes)]
    pads = [draw(st.integers(0, 2)) for _ in range(2 * axes)]
    size = [(kernel[i] - 1) * dilation[i] + draw(st.integers(1, 6)) for i in range(axes)]
    inputs = draw(st.integers(1, 6))
    channels = groups * draw(st.integers(1, 4))
    weights = rng.normal(0, 1, (channels, inputs, *kernel)).astype(np.float32)
    weights *= rng.uniform(0.01, 3, (channels, *(1,) * (axes + 1))).astype(np.float32)
    bias = rng.normal(0, 1, channels).astype(np.float32) if draw(st.booleans()) else None
    stride = [draw(st.integers(1, 2)) for _ in range(axes)]
    attributes = {**window(kernel, stride, pads, dilation), "group": groups}
    shapes = [(draw(st.integers(1, 2)), groups * inputs, *size)]
    activation = draw(st.sampled_from([None, RELU, RELU6, Activation(-0.7, 0.9)]))
    network = one_layer("Conv", shapes, [weights, bias], attributes, activation=activation)
    if draw(st.booleans()):
        out = network.tensors["y"].shape
        network = one_layer(
            "Conv", shapes, [weights, bias], attributes, activation=activation, residual=out
        )
    return network, rng
