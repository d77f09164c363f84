"""The GPU worker finds a provider that computes, and says which."""

import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from heterolith.errors import InputError, MissingExtraError
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
    object.__setattr__(network.layers[0], "attributes", {"beta": 1})
    worker = gpu.GpuWorker(1)
    with pytest.raises(InputError, match=r"^layer 'layer' \(Relu\): ONNX Runtime on .*") as caught:
        worker.load(network, network.layers[0])
    assert "\n" not in str(caught.value)
