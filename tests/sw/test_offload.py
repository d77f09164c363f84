"""What the accelerator takes, as what shape, and why not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from heterolith import hw
from heterolith.errors import InputError
from heterolith.hw.shapes import ConvShape, ElementwiseShape, FullyConnectedShape, PoolShape
from heterolith.sw.network import TensorType
from heterolith.sw.offload import layer_cycles, shape_of, support
from heterolith.sw.onnx_import import load_onnx

from .nets import RELU, one_layer, window

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def weights(*shape):
    """Return zeros of a shape."""
    return np.zeros(shape, np.float32)


CONV = one_layer(
    "Conv",
    [(1, 4, 9, 8)],
    [weights(6, 2, 3, 2), weights(6)],
    {**window((3, 2), (2, 1), (1, 0, 1, 1), (1, 2)), "group": 2},
    activation=RELU,
)
CONV_1D = one_layer(
    "Conv", [(2, 3, 50)], [weights(5, 3, 7)], {**window((7,), (2,), (3, 1)), "group": 1}
)
POOL = {**window((3, 3), (2, 2)), "ceil_mode": 1, "storage_order": 0}
GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}

SUPPORTED = {
    "convolution": (
        CONV,
        ConvShape(
            in_channels=4,
            out_channels=6,
            height=9,
            width=8,
            kernel=(3, 2),
            stride=(2, 1),
            pads=(1, 0, 1, 1),
            dilation=(1, 2),
            groups=2,
        ),
    ),
    "1-D convolution": (
        CONV_1D,
        ConvShape(
            batch=2,
            in_channels=3,
            out_channels=5,
            height=1,
            width=50,
            kernel=(1, 7),
            stride=(1, 2),
            pads=(0, 3, 0, 1),
        ),
    ),
    "gemm": (
        one_layer("Gemm", [(2, 8)], [weights(5, 8), weights(5)], GEMM),
        FullyConnectedShape(rows=2, in_features=8, out_features=5),
    ),
    "gemm, weights not transposed": (
        one_layer("Gemm", [(2, 8)], [weights(8, 5)], {**GEMM, "transB": 0}),
        FullyConnectedShape(rows=2, in_features=8, out_features=5),
    ),
    "batched matmul": (
        one_layer("MatMul", [(2, 3, 8)], [weights(8, 5)]),
        FullyConnectedShape(rows=6, in_features=8, out_features=5),
    ),
    "max pool, rounded up": (
        one_layer("MaxPool", [(1, 4, 8, 7)], (), POOL),
        PoolShape(
            kind="max",
            channels=4,
            height=8,
            width=7,
            kernel=(3, 3),
            stride=(2, 2),
            pads=(0, 0, 1, 0),
        ),
    ),
    "average pool with counted pads": (
        one_layer(
            "AveragePool",
            [(1, 4, 8, 8)],
            (),
            {**window((3, 3), (1, 1), (1, 1, 1, 1)), "ceil_mode": 0, "count_include_pad": 1},
        ),
        PoolShape(
            kind="average",
            channels=4,
            height=8,
            width=8,
            kernel=(3, 3),
            pads=(1, 1, 1, 1),
            count_pads=True,
        ),
    ),
    "1-D max pool": (
        one_layer("MaxPool", [(1, 4, 8)], (), {**window((2,), (2,)), "ceil_mode": 0}),
        PoolShape(kind="max", channels=4, height=1, width=8, kernel=(1, 2), stride=(1, 2)),
    ),
    "global average": (
        one_layer("GlobalAveragePool", [(1, 4, 6, 5)]),
        PoolShape(kind="average", channels=4, height=6, width=5, kernel=(6, 5)),
    ),
    "add": (
        one_layer("Add", [(1, 4, 6, 5)] * 2, activation=RELU),
        ElementwiseShape(kind="add", elements=120),
    ),
    "relu": (
        one_layer("Relu", [(1, 4, 6)]),
        ElementwiseShape(kind="requantize", elements=24),
    ),
    "clip": (
        one_layer("Clip", [(1, 4)], [np.float32(0), np.float32(6)]),
        ElementwiseShape(kind="requantize", elements=4),
    ),
    "concat": (
        one_layer("Concat", [(1, 4, 6), (1, 2, 6)], (), {"axis": -2}),
        ElementwiseShape(kind="copy", elements=36),
    ),
    "reshape": (
        one_layer("Reshape", [(1, 4, 6)], [np.array([1, 24])], {"allowzero": 0}),
        ElementwiseShape(kind="copy", elements=0),
    ),
}


@pytest.mark.parametrize("case", SUPPORTED)
def test_supported_layer_has_its_shape(case):
    """Each supported operator maps onto the accelerator's shape, with no reason against it."""
    network, shape = SUPPORTED[case]
    layer = network.layers[0]
    assert support(network, layer) == ""
    assert shape_of(network, layer) == shape


