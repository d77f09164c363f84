"""The accelerator's worker against float arithmetic and ONNX Runtime's integer operators."""

from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from heterolith import hw
from heterolith.errors import InputError
from heterolith.sw.execute import apply, execute
from heterolith.sw.int8 import linear_parameters
from heterolith.sw.network import Activation
from heterolith.sw.onnx_import import load_onnx
from heterolith.sw.quantize import quantize
from heterolith.sw.worker import Worker
from heterolith.sw.workers.fpga import FpgaWorker, layer_cycles, support

from .nets import RELU, conv_networks, one_layer, random_inputs, window

ULTRA96 = hw.config("ultra96")
GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}


def run_codes(network, rng):
    """Return a quantized one-layer network, its int8 result, and the float inputs of its codes."""
    inputs = random_inputs(network, rng)
    quantized = quantize(network, [inputs])
    layer = network.layers[0]
    worker = FpgaWorker(quantized, ULTRA96)
    worker.load(network, layer)
    codes = {name: quantized.encode(name, value) for name, value in inputs.items()}
    (result,) = worker.run(layer, codes)
    assert result.dtype == np.int8
    return quantized, result, {name: quantized.decode(name, code) for name, code in codes.items()}


def run_both(network, rng):
    """Return the float32 result on what the input codes stand for, the int8 one, and the scale."""
    quantized, result, values = run_codes(network, rng)
    expected = apply(network.layers[0], {**network.constants, **values})[0]
    return expected, quantized.decode("y", result), quantized.scales["y"].scale


@settings(deadline=None, max_examples=80)
@given(conv_networks())
def test_convolution_is_float_arithmetic_on_rounded_weights(case):
    """Any convolution is within one code of the float one on what weights and inputs stand for.

    A residual is rounded by itself and may add one more.
    """
    network, rng = case
    quantized, got, values = run_codes(network, rng)
    weights = network.constants["w0"].astype(np.float64)
    step = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True) / 127
    rounded = (np.rint(weights / step) * step).astype(np.float32)
    constants = {**network.constants, "w0": rounded}
    expected = quantized.encode("y", apply(network.layers[0], {**constants, **values})[0])
    difference = np.abs(got.astype(int) - expected)
    assert difference.max() <= (2 if network.layers[0].residual else 1)
    assert len(np.unique(expected)) == 1 or len(np.unique(got)) > 1


LAYERS = {
    "gemm": lambda rng: one_layer(
        "Gemm",
        [(3, 40)],
        [rng.normal(size=(7, 40)).astype(np.float32), rng.normal(size=7).astype(np.float32)],
        GEMM,
        activation=RELU,
    ),
    "matmul": lambda rng: one_layer(
        "MatMul", [(2, 3, 20)], [rng.normal(size=(20, 6)).astype(np.float32)]
    ),
    "average pool": lambda rng: one_layer(
        "AveragePool",
        [(2, 3, 9, 7)],
        (),
        {**window((3, 3), (2, 2), (1, 0, 1, 2)), "ceil_mode": 0, "count_include_pad": 0},
    ),
    "average pool with pads": lambda rng: one_layer(
        "AveragePool",
        [(1, 3, 9)],
        (),
        {**window((3,), (1,), (1, 1)), "ceil_mode": 0, "count_include_pad": 1},
    ),
    "average pool, rounded up": lambda rng: one_layer(
        "AveragePool",
        [(1, 3, 8, 8)],
        (),
        {**window((3, 3), (2, 2)), "ceil_mode": 1, "count_include_pad": 0},
    ),
    "global average": lambda rng: one_layer("GlobalAveragePool", [(2, 5, 7, 6)]),
    "add": lambda rng: one_layer("Add", [(1, 4, 5, 5)] * 2),
    "add and relu": lambda rng: one_layer("Add", [(1, 4, 5)] * 2, activation=RELU),
    "relu": lambda rng: one_layer("Relu", [(1, 4, 5, 5)]),
    "clip": lambda rng: one_layer("Clip", [(1, 40)], [np.float32(-0.5), np.float32(1.2)]),
}


@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("seed", range(5))
def test_other_arithmetic_is_near_float(case, seed):
    """Products, averages, additions and clamps are within two codes of their float result."""
    rng = np.random.default_rng(seed)
    expected, got, scale = run_both(LAYERS[case](rng), rng)
    slack = 0.05 if case in ("gemm", "matmul") else 0.0
    assert np.abs(got - expected).max() <= 1.6 * scale + slack * np.abs(expected).max()


