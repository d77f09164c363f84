"""Int8 weights, biases and clamps of one layer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.hw.fixed import ACCUMULATOR_HIGH, accumulator_bound
from heterolith.sw.int8 import clamp, linear_parameters, quantize_weights
from heterolith.sw.network import Activation
from heterolith.sw.quantize import TensorScale, quantize

from .nets import RELU6, conv_networks, one_layer, random_inputs, window

GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}


def parameters(network):
    """Return the parameters of a one-layer network on synthetic ranges."""
    return linear_parameters(quantize(network), network.layers[0])


def bound(p):
    """Return the largest sum that any input can reach, per channel."""
    flat = tuple(range(1, p.weights.ndim))
    return accumulator_bound(np.abs(p.weights.astype(np.int64)).sum(axis=flat), p.bias)


@settings(deadline=None, max_examples=60)
@given(conv_networks())
def test_weights_are_within_half_a_step(case):
    """Weights are symmetric codes that use the full range of each channel."""
    network, _ = case
    p = parameters(network)
    weights = network.constants["w0"].reshape(p.weights.shape)
    largest = np.abs(weights).max(axis=(1, 2, 3))
    assert p.weights.min() >= -127
    assert (np.abs(p.weights.astype(int)).max(axis=(1, 2, 3)) == 127).all()
    error = np.abs(p.weights * (largest / 127)[:, None, None, None] - weights)
    assert (error.max(axis=(1, 2, 3)) <= largest / 127 * 0.5001).all()
    assert bound(p).max() <= ACCUMULATOR_HIGH


@pytest.mark.parametrize(
    ("weight", "bias"),
    [
        (0.0, 0.0),  # dead channel
        (0.0, 5.0),  # constant channel
        (1e-40, 1.0),  # bias far above what the weights contribute
        (1e-30, -3e30),
        (1e30, 1.0),
        (1.0, 1e38),
        (1e-44, 0.0),
    ],
)
def test_extreme_channels_stay_in_the_accumulator(weight, bias):
    """Dead, constant, tiny and huge channels have legal parameters and near results."""
    weights = np.full((3, 64), weight, np.float32)
    weights[1] = np.linspace(-1, 1, 64)
    biases = np.array([bias, 0.5, bias], np.float32)
    network = one_layer("Gemm", [(1, 64)], [weights, biases], GEMM)
    p = parameters(network)
    assert bound(p).max() <= ACCUMULATOR_HIGH
    assert np.abs(p.weights.astype(int)).max() <= 127


def test_growing_scale_keeps_the_bias():
    """Where a bias asks for a larger weight scale, the channel's value is the bias still."""
    weights = np.full((1, 8), 1e-12, np.float32)
    network = one_layer("Gemm", [(1, 8)], [weights, np.array([100.0], np.float32)], GEMM)
    quantized = quantize(network)
    p = linear_parameters(quantized, network.layers[0])
    factor = int(p.scaling.multiplier[0]) / 2 ** int(p.scaling.shift[0])
    value = int(p.bias[0]) * factor * quantized.scales["y"].scale
    assert value == pytest.approx(100.0, rel=1e-4)


def test_non_finite_weights_are_refused():
    """Infinite weights name the layer."""
    network = one_layer("MatMul", [(1, 2)], [np.ones((2, 1), np.float32)])
    quantized = quantize(network)
    quantized.network.constants["w0"][0] = np.inf
    with pytest.raises(InputError, match="'layer'"):
        linear_parameters(quantized, network.layers[0])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_forms_of_a_matrix_product_agree(seed):
    """Gemm with and without transB, with alpha and beta folded, and MatMul give equal codes."""
    rng = np.random.default_rng(seed)
    weights, bias = (rng.normal(size=shape).astype(np.float32) for shape in ((5, 16), 5))
    half = {**GEMM, "alpha": 2.0, "beta": 4.0}
    forms = [
        one_layer("Gemm", [(2, 16)], [weights, bias], GEMM),
        one_layer("Gemm", [(2, 16)], [weights.T.copy(), bias], {**GEMM, "transB": 0}),
        one_layer("Gemm", [(2, 16)], [weights / 2, bias / 4], half),
        one_layer("Gemm", [(2, 16)], [-weights, bias], {**GEMM, "alpha": -1.0}),
    ]
    codes = [parameters(network) for network in forms]
    for other in codes[1:]:
        assert (other.weights == codes[0].weights).all()
        assert np.abs(other.bias.astype(int) - codes[0].bias).max() <= 1
    product = parameters(one_layer("MatMul", [(2, 16)], [weights.T.copy()]))
    assert (product.weights == codes[0].weights).all()


