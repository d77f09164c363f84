"""The GPU worker finds a provider that computes, and says which."""

import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from heterolith.errors import InputError, MissingExtraError
from heterolith.sw.execute import execute
from heterolith.sw.network import Activation, TensorType
from heterolith.sw.workers import gpu
from heterolith.sw.workers.onnx_layer import layer_model

X = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32)


@pytest.fixture
def fresh_probe():
    """Forget which providers were found, before and after a test."""
    gpu.working_providers.cache_clear()
    yield
    gpu.working_providers.cache_clear()


def test_backend_says_what_computes():
    """The name of the provider is in the backend; without a GPU the reader is told."""
    worker = gpu.GpuWorker(1)
    assert worker.backend.startswith(f"onnxruntime {onnxruntime.__version__} ")
    assert worker.on_gpu == ("CPUExecutionProvider" not in worker.backend)
    assert worker.on_gpu != ("no GPU found" in worker.backend)
    worker.close()


def test_a_missing_runtime_names_the_extra(monkeypatch):
    """Without onnxruntime or onnx the user learns what to install."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"onnxruntime is not installed.*verify"):
        gpu.GpuWorker()


def test_a_missing_onnx_names_the_extra(monkeypatch, layer_network):
    """Models of layers are written with onnx."""
    network, _ = layer_network("Relu", {}, [X])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="onnx is not installed"):
        layer_model(network, network.layers[0])


def test_the_cpu_provider_really_computes():
    """The probe is a real inference."""
    assert gpu.computes({"CPUExecutionProvider": {}})


def test_a_listed_provider_that_does_not_work_is_passed_over(monkeypatch, fresh_probe):
    """Being listed as available is not enough: on a machine without them both probes fail."""
    listed = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    works = [name for name in listed if gpu.computes({name: {}})]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    found = gpu.working_providers()
    assert list(found) == (works[:-1] or works)


@pytest.mark.parametrize(
    ("working", "expected"),
    [
        ([("CUDAExecutionProvider", "0")], {"CUDAExecutionProvider": {"use_tf32": "0"}}),
        ([("CUDAExecutionProvider", None)], {"CUDAExecutionProvider": {}}),
        (
            [("TensorrtExecutionProvider", None), ("CUDAExecutionProvider", "0")],
            {"TensorrtExecutionProvider": {}, "CUDAExecutionProvider": {"use_tf32": "0"}},
        ),
        ([("CPUExecutionProvider", None)], {"CPUExecutionProvider": {}}),
    ],
)
def test_the_fastest_working_provider_comes_first(monkeypatch, fresh_probe, working, expected):
    """TensorRT leans on CUDA; TF32 is off where the runtime knows the switch."""

    def pretend(providers):
        ((name, settings),) = providers.items()
        return (name, settings.get("use_tf32")) in working

    listed = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: listed)
    monkeypatch.setattr(gpu, "computes", pretend)
    found = gpu.working_providers()
    assert list(found.items()) == list(expected.items())


def test_no_working_provider_is_an_error(monkeypatch, fresh_probe):
    """A runtime that computes nothing is reported."""
    monkeypatch.setattr(gpu, "computes", lambda providers: False)
    with pytest.raises(InputError, match="cannot compute; install it again"):
        gpu.GpuWorker()


def test_a_layer_the_gpu_refuses_runs_on_the_cpu_and_is_counted(monkeypatch, layer_network):
    """What a GPU's providers refuse is computed by the CPU provider, and counted."""
    network, inputs = layer_network("Conv", {}, [X, W], constant=(1,))
    worker = gpu.GpuWorker(1)
    worker.on_gpu = True
    given = []

    def refuse_first(model, providers, threads, opened=gpu.open_session):
        given.append(dict(providers))
        if len(given) == 1:
            raise InputError("refused")
        return opened(model, {"CPUExecutionProvider": {}}, threads)

    monkeypatch.setattr(gpu, "open_session", refuse_first)
    worker.load(network, network.layers[0])
    worker.run(network.layers[0], inputs)
    assert worker.counters()["layers_on_cpu"] == 1
    assert list(given[1])[-1] == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("activation", "nodes"),
    [
        (None, ["Conv", "Add"]),
        (Activation(), ["Conv", "Add", "Relu"]),
        (Activation(0.0, 6.0), ["Conv", "Add", "Clip"]),
    ],
)
def test_the_model_of_a_layer_holds_what_is_fused(layer_network, activation, nodes):
    """Residual and clamp follow the operator; constants are initializers of full size."""
    residual = np.ones((1, 4, 6, 6), np.float32)
    constant = np.broadcast_to(np.float32(0.02), W.shape)
    network, _ = layer_network(
        "Conv", {}, [X, constant], constant=(1,), residual=residual, activation=activation
    )
    model = onnx.load_from_string(layer_model(network, network.layers[0]))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == nodes
    assert [value.name for value in model.graph.input] == ["x0", "residual"]
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    np.testing.assert_array_equal(weights, constant)
    assert model.ir_version <= 9


