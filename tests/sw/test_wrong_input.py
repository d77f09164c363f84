"""Wrong input: every model is refused by name, or computed as ONNX Runtime computes it."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from heterolith.errors import InputError
from heterolith.sw.execute import execute
from heterolith.sw.fast import CompiledNetwork, Options
from heterolith.sw.network import Layer, Network, TensorType
from heterolith.sw.onnx_import import from_model
from heterolith.sw.workers.cpu import CpuWorker

from .drawn import DRAWN


def normal(*shape):
    """Return a standard normal float32 array."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def codes(*shape):
    """Return random int8 codes."""
    return np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)


def int32(*values):
    """Return an int32 vector."""
    return np.array(values, np.int32)


X, W, T = normal(1, 2, 7, 6), normal(3, 2, 3, 3), normal(2, 3, 3, 3)
K3, ZERO = {"kernel_shape": (3, 3)}, np.array(0, np.int8)
ONE, MOST = np.array(1, np.float32), 2**31 - 1

REFUSED = {
    "strides of 0": ("MaxPool", {**K3, "strides": (0, 1)}, [X]),
    "negative strides": ("MaxPool", {**K3, "strides": (-1, 1)}, [X]),
    "dilations of 0": ("AveragePool", {**K3, "dilations": (0, 1)}, [X]),
    "negative pads": ("MaxPool", {**K3, "pads": (-1, 0, 0, 0)}, [X]),
    "a kernel of 0": ("MaxPool", {"kernel_shape": (0, 3)}, [X]),
    "maxima of padding alone": ("MaxPool", {**K3, "pads": (3, 0, 0, 0)}, [X]),
    "means of padding alone": ("AveragePool", {**K3, "pads": (0, 0, 0, 3)}, [X]),
    "an unknown storage order": ("MaxPool", {**K3, "storage_order": 2}, [X]),
    "a window larger than its input": ("MaxPool", {"kernel_shape": (8, 3)}, [X]),
    "a window of too few axes": ("MaxPool", {"kernel_shape": (3,)}, [X]),
    "conv strides of 0": ("Conv", {"strides": (0, 1)}, [X, W]),
    "conv dilations of 0": ("Conv", {"dilations": (0, 1)}, [X, W]),
    "negative conv pads": ("Conv", {"pads": (-1, 0, 0, 0)}, [X, W]),
    "no groups": ("Conv", {"group": 0}, [X, W]),
    "negative groups": ("Conv", {"group": -1}, [X, W]),
    "groups that do not fit": ("Conv", {"group": 2}, [X, W]),
    "another kernel shape": ("Conv", {"kernel_shape": (3, 2)}, [X, W]),
    "a bias of another length": ("Conv", {}, [X, W, normal(4)]),
    "weights of another dtype": ("Conv", {}, [X, W.astype(np.float64)]),
    "rounding up of a convolution": ("Conv", {"ceil_mode": 1}, [X, W]),
    "output padding beyond the stride": ("ConvTranspose", {"output_padding": (5, 5)}, [X, T]),
    "negative output padding": ("ConvTranspose", {"output_padding": (-1, 0)}, [X, T]),
    "transposed pads that leave nothing": ("ConvTranspose", {"pads": (9, 9, 9, 9)}, [X, T]),
    "LRN of no channels": ("LRN", {"size": 0}, [X]),
    "LRN of negative size": ("LRN", {"size": -1}, [X]),
    "an axis beyond the rank": ("Softmax", {"axis": 7}, [X]),
    "an axis below the rank": ("Softmax", {"axis": -5}, [X]),
    "a layer norm beyond the rank": ("LayerNormalization", {"axis": 9}, [X, normal(6)]),
    "flattening beyond the rank": ("Flatten", {"axis": 6}, [X]),
    "joining other dtypes": ("Concat", {"axis": 1}, [X, X.astype(np.float64)]),
    "an index beyond the axis": ("Gather", {"axis": 0}, [X, np.array([3])]),
    "a permutation with repeats": ("Transpose", {"perm": (0, 0, 1, 2)}, [X]),
    "other sizes than elements": ("Reshape", {}, [X, np.array([5, -1])]),
    "two unknown sizes": ("Reshape", {}, [X, np.array([-1, -1])]),
    "sizes below -1": ("Reshape", {}, [X, np.array([-2, 2])]),
    "matrices that do not fit": ("Gemm", {}, [normal(2, 3), normal(4, 5)]),
    "an addend larger than the product": ("Gemm", {}, [normal(2, 3), normal(3, 5), normal(4, 5)]),
    "an addend of other size": ("Add", {}, [X, normal(5)]),
    "an addend of other dtype": ("Add", {}, [X, X.astype(np.float64)]),
    "a float condition": ("Not", {}, [normal(2)]),
    "a triangle of a vector": ("Trilu", {}, [normal(3)]),
    "integers divided by zero": ("Div", {}, [int32(1), int32(0)]),
    "remainders of zero": ("Mod", {}, [int32(1), int32(0)]),
    "powers beyond int32": ("Pow", {}, [int32(3), int32(40)]),
    "products beyond int32": ("ReduceProd", {}, [int32(2**20, 2**20), np.array([0])]),
    "reduced beyond int32": ("ReduceSum", {}, [int32(MOST, MOST, 5), np.array([0])]),
    "magnitudes beyond int8": ("ReduceL1", {}, [np.array([-128], np.int8), np.array([0])]),
    "squares beyond int32": ("ReduceSumSquare", {}, [int32(2**16), np.array([0])]),
    "floats beyond int8": ("Cast", {"to": 3}, [np.float32([300, -200])]),
    "not a number as an integer": ("Cast", {"to": 6}, [np.float32([np.nan])]),
    "sums beyond int32": (
        "MatMulInteger",
        {},
        [np.full((1, 140_000), -128, np.int8), np.full((140_000, 1), -128, np.int8)],
    ),
    "a zero point per pixel": ("ConvInteger", {}, [codes(1, 2, 5, 5), codes(3, 2, 3, 3), codes(2)]),
    "codes of not a number": ("QuantizeLinear", {}, [X * np.float32(np.nan), ONE, ZERO]),
    "scales of another length": (
        "QuantizeLinear",
        {"axis": 1},
        [X, np.ones(3, np.float32), codes(3)],
    ),
    "a zero point of other dtype": (
        "DequantizeLinear",
        {},
        [codes(2, 3), ONE, np.array(0, np.uint8)],
    ),
    "an unknown padding": ("Pad", {"mode": "mirror"}, [normal(3), np.array([1, 0])]),
    "cutting more than there is": ("Pad", {}, [normal(3), np.array([-4, 0])]),
    "steps of 0": ("Slice", {}, [X, *(np.array([v]) for v in (0, 5, 1, 0))]),
    "sizes that do not add up": ("Split", {"axis": 1}, [X, np.array([1, 2])]),
    "more than there are": ("TopK", {}, [normal(4), np.array([9])]),
    "statistics of other length": ("BatchNormalization", {}, [X, *[normal(3)] * 4]),
    "blocks that do not divide": ("DepthToSpace", {"blocksize": 3}, [X]),
    "squeezing a long axis": ("Squeeze", {}, [X, np.array([1])]),
    "an axis twice": ("Unsqueeze", {}, [X, np.array([0, 0])]),
    "scattering beyond the end": ("ScatterND", {}, [normal(3), np.array([[5]]), normal(1)]),
    "an equation of other shapes": (
        "Einsum",
        {"equation": "ij,jk->ik"},
        [normal(2, 3), normal(4, 5)],
    ),
    "groups that do not divide": (
        "GroupNormalization",
        {"num_groups": 3},
        [X, normal(2), normal(2)],
    ),
}
COMPUTED = {
    "dilated pooling, odd pads, rounded up": (
        "MaxPool",
        {**K3, "dilations": (2, 1), "pads": (1, 2, 2, 0), "strides": (2, 3), "ceil_mode": 1},
        [X],
    ),
    "means of it": (
        "AveragePool",
        {**K3, "pads": (1, 2, 2, 0), "strides": (2, 3), "ceil_mode": 1, "count_include_pad": 1},
        [X],
    ),
    "codes that wrap around": ("Add", {}, [codes(40), codes(40)]),
    "the lowest code's magnitude": ("Abs", {}, [np.array([-128, 3], np.int8)]),
    "integers cut to int8": ("Cast", {"to": 3}, [int32(300, -200)]),
    "a negative index": ("Gather", {"axis": 2}, [X, np.array([-7])]),
    "roots of negatives": ("Sqrt", {}, [np.float32([-1, 4])]),
    "division by zero": ("Div", {}, [np.float32([1, 0]), np.float32([0, 0])]),
    "a shift beyond the width": (
        "BitShift",
        {"direction": "LEFT"},
        [np.array([1], np.uint8), np.array([9], np.uint8)],
    ),
}


