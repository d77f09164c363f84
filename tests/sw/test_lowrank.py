"""Low-rank variants: exact where the weights have that rank, near elsewhere, refused where vain."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith import hw
from heterolith.errors import InputError
from heterolith.sw import CpuWorker, FpgaWorker, GpuWorker, quantize
from heterolith.sw.execute import execute
from heterolith.sw.macs import layer_macs
from heterolith.sw.variants import full_rank, lowrank, lowrank_macs, offered_ranks, rank_for
from heterolith.sw.variants.factors import product_factors, separable_factors
from heterolith.sw.variants.patches import moments_of

from .nets import RELU, one_layer, random_inputs, window


def counted(network):
    """Return a one-layer network with its multiply-accumulates."""
    (layer,) = network.layers
    shapes = [
        (network.tensors.get(x) or network.constants[x]).shape if x else () for x in layer.inputs
    ]
    macs = layer_macs(layer.op, layer.attributes, shapes, network.tensors["y"].shape)
    return replace(network, layers=(replace(layer, macs=macs),))


def convolution(rng, rank=None, groups=1, residual=False, **geometry):
    """Return a 3x3 convolution 8 -> 12 on 10x9 maps whose weights have a given rank per group."""
    n, c = 12 // groups, 8 // groups
    parts = []
    for _ in range(groups):
        down = rng.standard_normal((c * 3, rank or 3 * c))
        across = rng.standard_normal((rank or 3 * c, 3 * n))
        parts.append((down @ across).reshape(c, 3, 3, n).transpose(3, 0, 1, 2) / 10)
    weights = np.concatenate(parts).astype(np.float32)
    bias = rng.standard_normal(12).astype(np.float32)
    attributes = {**window((3, 3), **geometry), "group": groups}
    made = one_layer("Conv", [(1, 8, 10, 9)], (weights, bias), attributes, activation=RELU)
    if residual:
        shape = made.tensors["y"].shape
        made = one_layer(
            "Conv", [(1, 8, 10, 9)], (weights, bias), attributes, activation=RELU, residual=shape
        )
    return counted(made)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 2, 4]),
    st.sampled_from([(1, 1), (2, 2), (1, 2)]),
    st.sampled_from([(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 1)]),
    st.sampled_from([(1, 1), (2, 1)]),
    st.booleans(),
)
def test_weights_of_low_rank_lose_nothing(seed, groups, stride, pads, dilation, residual):
    """Any geometry, grouped or not: two layers equal one whose weights have that rank per group."""
    rng = np.random.default_rng(seed)
    network = convolution(rng, 1, groups, residual, stride=stride, pads=pads, dilation=dilation)
    made = lowrank(network, {"layer": 1})
    assert [layer.name for layer in made.layers] == ["layer.v", "layer.h"]
    inputs = random_inputs(network, rng)
    expected, got = execute(network, inputs)["y"], execute(made, inputs)["y"]
    assert np.abs(got - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())
    assert sum(layer.macs for layer in made.layers) == lowrank_macs(network, network.layers[0], 1)
    for layer in made.layers:
        shapes = [(made.tensors.get(x) or made.constants[x]).shape for x in layer.inputs]
        out = made.tensors[layer.outputs[0]].shape
        assert layer.macs == layer_macs(layer.op, layer.attributes, shapes, out)


@pytest.mark.parametrize("op", ["Gemm", "MatMul"])
def test_products_of_low_rank_lose_nothing(op):
    """Gemm with factors and a bias, and MatMul, are cut at the rank of their weights."""
    rng = np.random.default_rng(0)
    weights = (rng.standard_normal((40, 3)) @ rng.standard_normal((3, 30))).astype(np.float32)
    constants, attributes = (weights,), {}
    if op == "Gemm":
        constants = (weights.T.copy(), rng.standard_normal(30).astype(np.float32))
        attributes = {"alpha": 0.5, "beta": 2.0, "transA": 0, "transB": 1}
    network = counted(one_layer(op, [(4, 40)], constants, attributes))
    inputs = random_inputs(network, rng)
    expected = execute(network, inputs)["y"]
    made = lowrank(network, {"layer": 3})
    assert np.allclose(execute(made, inputs)["y"], expected, atol=1e-4)
    fitted = lowrank(network, {"layer": 3}, samples=[inputs])
    assert np.allclose(execute(fitted, inputs)["y"], expected, atol=1e-3)


def test_one_dimensional_convolutions_are_cut_too():
    """A 1-D convolution becomes a pointwise one and one of its kernel."""
    rng = np.random.default_rng(0)
    weights = np.einsum("kc,nkj->ncj", rng.standard_normal((2, 6)), rng.standard_normal((8, 2, 5)))
    attributes = {**window((5,), (2,), (2, 1)), "group": 1}
    network = counted(one_layer("Conv", [(1, 6, 20)], (weights.astype(np.float32),), attributes))
    made = lowrank(network, {"layer": 2})
    inputs = random_inputs(network, rng)
    assert np.allclose(execute(made, inputs)["y"], execute(network, inputs)["y"], atol=1e-4)


def test_factors_from_samples_are_nearer_in_results_than_singular_values():
    """On inputs whose channels differ in strength and mean, moments cut the error."""
    rng = np.random.default_rng(0)
    network = convolution(rng, pads=(1, 1, 1, 1))
    strength = np.geomspace(0.02, 3.0, 8, dtype=np.float32).reshape(1, 8, 1, 1)

    def sample():
        return {"x0": strength * (1 + rng.standard_normal((1, 8, 10, 9)).astype(np.float32))}

    samples = [sample() for _ in range(30)]
    tests = [sample() for _ in range(10)]
    errors = []
    for made in (lowrank(network, {"layer": 5}), lowrank(network, {"layer": 5}, samples=samples)):
        gaps = [execute(made, x)["y"] - execute(network, x)["y"] for x in tests]
        errors.append(float(np.sqrt(np.mean(np.square(gaps)))))
    assert errors[1] < 0.7 * errors[0]


def test_full_rank_factors_give_the_weights_back():
    """Both cuts, with and without moments, reproduce any weights at full rank."""
    rng = np.random.default_rng(0)
    kernels = rng.standard_normal((6, 4, 3, 3))
    attributes = {**window((3, 3), pads=(1, 1, 1, 1)), "group": 1}
    network = one_layer("Conv", [(1, 4, 8, 8)], (kernels.astype(np.float32),), attributes)
    (known,) = moments_of(network, ["layer"], [random_inputs(network, rng)])["layer"]
    for given_moments in (None, known):
        made = separable_factors(kernels, 12, given_moments)
        whole = np.einsum("kcio,nkoj->ncij", made.first, made.second)
        assert np.allclose(whole, kernels, atol=1e-4)
        assert np.allclose(made.shift, 0, atol=1e-3)
    matrix = rng.standard_normal((5, 7))
    made = product_factors(matrix, 5)
    assert np.allclose(made.second @ made.first, matrix)


def test_moments_are_those_of_patches():
    """Mean and covariance equal numpy's over patches gathered one by one, padding included."""
    rng = np.random.default_rng(0)
    network = convolution(rng, groups=2, stride=(2, 1), pads=(1, 0, 1, 1), dilation=(1, 2))
    inputs = random_inputs(network, rng)
    found = moments_of(network, ["layer"], [inputs])["layer"]
    padded = np.pad(inputs["x0"].astype(np.float64), ((0, 0), (0, 0), (1, 1), (0, 1)))
    for group, moments in enumerate(found):
        part = padded[0, 4 * group : 4 * group + 4]
        rows = [
            part[:, r : r + 3, c : c + 5 : 2].ravel()
            for r in range(0, part.shape[1] - 2, 2)
            for c in range(part.shape[2] - 4)
        ]
        assert np.allclose(moments.mean, np.mean(rows, axis=0))
        assert np.allclose(moments.covariance, np.cov(np.transpose(rows), bias=True))


