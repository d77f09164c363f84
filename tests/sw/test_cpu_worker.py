"""The CPU and GPU workers agree with each other and with the plain operators."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.execute import execute
from heterolith.sw.fast import Options
from heterolith.sw.network import Activation, TensorType
from heterolith.sw.workers.cpu import CpuWorker
from heterolith.sw.workers.gpu import GpuWorker

from .drawn import DRAWN

ACTIVATIONS = [None, Activation(), Activation(0.0, 6.0), Activation(-0.5, np.inf)]


@pytest.fixture(scope="module")
def workers():
    """CPU workers of one to three threads and a GPU worker."""
    team = [CpuWorker(1), CpuWorker(2), CpuWorker(3), GpuWorker(1)]
    yield team
    for worker in team:
        worker.close()


def normal(seed, *shape):
    """Return a standard normal float32 array."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def check_agreement(workers, network, inputs, exact=False):
    """Compare every worker with `execute` on all outputs of the only layer."""
    (layer,) = network.layers
    expected = execute(network, inputs, keep=True)
    for worker in workers:
        worker.load(network, layer)
        results = worker.run(layer, inputs)
        for name, value in zip(layer.outputs, results, strict=True):
            assert (value.shape, value.dtype) == (expected[name].shape, expected[name].dtype)
            tolerance = {"rtol": 0, "atol": 0} if exact else {"rtol": 1e-4, "atol": 2e-5}
            np.testing.assert_allclose(value, expected[name], **tolerance)


@st.composite
def convolutions(draw):
    """Draw attributes and shapes of x and w, with groups up to depthwise."""
    group, each = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    kernels = group * draw(st.integers(1, 3))
    rank = draw(st.integers(1, 3))
    kernel = draw(st.lists(st.integers(1, 3), min_size=rank, max_size=rank))
    size = draw(st.lists(st.integers(3, 9), min_size=rank, max_size=rank))
    attributes = {
        "group": group,
        "strides": draw(st.lists(st.integers(1, 2), min_size=rank, max_size=rank)),
        "pads": draw(st.lists(st.integers(0, 2), min_size=2 * rank, max_size=2 * rank)),
    }
    return attributes, (draw(st.integers(1, 2)), group * each, *size), (kernels, each, *kernel)


@DRAWN
@given(
    case=convolutions(),
    bias=st.booleans(),
    residual=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS),
)
def test_workers_agree_on_convolutions(
    layer_network, workers, many_parts, case, bias, residual, activation
):
    """Any convolution, cut into many parts, with everything fused into it."""
    attributes, x_shape, w_shape = case
    inputs = [normal(0, *x_shape), normal(1, *w_shape), normal(2, w_shape[0]) if bias else None]
    plain, given_inputs = layer_network("Conv", attributes, inputs, constant=(1, 2))
    if residual:
        shape = plain.tensors["y0"].shape
        network, given_inputs = layer_network(
            "Conv",
            attributes,
            inputs,
            constant=(1, 2),
            residual=normal(3, *shape),
            activation=activation,
        )
    else:
        network, given_inputs = layer_network(
            "Conv", attributes, inputs, constant=(1, 2), activation=activation
        )
    check_agreement(workers, network, given_inputs)