def test_zero_alpha_is_the_bias_alone():
    """A Gemm with alpha 0 has no weights left."""
    network = one_layer(
        "Gemm",
        [(2, 4)],
        [np.ones((3, 4), np.float32), np.arange(3, dtype=np.float32)],
        {**GEMM, "alpha": 0.0},
    )
    assert not parameters(network).weights.any()


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(1, 40), st.integers(0, 3))
def test_broadcast_weights_stay_broadcast(channels, features, axes):
    """Zero-stride constants give the codes and sums of their dense copies, without the copy."""
    source = np.linspace(-1, 2, channels * features, dtype=np.float32).reshape(channels, features)
    cut = source[: 1 if axes & 1 else None, : 1 if axes & 2 else None]
    thin = np.broadcast_to(cut, source.shape)
    scales = np.abs(thin).max(axis=1).astype(float) / 127 + 1e-9
    codes, sums = quantize_weights(thin, scales)
    dense, dense_sums = quantize_weights(thin.copy(), scales)
    assert (codes == dense).all()
    assert (sums == dense_sums).all()
    if axes & 2 and features > 1:
        assert codes.strides[1] == 0


def test_large_broadcast_layer_is_never_materialised():
    """The 103 M weights of vgg19's first Gemm, one number repeated, stay one number."""
    weights = np.broadcast_to(np.float32(0.02), (25088, 4096))
    codes, sums = quantize_weights(weights.T, np.full(4096, 0.02 / 127))
    assert codes.shape == (4096, 25088)
    assert set(codes.strides) == {0}
    assert sums[0] == 127 * 25088


def test_clamp_holds_the_codes_of_the_bounds():
    """Relu6 starts at the zero point and ends at the code of 6, or at 127 if that is beyond."""
    weights = np.ones((1, 1, 1, 1), np.float32)
    attributes = {**window((1, 1)), "group": 1}
    network = one_layer("Conv", [(1, 1, 4, 4)], [weights], attributes, activation=RELU6)
    values = np.linspace(-10, 10, 16, dtype=np.float32).reshape(1, 1, 4, 4)
    output = clamp(quantize(network, [{"x0": values}]), network.layers[0])
    assert (output.low, output.zero_point, output.high) == (-128, -128, 127)
    wide = replace(quantize(network), scales={"y": TensorScale(scale=0.1, zero_point=-8)})
    output = clamp(wide, network.layers[0])
    assert (output.low, output.zero_point, output.high) == (-8, -8, 52)
    narrow = replace(wide, scales={"y": TensorScale(scale=0.01, zero_point=-8)})
    assert clamp(narrow, network.layers[0]).high == 127
    relu = one_layer("Relu", [(1, 4)])
    wide = replace(quantize(relu), scales={"y": TensorScale(scale=0.1, zero_point=-8)})
    assert (clamp(wide, relu.layers[0]).low, clamp(wide, relu.layers[0]).high) == (-8, 127)


def test_clip_operator_and_fused_activation_meet():
    """The clamp of a Clip that has an activation fused is their intersection."""
    bounds = [np.float32(-1.0), np.float32(5.0)]
    network = one_layer("Clip", [(1, 64)], bounds, activation=Activation(0.0, 3.0))
    rng = np.random.default_rng(0)
    quantized = quantize(network, [random_inputs(network, rng, 9.0)])
    entry = quantized.scales["y"]
    output = clamp(quantized, network.layers[0])
    assert output.low == entry.zero_point
    assert (output.high - entry.zero_point) * entry.scale == pytest.approx(3.0, abs=entry.scale)