@pytest.mark.parametrize("case", SUPPORTED)
def test_cycles_are_those_of_the_shape(case):
    """Modelled cycles are those of the shape; a view takes none."""
    network, shape = SUPPORTED[case]
    cycles = layer_cycles(network, network.layers[0], hw.config("ultra96"), 4.0)
    if case == "reshape":
        assert cycles.total == 0
    else:
        assert cycles == hw.shape_cycles(shape, hw.config("ultra96"), 4.0)


def test_residual_is_loaded_too():
    """A fused residual adds a word of 16 channels per row and the command that loads them."""
    plain = one_layer("Gemm", [(4, 8)], [weights(5, 8)], GEMM)
    joined = one_layer("Gemm", [(4, 8)], [weights(5, 8)], GEMM, residual=(4, 5))
    loads = [
        layer_cycles(network, network.layers[0], hw.config("ultra96"), 4.0).load_bytes
        for network in (plain, joined)
    ]
    assert loads[1] == loads[0] + 4 * 16 + 64


REFUSED = {
    "operator": (one_layer("Sigmoid", [(1, 4)]), "no Sigmoid"),
    "3-D convolution": (
        one_layer(
            "Conv", [(1, 2, 4, 4, 4)], [weights(2, 2, 1, 1, 1)], {**window((1,) * 3), "group": 1}
        ),
        "rank 5",
    ),
    "large kernel": (
        one_layer(
            "Conv", [(1, 2, 20, 20)], [weights(2, 2, 1, 12)], {**window((1, 12)), "group": 1}
        ),
        "kernel is 12",
    ),
    "weights computed at run time": (one_layer("MatMul", [(4, 8), (8, 5)]), "run time"),
    "transposed input": (
        one_layer("Gemm", [(8, 2)], [weights(5, 8)], {**GEMM, "transA": 1}),
        "transA",
    ),
    "bias per row": (
        one_layer("Gemm", [(2, 8)], [weights(5, 8), weights(2, 5)], GEMM),
        "per channel",
    ),
    "dilated pool": (
        one_layer(
            "MaxPool", [(1, 2, 9, 9)], (), {**window((2, 2), dilation=(2, 2)), "ceil_mode": 0}
        ),
        "dilated",
    ),
    "mixed windows": (
        one_layer(
            "AveragePool",
            [(1, 2, 8, 8)],
            (),
            {**window((3, 3), (2, 2)), "ceil_mode": 1, "count_include_pad": 1},
        ),
        "mixed sizes",
    ),
    "broadcast add": (one_layer("Add", [(1, 4, 6), (1, 4, 1)]), "adds equal ones"),
    "add of a constant": (one_layer("Add", [(1, 4)], [weights(1, 4)]), "constant"),
    "concat of pixels": (one_layer("Concat", [(1, 4, 6)] * 2, (), {"axis": 2}), "channels"),
    "pool with activation": (
        one_layer("GlobalMaxPool", [(1, 4, 6, 5)], activation=RELU),
        "activation",
    ),
    "residual of another shape": (
        replace(
            CONV,
            layers=(replace(CONV.layers[0], residual="x0"),),
        ),
        "residual has shape",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusal_says_why(case):
    """Each unsupported form has a reason, and no shape."""
    network, word = REFUSED[case]
    layer = network.layers[0]
    assert word in support(network, layer)
    with pytest.raises(InputError, match="layer 'layer'"):
        shape_of(network, layer)


def test_other_dtypes_are_refused():
    """Only float32 activations have int8 codes."""
    network = one_layer("Relu", [(1, 4)])
    doubles = {name: TensorType(kind.shape, "float64") for name, kind in network.tensors.items()}
    assert "float64" in support(replace(network, tensors=doubles), network.layers[0])


@pytest.mark.parametrize("name", ["squeezenet", "resnet50", "shufflenet"])
def test_real_networks_agree_on_macs_and_bytes(name):
    """On published networks MACs and output sizes are the importer's own."""
    network = load_onnx(LIGHT / f"light_{name}.onnx")
    refused = {layer.op for layer in network.layers if support(network, layer)}
    assert refused <= {"Softmax", "Transpose"}
    for layer in network.layers:
        if layer.op in refused:
            continue
        shape = shape_of(network, layer)
        if isinstance(shape, (ConvShape, FullyConnectedShape)):
            assert shape.macs == layer.macs
            assert shape.output_bytes == network.tensors[layer.outputs[0]].elements