def test_a_result_of_another_shape_is_refused(layer_network):
    """A runtime that disagrees on a shape is reported instead of passed on."""
    network, inputs = layer_network("Relu", {}, [X])
    types = {**network.tensors, "y0": TensorType((1, 3, 8, 9))}
    network = replace(network, tensors=types)
    worker = gpu.GpuWorker(1)
    worker.load(network, network.layers[0])
    with pytest.raises(
        InputError, match=r"'y0' the shape \(1, 3, 8, 8\), the network \(1, 3, 8, 9\)"
    ):
        worker.run(network.layers[0], inputs)


def test_a_session_error_is_one_line(layer_network):
    """What ONNX Runtime refuses is reported with the layer's name."""
    network, _ = layer_network("Relu", {}, [X])
    network = replace(network, tensors={**network.tensors, "y0": TensorType((1, 3, 8, 8), "int8")})
    worker = gpu.GpuWorker(1)
    with pytest.raises(InputError, match=r"^layer 'layer' \(Relu\): ONNX Runtime on .*") as caught:
        worker.load(network, network.layers[0])
    assert "\n" not in str(caught.value)


def normal(seed, *shape):
    """Return a standard normal float32 array."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def codes(seed, *shape):
    """Return 8-bit codes with their scale and zero point."""
    values = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    return [values, np.array(0.1, np.float32), np.array(120, np.uint8)]


RESULT = [np.array(0.9, np.float32), np.array(120, np.uint8)]
LATER = [
    ("AffineGrid", 20, {}, [normal(0, 1, 2, 3), np.array([1, 1, 4, 5])]),
    ("AveragePool", 19, {"kernel_shape": (3, 3), "dilations": (2, 2)}, [normal(0, 1, 2, 8, 8)]),
    ("Attention", 23, {"is_causal": 1}, [normal(seed, 1, 2, 4, 8) for seed in range(3)]),
    ("BitCast", 26, {"to": 6}, [normal(0, 3, 4)]),
    ("CumProd", 26, {}, [normal(0, 3, 4), np.array(1)]),
    (
        "DeformConv",
        19,
        {"kernel_shape": (2, 2)},
        [normal(0, 1, 2, 4, 4), normal(1, 3, 2, 2, 2), normal(2, 1, 8, 3, 3)],
    ),
    ("DFT", 20, {}, [normal(0, 1, 8, 1), None, np.array(1)]),
    ("Gelu", 20, {}, [normal(0, 3, 4)]),
    (
        "GroupNormalization",
        21,
        {"num_groups": 2},
        [normal(0, 1, 4, 3, 3), normal(1, 4), normal(2, 4)],
    ),
    ("Pad", 20, {"mode": "wrap"}, [normal(0, 3, 4), np.array([0, 2, 0, 1])]),
    ("RMSNormalization", 23, {"axis": -1}, [normal(0, 3, 8), normal(1, 8)]),
    ("RotaryEmbedding", 23, {}, [normal(0, 1, 2, 4, 8), normal(1, 1, 4, 4), normal(2, 1, 4, 4)]),
    ("Swish", 24, {"alpha": 1.5}, [normal(0, 3, 4)]),
    ("TensorScatter", 24, {}, [normal(0, 2, 3, 5, 4), normal(1, 2, 3, 2, 4), np.array([0, 2])]),
    ("QGemm", 18, {"transB": 1}, [*codes(0, 3, 4), *codes(1, 5, 4), None, *RESULT]),
    ("QLinearAdd", 18, {}, [*codes(0, 3, 4), *codes(1, 3, 4), *RESULT]),
    ("QLinearMul", 18, {}, [*codes(0, 3, 4), *codes(1, 3, 4), *RESULT]),
    ("QLinearGlobalAveragePool", 18, {}, [*codes(0, 1, 3, 4, 4), *RESULT]),
]


@pytest.mark.parametrize(("op", "opset", "attributes", "inputs"), LATER, ids=[x[0] for x in LATER])
def test_a_later_operator_takes_the_set_it_came_with(layer_network, op, opset, attributes, inputs):
    """ONNX Runtime computes what numpy computes, whichever operator set that needs."""
    known = [at for at, x in enumerate(inputs) if x is not None and x.dtype != np.float32]
    constant = [at for at, x in enumerate(inputs) if at in known or (x is not None and not x.ndim)]
    if inputs[0].dtype != np.float32:
        constant.remove(0)
    network, given = layer_network(op, attributes, inputs, constant=constant)
    model = onnx.load_from_string(layer_model(network, network.layers[0]))
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == opset
    worker = gpu.GpuWorker(1)
    worker.load(network, network.layers[0])
    expected, found = execute(network, given)["y0"], worker.run(network.layers[0], given)[0]
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_later_operator_keeps_the_set_of_its_network(layer_network):
    """Attention has the form of the set in which its model was written."""
    inputs = [normal(seed, 1, 2, 4, 8) for seed in range(3)]
    network, _ = layer_network("Attention", {}, inputs)
    network = replace(network, opset=24)
    model = onnx.load_from_string(layer_model(network, network.layers[0]))
    assert model.opset_import[0].version == 24


def test_an_attribute_that_no_set_has_is_refused(layer_network):
    """A layer that cannot be written down is named."""
    network, _ = layer_network("Relu", {}, [X])
    object.__setattr__(network.layers[0], "attributes", {"beta": 1})
    with pytest.raises(InputError, match="have no Relu with 1 inputs and beta"):
        layer_model(network, network.layers[0])