X = normal(0, 2, 6, 9, 8)
FLAT = normal(1, 3, 40)
SQUARE = {"kernel_shape": (3, 3), "strides": (2, 2), "pads": (0, 1, 1, 1)}
LAYERS = [
    ("MaxPool", {**SQUARE, "ceil_mode": 1}, [X], ()),
    ("MaxPool", {"kernel_shape": (2, 3), "dilations": (2, 1)}, [X], ()),
    ("AveragePool", {**SQUARE, "count_include_pad": 1}, [X], ()),
    ("AveragePool", {**SQUARE, "count_include_pad": 0, "ceil_mode": 1}, [X], ()),
    ("AveragePool", SQUARE, [X], ()),
    ("AveragePool", {"kernel_shape": (3, 3), "dilations": (2, 2)}, [X], ()),
    ("GlobalAveragePool", {}, [X], ()),
    ("LRN", {"size": 5, "alpha": 0.5, "beta": 0.75, "bias": 2.0}, [X], ()),
    ("LRN", {"size": 3, "beta": 0.6}, [X], ()),
    ("Gemm", {"transB": 1}, [FLAT, normal(2, 7, 40), normal(3, 7)], (1, 2)),
    ("Gemm", {"transA": 1, "alpha": 0.5, "beta": 2.0}, [FLAT, normal(2, 3, 7)], (1,)),
    ("Gemm", {}, [FLAT, normal(2, 40, 7), np.broadcast_to(np.float32(3), (3, 1))], (1, 2)),
    ("Gemm", {}, [FLAT, normal(2, 40, 7), np.float32(3.0).reshape(())], (1, 2)),
    ("MatMul", {}, [FLAT, np.broadcast_to(np.float32(0.02), (40, 5))], (1,)),
    ("ConvTranspose", {"strides": (2, 2)}, [X, normal(2, 6, 4, 3, 3), normal(3, 4)], (1, 2)),
    ("Add", {}, [X, normal(4, 6, 1, 1)], (1,)),
    ("Mul", {}, [X, X[:, :1]], ()),
    ("PRelu", {}, [X, normal(5, 6, 1, 1)], (1,)),
    ("Sigmoid", {}, [X], ()),
    ("Gelu", {}, [X], ()),
    ("Softmax", {"axis": 1, "flatten": 1}, [X], ()),
    ("Softmax", {"axis": -1}, [X], ()),
    ("Clip", {}, [X, None, np.array(0.5, np.float32)], (2,)),
    ("Concat", {"axis": 1}, [X, X[:, :2], X], ()),
    ("Reshape", {"allowzero": 0}, [X, np.array([0, -1])], (1,)),
    ("Transpose", {"perm": (0, 2, 3, 1)}, [X], ()),
    ("Pad", {"mode": "edge"}, [X, np.array([1, 2, 0, 1]), None, np.array([-1, 2])], (1, 3)),
    ("Resize", {"mode": "linear"}, [X, None, np.float32([1, 1, 2, 1.5])], (2,)),
    ("ReduceMean", {"keepdims": 0}, [X, np.array([2, 3])], (1,)),
    ("BatchNormalization", {}, [X, *[np.abs(normal(s, 6)) for s in range(4)]], (1, 2, 3, 4)),
]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("op", "attributes", "inputs", "constant"), LAYERS)
def test_workers_agree_on_layers(
    layer_network, workers, many_parts, op, attributes, inputs, constant, activation
):
    """Every kind of layer, with residual and clamp."""
    network, given_inputs = layer_network(op, attributes, inputs, constant=constant)
    check_agreement(workers, network, given_inputs)
    residual = normal(9, *network.tensors["y0"].shape)
    network, given_inputs = layer_network(
        op, attributes, inputs, constant=constant, residual=residual, activation=activation
    )
    check_agreement(workers, network, given_inputs)


def test_workers_agree_on_layers_of_several_outputs(layer_network, workers):
    """Split and max pooling with indices return all their outputs."""
    sizes = np.array([1, 2, 3])
    network, inputs = layer_network("Split", {"axis": 1}, [X, sizes], constant=(1,), n_outputs=3)
    check_agreement(workers, network, inputs, exact=True)
    network, inputs = layer_network("MaxPool", SQUARE, [X], n_outputs=2)
    check_agreement(workers, network, inputs, exact=True)