@pytest.mark.parametrize(
    ("rank", "word"),
    [(0, "outside 1..24"), (25, "outside 1..24"), (-1, "outside"), (24, "give at most 14")],
)
def test_ranks_that_are_none_or_save_nothing_are_refused(rank, word):
    """Rank 0, above full, and those with as many multiplications as the layer."""
    network = convolution(np.random.default_rng(0), pads=(1, 1, 1, 1))
    with pytest.raises(InputError, match=word):
        lowrank(network, {"layer": rank})
    with pytest.raises(InputError, match="unknown layer"):
        lowrank(network, {"lair": 2})


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 5), st.integers(1, 2), st.integers(1, 9), st.integers(1, 9), st.floats(0.05, 1)
)
def test_every_offered_rank_saves_work(kernel, stride, inputs, outputs, share):
    """Offered ranks need less than the layer, the next one does not; a share is kept."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((outputs, inputs, kernel, kernel)).astype(np.float32)
    attributes = {**window((kernel,) * 2, (stride,) * 2), "group": 1}
    network = counted(one_layer("Conv", [(1, inputs, 9, 9)], (weights,), attributes))
    (layer,) = network.layers
    ranks = offered_ranks(network, layer)
    assert all(lowrank_macs(network, layer, rank) < layer.macs for rank in ranks)
    after = len(ranks) + 1
    assert after == full_rank(network, layer) or lowrank_macs(network, layer, after) >= layer.macs
    rank = rank_for(network, layer, share)
    assert rank in range(len(ranks) + 1)
    assert not rank or lowrank_macs(network, layer, rank) <= share * layer.macs


def test_layers_without_constant_weights_have_no_rank():
    """Pools and products of two activations are refused by name, and have no rank for any share."""
    network = one_layer("Relu", [(1, 8)])
    with pytest.raises(InputError, match="Relu has no weights to factor"):
        lowrank(network, {"layer": 1})
    assert rank_for(network, network.layers[0], 0.5) == 0
    with pytest.raises(InputError, match="share of work"):
        rank_for(network, network.layers[0], 0.0)


def test_every_worker_runs_both_factors():
    """CPU and GPU workers within rounding of the executor; FPGA golden and HLS C++ bit for bit."""
    rng = np.random.default_rng(0)
    network = lowrank(convolution(rng, pads=(1, 1, 1, 1), residual=True), {"layer": 6})
    inputs = random_inputs(network, rng)
    expected = execute(network, inputs, keep=True)
    for worker in (CpuWorker(1), GpuWorker(1)):
        values = dict(inputs)
        for layer in network.layers:
            worker.load(network, layer)
            values[layer.outputs[0]] = worker.run(layer, values)[0]
        worker.close()
        assert np.allclose(values["y"], expected["y"], atol=1e-4)
    quantized = quantize(network, [inputs])
    results = []
    for device in ("golden", "functional"):
        worker = FpgaWorker(quantized, hw.config("ultra96"), device)
        codes = {name: quantized.encode(name, value) for name, value in inputs.items()}
        for layer in network.layers:
            worker.load(network, layer)
            codes[layer.outputs[0]] = worker.run(layer, codes)[0]
        worker.close()
        results.append(codes["y"])
    assert (results[0] == results[1]).all()
    error = np.abs(quantized.decode("y", results[0]) - expected["y"]).max()
    assert error < 0.05 * np.abs(expected["y"]).max()
