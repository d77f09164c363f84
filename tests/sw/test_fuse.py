"""Fusion changes which layers there are, never what they compute."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.execute import execute
from heterolith.sw.network import Activation
from heterolith.sw.onnx_import import from_model

from .onnx_models import accounted, build, chain, node, onnxruntime_outputs, random_inputs

SHAPE = (1, 4, 5, 5)
RNG = np.random.default_rng(11)
CHANNEL = (4, 1, 1)
CONSTANTS = {
    "w": RNG.standard_normal((4, 4, 3, 3)) / 4,
    "w1": RNG.standard_normal((4, 4, 1, 1)) / 2,
    "wt": RNG.standard_normal((4, 2, 3, 3)) / 3,
    "bias": RNG.standard_normal(4),
    "gamma": RNG.uniform(0.5, 1.5, 4),
    "beta": RNG.standard_normal(4),
    "mean": RNG.standard_normal(4),
    "var": RNG.uniform(0.5, 1.5, 4),
    "s": RNG.uniform(0.5, 1.5, CHANNEL),
    "t": RNG.standard_normal(CHANNEL),
    "one": np.float32(0.75),
    "low": np.float32(-0.5),
    "high": np.float32(1.0),
}
SAME = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
# One tensor to one of the same shape.
STEPS = [
    ("Conv", ["?", "w"], SAME),
    ("Conv", ["?", "w1", "bias"], {}),
    ("ConvTranspose", ["?", "wt", "bias"], {"pads": [1, 1, 1, 1], "group": 2}),
    ("BatchNormalization", ["?", "gamma", "beta", "mean", "var"], {"epsilon": 1e-3}),
    ("Mul", ["?", "s"], {}),
    ("Mul", ["one", "?"], {}),
    ("Add", ["?", "t"], {}),
    ("Sub", ["?", "t"], {}),
    ("Sub", ["t", "?"], {}),
    ("Div", ["?", "s"], {}),
    ("Relu", ["?"], {}),
    ("Clip", ["?", "low", "high"], {}),
    ("Clip", ["?", "", "high"], {}),
    ("MaxPool", ["?"], {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
]


def used(model):
    """Return the model without the constants it does not read."""
    read = {name for entry in model.graph.node for name in entry.input}
    for at in reversed(range(len(model.graph.initializer))):
        if model.graph.initializer[at].name not in read:
            del model.graph.initializer[at]
    return model


def fused(*steps, outputs=("y",), inputs=None, constants=CONSTANTS):
    """Import a model, check that fusion changes no result, and return the network."""
    model = used(chain(*steps, inputs=inputs or {"x": SHAPE}, outputs=outputs, constants=constants))
    return checked(model)


def checked(model):
    """Return the fused network after comparing it with the unfused one and ONNX Runtime."""
    network, plain = from_model(model, "fused"), from_model(model, "plain", fused=False)
    assert sorted(accounted(network)) == sorted(accounted(plain))
    inputs = random_inputs(model)
    expected = onnxruntime_outputs(model, inputs)
    results, unfused = execute(network, inputs), execute(plain, inputs)
    for name, reference in zip(network.outputs, expected, strict=True):
        scale = max(np.abs(reference).max(), 1.0)
        np.testing.assert_allclose(unfused[name], reference, atol=1e-5 * scale, rtol=0)
        np.testing.assert_allclose(results[name], reference, atol=1e-5 * scale, rtol=0)
        assert network.tensors[name].shape == reference.shape
    return network


@st.composite
def graphs(draw):
    """Draw a model whose nodes each read any earlier tensor; one or two tensors are outputs."""
    tensors, nodes = ["x"], []
    for at in range(draw(st.integers(1, 9))):
        recent = st.sampled_from(tensors[-2:] if draw(st.integers(0, 2)) else tensors)
        if draw(st.integers(0, 3)):
            op, inputs, attributes = draw(st.sampled_from(STEPS))
            names = [draw(recent) if name == "?" else name for name in inputs]
        else:
            op, names, attributes = draw(st.sampled_from(["Add", "Sum"])), [], {}
            names = [draw(st.sampled_from(tensors)), draw(recent)]
        tensors.append(f"t{at}")
        nodes.append(node(op, names, [f"t{at}"], name=f"n{at}", **attributes))
    outputs = {tensors[-1], draw(st.sampled_from(tensors[1:]))}
    return used(build(nodes, {"x": SHAPE}, sorted(outputs), CONSTANTS, 13))


@settings(deadline=None, max_examples=150)
@given(graphs())
def test_any_graph_computes_the_same(model):
    """Fused, unfused and ONNX Runtime agree, and every node is accounted for, on any graph."""
    network = checked(model)
    assert "BatchNormalization" not in {layer.op for layer in network.layers}


def test_whole_chain_is_one_layer():
    """Convolution, batch normalization, scale, shift, residual and Relu become one layer."""
    network = fused(
        ("Conv", ["x", "w"], ["c"], {**SAME, "name": "conv"}),
        ("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"], {"name": "norm"}),
        ("Mul", ["n", "s"], ["p"], {"name": "scale"}),
        ("Add", ["t", "p"], ["q"], {"name": "shift"}),
        ("Add", ["x", "q"], ["r"], {"name": "skip"}),
        ("Relu", ["r"], ["y"], {"name": "act"}),
    )
    (layer,) = network.layers
    assert (layer.name, layer.op, layer.residual) == ("conv", "Conv", "x")
    assert layer.activation == Activation(0, math.inf)
    assert layer.nodes == ("conv", "norm", "scale", "shift", "skip", "act")
    assert layer.inputs[0] == "x"
    assert len(layer.inputs) == 3
    assert layer.macs == 25 * 4 * 36
    assert network.tensors.keys() == {"x", "y"}
    assert network.constants.keys() == set(layer.inputs[1:])


@pytest.mark.parametrize("shape", [(2, 4, 7), (1, 4, 5, 5), (1, 4, 3, 2, 2)])
def test_lone_batch_normalization_is_a_depthwise_convolution(shape):
    """Batch normalization, shift and Relu behind a pool become one 1x1 layer, in any dimension."""
    places = len(shape) - 2
    constants = {**CONSTANTS, "t": RNG.standard_normal((4,) + (1,) * places)}
    network = fused(
        ("GlobalMaxPool", ["x"], ["p"], {}),
        ("Add", ["p", "x"], ["a"], {}),
        ("BatchNormalization", ["a", "gamma", "beta", "mean", "var"], ["n"], {"name": "norm"}),
        ("Add", ["n", "t"], ["q"], {}),
        ("Relu", ["q"], ["y"], {}),
        inputs={"x": shape},
        constants=constants,
    )
    layer = network.layers[-1]
    assert (layer.name, layer.op, layer.attributes["group"]) == ("norm", "Conv", 4)
    assert network.constants[layer.inputs[1]].shape == (4, 1) + (1,) * places
    assert layer.activation == Activation()
    assert layer.macs == math.prod(shape)


def test_batch_normalization_of_a_matrix_stays():
    """Without pixels there is no convolution to make."""
    network = fused(
        ("Sigmoid", ["x"], ["r"], {}),
        ("BatchNormalization", ["r", "gamma", "beta", "mean", "var"], ["y"], {}),
        inputs={"x": (3, 4)},
    )
    assert [layer.op for layer in network.layers] == ["Sigmoid", "BatchNormalization"]


@pytest.mark.parametrize("outputs", [("y",), ("y", "c")])
def test_tensor_with_another_reader_stays(outputs):
    """A tensor that another layer reads, or that is a network output, does not disappear."""
    steps = [("Conv", ["x", "w"], ["c"], SAME), ("Relu", ["c"], ["y"], {})]
    if outputs == ("y",):
        steps[1] = ("Relu", ["c"], ["r"], {})
        steps.append(("Concat", ["r", "c"], ["y"], {"axis": 1}))
    network = fused(*steps, outputs=outputs)
    assert network.layers[0].activation is None
    assert "c" in network.tensors


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_residual_goes_to_the_later_layer(order):
    """Of two convolutions that are added, the later one takes the other's result."""
    network = fused(
        ("Conv", ["x", "w"], ["a"], {**SAME, "name": "first"}),
        ("Conv", ["x", "w1"], ["b"], {"name": "second"}),
        ("Add", order, ["y"], {}),
    )
    assert [(layer.name, layer.residual) for layer in network.layers] == [
        ("first", ""),
        ("second", "a"),
    ]