def model_of(op, attributes, inputs):
    """Return a model of one operator whose first input is given at run time."""
    names = [f"x{place}" for place in range(len(inputs))]
    first = inputs[0]
    kind = helper.np_dtype_to_tensor_dtype(first.dtype)
    graph = helper.make_graph(
        [helper.make_node(op, names, ["y"], **attributes)],
        "wrong",
        [helper.make_tensor_value_info("x0", kind, first.shape)],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(x, n) for n, x in zip(names[1:], inputs[1:], strict=True)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def carry_out(engine, network, inputs):
    """Return the output that an engine computes."""
    if engine == "plain":
        return execute(network, inputs)["y"]
    if engine == "compiled":
        return CompiledNetwork(network, Options(threads=1, tune_s=0.0)).run(inputs)["y"]
    worker = CpuWorker(1)
    (layer,) = network.layers
    worker.load(network, layer)
    return worker.run(layer, inputs)[0]


@pytest.mark.parametrize("engine", ["plain", "worker", "compiled"])
@pytest.mark.parametrize(("op", "attributes", "inputs"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_by_name(op, attributes, inputs, engine):
    """At the import, or else at the latest when it is computed; the operator is named."""
    with pytest.raises(InputError, match=op):
        carry_out(engine, from_model(model_of(op, attributes, inputs), "wrong"), {"x0": inputs[0]})


@pytest.mark.parametrize("engine", ["plain", "worker", "compiled"])
@pytest.mark.parametrize(("op", "attributes", "inputs"), COMPUTED.values(), ids=COMPUTED)
def test_odd_but_right_input_is_computed(reference, op, attributes, inputs, engine):
    """ONNX Runtime computes the same."""
    network = from_model(model_of(op, attributes, inputs), "odd")
    (expected,) = reference(op, attributes, inputs)
    found = carry_out(engine, network, {"x0": inputs[0]})
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@settings(DRAWN, max_examples=150)
@given(data=st.data(), op=st.sampled_from(["MaxPool", "AveragePool", "LpPool", "Conv"]))
def test_any_window_is_refused_or_computed_alike(reference, data, op):
    """Windows of random attributes, wrong ones among them: what is computed, all compute alike."""

    def draw(low, high, count):
        return data.draw(st.lists(st.integers(low, high), min_size=count, max_size=count))

    size, kernel = draw(1, 7, 2), draw(1, 4, 2)
    attributes = {
        "kernel_shape": kernel,
        "strides": draw(0, 3, 2),
        "dilations": draw(0, 3, 2),
        "pads": draw(-1, 4, 4),
    }
    x = normal(1, 2, *size)
    inputs = [x, normal(2, 2, *kernel)] if op == "Conv" else [x]
    if op != "Conv":
        attributes["ceil_mode"] = data.draw(st.integers(0, 1))
    try:
        network = from_model(model_of(op, attributes, inputs), "window")
    except InputError as error:
        assert op in str(error)  # noqa: PT017 - either is right
        return
    found = execute(network, {"x0": x})["y"]
    np.testing.assert_allclose(
        carry_out("compiled", network, {"x0": x}), found, rtol=1e-4, atol=1e-5
    )
    if all(pad < k for pad, k in zip(attributes["pads"], 2 * kernel, strict=True)):
        (expected,) = reference(op, attributes, inputs, opset=21 if op != "Conv" else 18)
        if found.shape == expected.shape:  # some runtimes count the rounded-up windows otherwise
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 4, 5])
def test_local_responses_of_even_size_follow_the_formula(size):
    """ONNX gives a formula for even sizes too: one channel more behind than in front."""
    network = from_model(model_of("LRN", {"size": size, "alpha": 0.5}, [X]), "lrn")
    squares, channels = X.astype(np.float64) ** 2, X.shape[1]
    expected = np.empty_like(squares)
    for c in range(channels):
        first, last = max(0, c - (size - 1) // 2), min(channels - 1, c + size // 2)
        total = squares[:, first : last + 1].sum(axis=1)
        expected[:, c] = X[:, c] / (1 + 0.5 / size * total) ** 0.75
    for engine in ("plain", "worker", "compiled"):
        found = carry_out(engine, network, {"x0": X})
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_worker_checks_what_a_layer_gives():
    """A network put together wrongly is not computed in another dtype or shape."""
    layer = Layer(name="sum", op="Add", inputs=("x", "c"), outputs=("y",))
    for constant, told in ((np.ones(3), "float64 of shape"), (normal(2, 3), r"shape \(2, 3\)")):
        network = Network(
            name="net",
            inputs=("x",),
            outputs=("y",),
            layers=(layer,),
            tensors={"x": TensorType((3,)), "y": TensorType((3,))},
            constants={"c": constant},
        )
        worker = CpuWorker(1)
        worker.load(network, layer)
        engines = (execute, lambda net, x, w=worker: w.run(layer, x))
        for run in engines:
            with pytest.raises(InputError, match=rf"'sum' \(Add\): result 'y' is .*{told}"):
                run(network, {"x": normal(3)})
