"""Whole networks: nothing lost, shapes and work right, results those of ONNX Runtime."""

import importlib.util
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from heterolith.errors import InputError
from heterolith.sw.execute import execute
from heterolith.sw.network import TensorType
from heterolith.sw.onnx_import import from_model, load_onnx, node_names

from .onnx_models import FLOAT, accounted, chain, node, onnxruntime_outputs

_SPEC = importlib.util.spec_from_file_location(
    "networks", Path(__file__).parents[2] / "benchmarks" / "networks.py"
)
networks = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(networks)
PATHS = networks.paths()

# 10^9 multiply-accumulates of convolutions and fully connected layers at 224 x 224, batch 1.
GIGA_MACS = {
    "alexnet": 0.655,
    "densenet121": 2.834,
    "inception_v1": 1.431,
    "inception_v2": 2.018,
    "resnet50": 4.089,
    "shufflenet": 0.124,
    "squeezenet": 0.349,
    "vgg19": 19.632,
    "zfnet512": 1.482,
}


def test_there_are_nine():
    """The wheel holds the networks the table speaks of."""
    assert PATHS.keys() == GIGA_MACS.keys()


@pytest.mark.parametrize("name", GIGA_MACS)
def test_every_node_is_accounted_for_once(name):
    """Each ONNX node is in one layer or removed with a reason; names are unique."""
    nodes = list(onnx.load(PATHS[name]).graph.node)
    network = load_onnx(PATHS[name])
    told = accounted(network)
    assert len(told) == len(set(told)) == len(nodes)
    assert set(told) == set(node_names(nodes))
    assert all(reason for _, reason in network.removed)
    names = [layer.name for layer in network.layers]
    assert len(names) == len(set(names))
    assert all(layer.name == layer.nodes[0] for layer in network.layers)


@pytest.mark.parametrize("name", GIGA_MACS)
def test_work_is_that_of_the_literature(name):
    """Multiply-accumulates of convolutions and gemms agree to the last digit of the table."""
    nodes = list(onnx.load(PATHS[name]).graph.node)
    products = {
        name
        for name, entry in zip(node_names(nodes), nodes, strict=True)
        if entry.op_type in ("Conv", "Gemm")
    }
    layers = load_onnx(PATHS[name]).layers
    total = sum(layer.macs for layer in layers if products.intersection(layer.nodes))
    assert total / 1e9 == pytest.approx(GIGA_MACS[name], abs=1.1e-3)


@pytest.mark.parametrize("name", GIGA_MACS)
def test_fusion_leaves_no_batch_normalization_or_lone_relu(name):
    """What can be fused is: only the Relus behind concatenations of shufflenet stay."""
    ops = [layer.op for layer in load_onnx(PATHS[name]).layers]
    assert "BatchNormalization" not in ops
    assert ops.count("Relu") == (3 if name == "shufflenet" else 0)
    assert not {"Mul", "Add", "Sum", "Unsqueeze", "ConstantOfShape", "Dropout"}.intersection(ops)


def in_float64(network):
    """Return a network with float64 in place of float32."""
    constants = {}
    for name, value in network.constants.items():
        constants[name] = value.astype(np.float64) if value.dtype == np.float32 else value
    tensors = {
        name: TensorType(kind.shape, kind.dtype.replace("32", "64"))
        for name, kind in network.tensors.items()
    }
    return replace(network, constants=constants, tensors=tensors)


@pytest.mark.parametrize("name", GIGA_MACS)
def test_reference_outputs_of_the_wheel(name):
    """The outputs shipped beside the model are met at the tolerances of onnx's own runner."""
    network = load_onnx(PATHS[name])
    (source,), (result,) = network.inputs, network.outputs
    image = networks.ramp(network.tensors[source].shape)
    if name == "squeezenet":  # its scores are 9e9 with float32 steps of 1024 before the softmax
        got = execute(in_float64(network), {source: image.astype(np.float64)}, threads=2)[result]
    else:
        got = execute(network, {source: image}, threads=2)[result]
    stored = PATHS[name].with_name(f"{PATHS[name].stem}_output_0.pb").read_bytes()
    expected = numpy_helper.to_array(onnx.TensorProto.FromString(stored))
    rtol = 2e-3 if name == "densenet121" else 1e-3
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-7)
    (from_ort,) = onnxruntime_outputs(str(PATHS[name]), {source: image})
    assert np.abs(got - from_ort).max() <= 1e-3 * np.abs(from_ort).max()