def test_residual_that_is_ready_later_moves_the_layer():
    """A convolution waits for a residual that is computed after it."""
    network = fused(
        ("Conv", ["x", "w"], ["a"], {**SAME, "name": "conv"}),
        ("Sigmoid", ["x"], ["b"], {"name": "other"}),
        ("Sum", ["a", "b"], ["y"], {}),
    )
    assert [(layer.name, layer.residual) for layer in network.layers] == [
        ("other", ""),
        ("conv", "b"),
    ]


def test_what_is_no_residual():
    """A tensor added to itself, a broadcast one, and sums of three stay layers."""
    network = fused(
        ("Conv", ["x", "w"], ["a"], SAME),
        ("Add", ["a", "a"], ["d"], {}),
        ("Conv", ["d", "w1"], ["e"], {}),
        ("GlobalAveragePool", ["x"], ["p"], {}),
        ("Add", ["e", "p"], ["f"], {}),
        ("Sum", ["f", "x", "d"], ["y"], {}),
    )
    ops = [layer.op for layer in network.layers]
    assert ops == ["Conv", "Add", "Conv", "GlobalAveragePool", "Add", "Sum"]
    assert not any(layer.residual for layer in network.layers)


def test_clamps_compose():
    """A clip after a Relu leaves the clamp of both."""
    network = fused(
        ("Conv", ["x", "w1"], ["a"], {}),
        ("Relu", ["a"], ["b"], {}),
        ("Clip", ["b", "low", "high"], ["y"], {}),
    )
    assert network.layers[0].activation == Activation(0.0, 1.0)