@pytest.mark.parametrize("threads", [1, 2])
def test_layers_of_real_size_agree(layer_network, threads):
    """The cuts of layers large enough for several threads are whole, by rows and by kernels."""
    worker, reference = CpuWorker(threads), GpuWorker(1)
    for size, channels, kernels, kernel in [(28, 96, 96, 3), (7, 256, 512, 3), (56, 64, 64, 1)]:
        x, w = normal(0, 1, channels, size, size), normal(1, kernels, channels, kernel, kernel)
        w /= np.float32(np.sqrt(w[0].size))
        attributes = {"pads": (kernel // 2,) * 4}
        network, inputs = layer_network("Conv", attributes, [x, w], constant=(1,))
        (layer,) = network.layers
        results = []
        for each in (worker, reference):
            each.load(network, layer)
            results.append(each.run(layer, inputs)[0])
        np.testing.assert_allclose(*results, rtol=1e-3, atol=1e-5)
    worker.close()


def test_workers_side_by_side_do_not_disturb_each_other(chain_network, many_parts):
    """Several workers in several threads give what one gives, run after run."""
    network, inputs = chain_network
    expected = execute(network, inputs)["y"]
    failures = []

    def serve(threads):
        worker = CpuWorker(threads)
        for layer in network.layers:
            worker.load(network, layer)
        for _ in range(10):
            arrays = dict(inputs)
            for layer in network.layers:
                arrays.update(zip(layer.outputs, worker.run(layer, arrays), strict=True))
            if not np.allclose(arrays["y"], expected, rtol=1e-5, atol=1e-7):
                failures.append(threads)
        worker.close()

    threads = [threading.Thread(target=serve, args=(count,)) for count in (1, 2, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_results_of_earlier_runs_stay(layer_network):
    """Memory is used again only when nobody holds the earlier result."""
    worker = CpuWorker(2)
    network, _ = layer_network("Conv", {}, [normal(0, 1, 8, 64, 64), normal(1, 8, 8, 1, 1)])
    (layer,) = network.layers
    worker.load(network, layer)
    results = []
    for factor in (1.0, 2.0, 3.0):
        inputs = {"x0": factor * np.ones((1, 8, 64, 64), np.float32), "x1": normal(1, 8, 8, 1, 1)}
        results.append(worker.run(layer, {k: v.astype(np.float32) for k, v in inputs.items()})[0])
    np.testing.assert_allclose(results[1], 2 * results[0], rtol=1e-5)
    np.testing.assert_allclose(results[2], 3 * results[0], rtol=1e-5)
    worker.close()
    np.testing.assert_allclose(results[1], 2 * results[0], rtol=1e-5)


@pytest.mark.parametrize("kind", [CpuWorker, GpuWorker])
def test_a_worker_describes_itself_and_counts(kind, chain_network):
    """Kind, format and backend are set; counters grow with each run."""
    network, inputs = chain_network
    worker = kind(2)
    assert worker.kind in ("cpu", "gpu")
    assert worker.number_format == "float32"
    assert "2 threads" in worker.backend or "Provider" in worker.backend
    layer = network.layers[0]
    worker.load(network, layer)
    worker.load(network, layer)
    for _ in range(3):
        worker.run(layer, inputs)
    counters = worker.counters()
    assert (counters["layers"], counters["macs"]) == (3, 3 * layer.macs)
    assert counters["busy_ns"] > 0
    worker.close()
    with pytest.raises(InputError, match=r"'conv1' is not loaded"):
        worker.run(layer, inputs)


@pytest.mark.parametrize("kind", [CpuWorker, GpuWorker])
def test_a_worker_refuses_what_it_cannot_do(kind, chain_network, layer_network):
    """Unloaded layers, wrong types, unknown operators and no threads are refused by name."""
    network, inputs = chain_network
    layer = network.layers[0]
    worker = kind(1)
    with pytest.raises(InputError, match="'conv1' is not loaded"):
        worker.run(layer, inputs)
    worker.load(network, layer)
    with pytest.raises(InputError, match=r"layer 'conv1' \(Conv\): input 'x' is missing"):
        worker.run(layer, {})
    with pytest.raises(InputError, match=r"float64 .* needs float32 of shape \(1, 3, 12, 12\)"):
        worker.run(layer, {"x": inputs["x"].astype(float)})
    with pytest.raises(InputError, match=r"\(1, 3, 12, 11\)"):
        worker.run(layer, {"x": inputs["x"][..., 1:]})
    strange, _ = layer_network("Relu", {}, [X])
    object.__setattr__(strange.layers[0], "op", "Reluu")
    with pytest.raises(InputError, match=r"layer 'layer' \(Reluu\)"):
        worker.load(strange, strange.layers[0])
    worker.close()
    with pytest.raises(InputError, match="0 threads"):
        kind(0)


@pytest.mark.parametrize("runs", [0, 2])
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"b": np.zeros((1, 8, 12, 11), np.float32)}, r"'b' is float32 of shape \(1, 8, 12, 11\)"),
        ({"b": np.zeros((1, 8, 12, 12))}, "'b' is float64 of shape"),
        ({"b": np.zeros((1, 8, 12, 12), np.float32).tolist()}, "'b' is a list, no numpy array"),
        ({"b": None}, "'b' is a NoneType, no numpy array"),
        ({"a": np.zeros((1, 8, 1, 1), np.float32)}, r"'a' is float32 of shape \(1, 8, 1, 1\)"),
    ],
)
def test_wrong_activations_are_refused_before_and_after_a_run(chain_network, runs, wrong, words):
    """Each that a layer reads is looked at, its residual included, and later runs are right."""
    network, _ = chain_network
    layer, worker = network.layers[2], CpuWorker(1)
    inputs = {name: normal(seed, 1, 8, 12, 12) for seed, name in enumerate("ba")}
    worker.load(network, layer)
    for _ in range(runs):
        worker.run(layer, inputs)
    with pytest.raises(InputError, match=rf"layer 'conv3' \(Conv\): input {words}.*chain needs"):
        worker.run(layer, {**inputs, **wrong})
    expected = np.einsum("nchw,kc->nkhw", inputs["b"], network.constants["w3"][:, :, 0, 0])
    (result,) = worker.run(layer, inputs)
    np.testing.assert_allclose(result, np.clip(expected + inputs["a"], 0, 6), rtol=1e-4, atol=1e-5)
    worker.close()


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_missing_activation_is_refused_after_a_run(chain_network, name):
    """As one that the operator or what is fused behind it could do without."""
    network, _ = chain_network
    layer, worker = network.layers[2], CpuWorker(1)
    inputs = {name: normal(seed, 1, 8, 12, 12) for seed, name in enumerate("ba")}
    worker.load(network, layer)
    worker.run(layer, inputs)
    with pytest.raises(InputError, match=f"input '{name}' is missing"):
        worker.run(layer, {key: value for key, value in inputs.items() if key != name})
    worker.close()