COPIES = {
    "max pool": one_layer(
        "MaxPool",
        [(2, 3, 8, 7)],
        (),
        {**window((3, 2), (2, 2), (1, 0, 1, 1)), "ceil_mode": 1, "storage_order": 0},
    ),
    "global max": one_layer("GlobalMaxPool", [(1, 3, 6, 5)]),
    "concat": one_layer("Concat", [(1, 3, 6), (1, 2, 6)], (), {"axis": 1}),
    "flatten": one_layer("Flatten", [(1, 3, 6)], (), {"axis": 1}),
    "squeeze": one_layer("Squeeze", [(1, 3, 1, 1)], [np.array([2, 3])]),
}


@pytest.mark.parametrize("case", COPIES)
def test_copies_are_exact(case):
    """Pools, joins and views on codes are the float layer on what the codes stand for, exactly."""
    expected, got, _ = run_both(COPIES[case], np.random.default_rng(0))
    assert (got == expected).all()


def qlinear_conv(network, quantized, codes):
    """Return what ONNX Runtime's QLinearConv computes from a layer's own codes and scales."""
    layer = network.layers[0]
    p = linear_parameters(quantized, layer)
    source, target = quantized.scales["x0"], quantized.scales["y"]
    weights = network.constants["w0"]
    flat = tuple(range(1, weights.ndim))
    scales = (np.abs(weights).max(axis=flat) / 127).astype(np.float32)
    sums = p.weights.astype(np.int64).sum(axis=(1, 2, 3))
    values = {
        "x": codes,
        "xs": np.float32(source.scale),
        "xz": np.int8(source.zero_point),
        "w": p.weights.reshape(weights.shape),
        "ws": scales,
        "wz": np.zeros(len(scales), np.int8),
        "ys": np.float32(target.scale),
        "yz": np.int8(target.zero_point),
        "b": (p.bias + source.zero_point * sums).astype(np.int32),
    }
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", list(values), ["y"], **layer.attributes)],
        "graph",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype), np.shape(value)
            )
            for name, value in values.items()
        ],
        [onnx.ValueInfoProto(name="y")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {name: np.asarray(value) for name, value in values.items()})[0]


def test_convolution_agrees_with_onnxruntime():
    """On random layers codes are within one of QLinearConv's; at most one in 500 differs.

    QLinearConv rounds a float32 product half to even, the accelerator an exact 16-bit one half up.
    """
    total = different = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        groups, inputs, channels = rng.integers(1, 4), rng.integers(1, 17), rng.integers(1, 9)
        kernel = rng.integers(1, 6, 2).tolist()
        weights = rng.normal(size=(groups * channels, inputs, *kernel)).astype(np.float32)
        bias = rng.normal(size=groups * channels).astype(np.float32)
        attributes = {
            **window(kernel, rng.integers(1, 3, 2).tolist(), rng.integers(0, 3, 4).tolist()),
            "group": int(groups),
        }
        shape = (1, int(groups * inputs), 12, 11)
        network = one_layer("Conv", [shape], [weights, bias], attributes)
        values = random_inputs(network, rng)
        quantized = quantize(network, [values])
        worker = FpgaWorker(quantized, ULTRA96)
        worker.load(network, network.layers[0])
        codes = quantized.encode("x0", values["x0"])
        got = worker.run(network.layers[0], {"x0": codes})[0].astype(int)
        difference = np.abs(got - qlinear_conv(network, quantized, codes))
        assert difference.max() <= 1
        total, different = total + got.size, different + np.count_nonzero(difference)
    assert total > 20000
    assert different / total < 1 / 500


def run_network(network, quantized, inputs):
    """Return all activations with int8 layers on the accelerator, the rest in float32."""
    worker: Worker = FpgaWorker(quantized, ULTRA96)
    codes, values = {}, dict(inputs)
    for layer in network.layers:
        names = network.activations(layer)
        if support(network, layer):
            arrays = {**network.constants, **{name: values[name] for name in names}}
            values.update(zip(layer.outputs, apply(layer, arrays), strict=True))
            continue
        worker.load(network, layer)
        for name in names:
            codes.setdefault(name, quantized.encode(name, values[name]))
        codes[layer.outputs[0]] = worker.run(layer, codes)[0]
        values[layer.outputs[0]] = quantized.decode(layer.outputs[0], codes[layer.outputs[0]])
    return values, worker.counters()