@pytest.mark.parametrize("name", GIGA_MACS)
def test_random_weights_agree_with_onnxruntime(name):
    """With weights that make outputs differ, every class score is that of ONNX Runtime."""
    model = networks.randomize(PATHS[name], seed=1)
    network = from_model(model, name)
    (source,), (result,) = network.inputs, network.outputs
    rng = np.random.default_rng(2)
    image = rng.standard_normal(network.tensors[source].shape, np.float32)
    got = execute(network, {source: image}, threads=2)[result]
    (expected,) = onnxruntime_outputs(model, {source: image})
    assert len(np.unique(expected)) > 700
    scale = np.abs(expected).max()
    assert np.abs(got - expected).max() <= 1e-3 * scale
    assert np.abs(expected.mean() - expected).max() > 0.1 * scale
    assert network.tensors[result].shape == expected.shape


def test_import_is_quick_and_light():
    """densenet121 takes below 5 s, vgg19's 575 MB of equal weights take below 50 MB."""
    start = time.perf_counter()
    load_onnx(PATHS["densenet121"])
    assert time.perf_counter() - start < 5
    tracemalloc.start()
    network = load_onnx(PATHS["vgg19"])
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(value.nbytes for value in network.constants.values()) > 570e6
    assert peak_bytes < 50e6


def test_weights_are_held_once(tmp_path):
    """Importing a file takes little more memory than its weights, and they are the file's."""
    model = networks.randomize(PATHS["squeezenet"], seed=3)
    path = tmp_path / "squeezenet.onnx"
    onnx.save(model, path)
    load_onnx(path)  # loads the modules it needs
    tracemalloc.start()
    network = load_onnx(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1.3 * path.stat().st_size
    stored = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    for layer in network.layers:
        for name in set(layer.inputs) & stored.keys():
            np.testing.assert_array_equal(network.constants[name], stored[name])
    assert network.path == str(path)
    assert network.name == "squeezenet"
    assert network.opset == 9
    assert from_model(model, "squeezenet").fingerprint() == network.fingerprint()


def test_constants_cannot_be_written():
    """A network is frozen down to its weights."""
    network = load_onnx(PATHS["squeezenet"])
    for value in network.constants.values():
        assert not value.flags.writeable


@given(st.lists(st.sampled_from(["", "a", "b", "Conv_0", "Conv_1", "a_2", "a_2_"]), max_size=8))
def test_node_names_are_unique(given_names):
    """Names are unique, and a name given once is kept."""
    nodes = [helper.make_node("Conv", [], [], name=name) for name in given_names]
    names = node_names(nodes)
    assert len(names) == len(set(names)) == len(given_names)
    assert names == node_names(nodes)
    for name, given_name in zip(names, given_names, strict=True):
        if given_name and given_names.count(given_name) == 1 and given_name[-1] != "_":
            assert name.startswith(given_name)


def test_stored_tensors_listed_as_inputs_are_none():
    """Before IR 4 initializers are graph inputs too; the network has the others alone."""
    model = chain(("Add", ["x", "c"], ["y"], {}), constants={"c": np.ones(4)})
    model.graph.input.append(helper.make_tensor_value_info("c", FLOAT, [4]))
    model.ir_version = 3
    assert from_model(model, "ir3").inputs == ("x",)


def test_model_functions_are_inlined():
    """A function that the model itself defines is replaced by its nodes."""
    model = chain(("Twice", ["x"], ["y"], {"domain": "own"}))
    body = [node("Add", ["a", "a"], ["b"])]
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 13)]
    )
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    network = from_model(model, "function")
    assert [layer.op for layer in network.layers] == ["Add"]


def test_the_model_is_left_unchanged():
    """Importing a model in memory does not write to it."""
    model = networks.randomize(PATHS["squeezenet"], seed=4)
    before = model.SerializeToString(deterministic=True)
    from_model(model, "squeezenet")
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("op", "value", "message"),
    [
        ("Conv", np.nan, r"tensor 'w' of node 'Conv_0' \(Conv\) holds NaN; weights must be finite"),
        ("Conv", np.inf, r"tensor 'w' of node 'Conv_0' \(Conv\) holds Inf; weights must be finite"),
        ("Add", np.nan, r"tensor 'w' of node 'Add_0' \(Add\) holds NaN; weights must be finite"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(op, value, message):
    """The tensor and the node that reads it are named."""
    weights = np.ones((4, 3, 1, 1) if op == "Conv" else (3, 1, 1), np.float32)
    weights[2, 0] = value
    with pytest.raises(InputError, match=message):
        from_model(chain((op, ["x", "w"], ["y"], {}), constants={"w": weights}), "broken")


def test_infinity_that_is_meant_is_kept():
    """A mask of minus infinity is no broken weight."""
    model = chain(("Add", ["x", "w"], ["y"], {}), constants={"w": np.array([0, -np.inf, 0, 0])})
    assert from_model(model, "mask").layers[0].op == "Add"