def test_a_worker_takes_arrays_of_a_subclass(layer_network, tmp_path):
    """Such as those that lie in a file."""
    network, _ = layer_network("Relu", {}, [X])
    (layer,), worker = network.layers, CpuWorker(1)
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=X.shape)
    mapped[:] = X
    worker.load(network, layer)
    np.testing.assert_array_equal(worker.run(layer, {"x0": mapped})[0], np.maximum(X, 0))
    worker.close()


@pytest.mark.parametrize("unknown", [("y0",), ("y1",), ("y0", "y1")])
def test_a_result_of_unknown_type_is_given_as_it_is(layer_network, unknown):
    """The network may not say what type it has."""
    network, inputs = layer_network("MaxPool", SQUARE, [X], n_outputs=2)
    (layer,), worker = network.layers, CpuWorker(1)
    expected = execute(network, inputs)
    tensors = {name: kind for name, kind in network.tensors.items() if name not in unknown}
    worker.load(replace(network, tensors=tensors), layer)
    for _ in range(2):
        for name, value in zip(layer.outputs, worker.run(layer, inputs), strict=True):
            np.testing.assert_array_equal(value, expected[name])
    worker.close()


@pytest.mark.parametrize("unknown", [(), ("y1",)])
@pytest.mark.parametrize("kind", [TensorType((2, 6, 4, 9)), TensorType((2, 6, 4, 4), "float64")])
def test_a_result_of_another_type_than_the_networks_is_refused(layer_network, unknown, kind):
    """Whether the types of the other results are known or not."""
    network, inputs = layer_network("MaxPool", SQUARE, [X], n_outputs=2)
    (layer,), worker = network.layers, CpuWorker(1)
    tensors = {name: kind for name, kind in network.tensors.items() if name not in unknown}
    worker.load(replace(network, tensors={**tensors, "y0": kind}), layer)
    with pytest.raises(InputError, match=r"result 'y0' is float32 of shape .* net says"):
        worker.run(layer, inputs)
    worker.close()


def test_a_whole_network_is_compiled_for_the_worker(chain_network):
    """It has the worker's threads and gives what its layers give one by one."""
    network, inputs = chain_network
    worker = CpuWorker(2)
    compiled = worker.compile(network, Options(tune_s=0.0))
    assert compiled.threads == 2
    np.testing.assert_allclose(
        compiled.run(inputs)["y"], execute(network, inputs)["y"], rtol=1e-4, atol=1e-6
    )
    compiled.close()
    worker.close()