def test_network_is_near_float(cnn_path):
    """A CNN with int8 layers stays within 5 % of float32 per tensor and agrees on the class."""
    network = load_onnx(cnn_path)
    rng = np.random.default_rng(3)
    inputs = random_inputs(network, rng)
    quantized = quantize(network, [random_inputs(network, rng) for _ in range(4)])
    expected = execute(network, inputs, keep=True)
    got, counters = run_network(network, quantized, inputs)
    for name, value in expected.items():
        error = np.sqrt(np.mean((got[name] - value) ** 2) / np.mean(value**2))
        assert error < 0.05
    name = network.outputs[0]
    assert got[name].argmax() == expected[name].argmax()
    on_fpga = [layer for layer in network.layers if not support(network, layer)]
    assert counters["layers"] == len(on_fpga) > 5
    assert counters["macs"] == sum(layer.macs for layer in network.layers)
    cycles = sum(layer_cycles(network, layer, ULTRA96, 3.2).total for layer in on_fpga)
    assert counters["modelled_cycles"] == cycles
    assert counters["busy_ns"] > 0


def test_unsupported_layer_is_refused_by_name():
    """A layer the accelerator cannot compute is refused at load, with layer, operator, reason."""
    network = one_layer("Sigmoid", [(1, 4)])
    with pytest.raises(InputError, match=r"'layer' \(Sigmoid\).*no Sigmoid"):
        FpgaWorker(quantize(network), ULTRA96).load(network, network.layers[0])


def test_layer_must_be_loaded_and_inputs_must_be_codes():
    """A layer that was not loaded, floats and wrong shapes are refused."""
    network = one_layer("Relu", [(1, 4)])
    layer, worker = network.layers[0], FpgaWorker(quantize(network), ULTRA96)
    codes = np.zeros((1, 4), np.int8)
    with pytest.raises(InputError, match="load it first"):
        worker.run(layer, {"x0": codes})
    worker.load(network, layer)
    assert worker.run(layer, {"x0": codes})[0].shape == (1, 4)
    for wrong in (codes.astype(np.float32), codes[:, :3]):
        with pytest.raises(InputError, match="expects int8"):
            worker.run(layer, {"x0": wrong})
    worker.close()
    with pytest.raises(InputError, match="load it first"):
        worker.run(layer, {"x0": codes})


def test_scales_of_another_network_are_refused():
    """A layer of a network with other weights is not run on these scales; an equal one is."""
    network = one_layer("MatMul", [(1, 4)], [np.ones((4, 2), np.float32)])
    worker = FpgaWorker(quantize(network), ULTRA96)
    other = replace(network, constants={"w0": np.full((4, 2), 2.0, np.float32)})
    with pytest.raises(InputError, match="quantize this network"):
        worker.load(other, other.layers[0])
    twin = replace(network, constants={"w0": np.ones((4, 2), np.float32)})
    worker.load(twin, twin.layers[0])


def test_results_do_not_depend_on_the_array():
    """Two configurations give equal codes and other cycles."""
    rng = np.random.default_rng(0)
    network = LAYERS["gemm"](rng)
    quantized = quantize(network)
    codes = {"x0": quantized.encode("x0", random_inputs(network, rng)["x0"])}
    outcomes = []
    for name in ("ultra96", "arty-a7-35t"):
        worker = FpgaWorker(quantized, hw.config(name), dram_gbs=1.0)
        worker.load(network, network.layers[0])
        outcomes.append((worker.run(network.layers[0], codes)[0], worker.counters()))
    assert (outcomes[0][0] == outcomes[1][0]).all()
    assert outcomes[0][1]["modelled_cycles"] != outcomes[1][1]["modelled_cycles"]


@settings(deadline=None, max_examples=20)
@given(st.floats(-2, 0), st.floats(0.1, 2))
def test_fused_bounds_hold_on_codes(low, high):
    """No result leaves the interval of the fused activation by more than half a code."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    attributes = {**window((3, 3)), "group": 1}
    activation = Activation(low, high)
    network = one_layer("Conv", [(1, 3, 8, 8)], [weights], attributes, activation=activation)
    _, got, scale = run_both(network, rng)
    assert got.min() >= low - 0.51 * scale
    assert got.max() <= high + 0.51 * scale