@pytest.mark.parametrize("bounds", [["high", "low"], ["b0", ""]])
def test_odd_clips_stay(bounds):
    """A clip with crossed bounds, or with bounds that are computed, is no activation."""
    network = fused(
        ("ReduceMin", ["x"], ["b0"], {"keepdims": 0}),
        ("Conv", ["x", "w1"], ["a"], {}),
        ("Clip", ["a", *bounds], ["y"], {}),
    )
    assert network.layers[-1].op == "Clip"


def test_activation_of_other_layers():
    """Addition and matrix product take an activation, pools and concatenations do not."""
    network = fused(
        ("Add", ["x", "z"], ["a"], {}),
        ("Relu", ["a"], ["b"], {}),
        ("MatMul", ["b", "b"], ["c"], {}),
        ("Relu", ["c"], ["d"], {}),
        ("MaxPool", ["d"], ["e"], {"kernel_shape": [2, 2]}),
        ("Relu", ["e"], ["y"], {}),
        inputs={"x": SHAPE, "z": SHAPE},
    )
    found = [(layer.op, layer.activation is not None) for layer in network.layers]
    assert found == [("Add", True), ("MatMul", True), ("MaxPool", False), ("Relu", False)]


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_takes_bias_and_scale(transposed):
    """A gemm absorbs batch normalization whatever its factors and the order of its weights."""
    weights = RNG.standard_normal((4, 6) if transposed else (6, 4))
    factors = {"transB": transposed, "alpha": 0.5, "beta": 2.0}
    network = fused(
        ("Gemm", ["x", "k", "bias"], ["a"], factors),
        ("BatchNormalization", ["a", "gamma", "beta", "mean", "var"], ["c"], {}),
        ("Relu", ["c"], ["y"], {}),
        inputs={"x": (3, 6)},
        constants={**CONSTANTS, "k": weights},
    )
    (layer,) = network.layers
    assert layer.op == "Gemm"
    assert layer.attributes == {"alpha": 0.5, "beta": 1.0, "transA": 0, "transB": transposed}


@pytest.mark.parametrize(("shape", "op"), [((3, 4), "Gemm"), ((2, 3, 4), "MatMul")])
def test_matrix_product_with_bias(shape, op):
    """A product of matrices and its bias become a gemm; products of stacks stay."""
    network = fused(
        ("MatMul", ["x", "k"], ["a"], {}),
        ("Add", ["bias", "a"], ["c"], {}),
        ("Relu", ["c"], ["y"], {}),
        inputs={"x": shape},
        constants={**CONSTANTS, "k": RNG.standard_normal((4, 4))},
    )
    assert network.layers[0].op == op
    assert network.layers[-1].activation == Activation()
    assert len(network.layers) == (1 if op == "Gemm" else 2)


def test_shared_weights_are_not_changed_for_others():
    """Folding into one of two layers with the same weights leaves the other alone."""
    network = fused(
        ("Conv", ["x", "w1", "bias"], ["a"], {}),
        ("Mul", ["a", "s"], ["b"], {}),
        ("Conv", ["b", "w1", "bias"], ["c"], {}),
        ("Sigmoid", ["c"], ["y"], {}),
    )
    first, second = network.layers[:2]
    assert first.inputs[1] != second.inputs[1] == "w1"
    assert first.inputs[2] != second.inputs[2] == "bias"
    np.testing.assert_array_equal(network.constants["w1"], np.float32(CONSTANTS["w1"]))


def test_variance_that_is_no_variance():
    """A negative variance is refused with its value."""
    constants = {**CONSTANTS, "var": np.array([1, -1, 1, 1.0])}
    steps = [("BatchNormalization", ["x", "gamma", "beta", "mean", "var"], ["y"], {"name": "norm"})]
    model = used(chain(*steps, inputs={"x": SHAPE}, constants=constants))
    with pytest.raises(InputError, match=r"node 'norm' .* variance \+ epsilon = -0.99999, must be"):
        from_model(model, "wrong")


def test_weights_that_overflow():
    """Weights that leave the range of float32 when scaled are refused."""
    constants = {**CONSTANTS, "w1": np.full((4, 4, 1, 1), 1e30), "s": np.full(CHANNEL, 1e30)}
    model = used(
        chain(
            ("Conv", ["x", "w1"], ["a"], {"name": "conv"}),
            ("Mul", ["a", "s"], ["y"], {}),
            inputs={"x": SHAPE},
            constants=constants,
        )
    )
    with pytest.raises(InputError, match=r"weights of node 'conv' .* leave the range of float32"):
        from_model(model, "wrong")
