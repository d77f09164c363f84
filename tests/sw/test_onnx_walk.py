"""Nodes become constants, aliases or layers; shapes are constants."""

import numpy as np
import onnx
import pytest
from onnx import helper

from heterolith.errors import InputError
from heterolith.sw import backend, load_onnx
from heterolith.sw.execute import execute
from heterolith.sw.onnx_import import from_model, node_names

from .onnx_models import accounted, chain, random_inputs


def test_shape_arithmetic_is_computed_at_import():
    """A reshape to sizes taken from the input's shape becomes one layer with a constant shape."""
    model = chain(
        ("Shape", ["x"], ["s"], {}),
        ("Gather", ["s", "zero"], ["n"], {"axis": 0}),
        ("Unsqueeze", ["n", "axes"], ["u"], {}),
        ("Concat", ["u", "rest"], ["target"], {"axis": 0}),
        ("Reshape", ["x", "target"], ["y"], {}),
        constants={"zero": np.int64(0), "axes": np.array([0]), "rest": np.array([-1])},
    )
    network = from_model(model, "chain")
    assert [layer.op for layer in network.layers] == ["Reshape"]
    assert network.tensors["y"].shape == (2, 48)
    assert {reason for _, reason in network.removed} == {"constant: computed at import"}
    assert len(accounted(network)) == 5


def test_layers_that_only_gave_a_shape_are_removed():
    """A computation of which only the shape is used is not part of the network."""
    model = chain(
        ("Relu", ["x"], ["r"], {}),
        ("Shape", ["r"], ["s"], {}),
        ("Expand", ["one", "s"], ["e"], {}),
        ("Add", ["x", "e"], ["y"], {}),
        ("Exp", ["x"], ["unused"], {}),
        constants={"one": np.float32(1)},
    )
    network = from_model(model, "shape only")
    assert [layer.op for layer in network.layers] == ["Add"]
    assert dict(network.removed) == {
        "Relu_0": "only constants depended on it",
        "Shape_1": "constant: computed at import",
        "Expand_2": "constant: computed at import",
        "Exp_4": "no network output depends on it",
    }


def test_open_dimensions_are_fixed_by_the_caller():
    """A shape for a dynamic input goes through to all tensors."""
    model = chain(
        ("Conv", ["x", "w"], ["c"], {}),
        ("Flatten", ["c"], ["y"], {}),
        inputs={"x": ("N", 3, "H", "W")},
        constants={"w": np.ones((2, 3, 3, 3))},
    )
    network = from_model(model, "open", {"x": (5, 3, 6, 7)})
    assert network.tensors["x"].shape == (5, 3, 6, 7)
    assert network.tensors["c"].shape == (5, 2, 4, 5)
    assert network.layers[0].macs == 5 * 2 * 4 * 5 * 27


def test_outputs_keep_their_names():
    """Outputs that are copies, inputs or constants are there under their ONNX names."""
    model = chain(
        ("Relu", ["x"], ["r"], {}),
        ("Identity", ["r"], ["i"], {}),
        ("Identity", ["i"], ["first"], {}),
        ("Identity", ["r"], ["second"], {}),
        ("Identity", ["x"], ["third"], {}),
        ("Shape", ["x"], ["fourth"], {}),
        outputs=("first", "second", "third", "fourth", "x"),
    )
    network = from_model(model, "outputs")
    inputs = random_inputs(model)
    results = execute(network, inputs)
    relu = np.maximum(inputs["x"], 0)
    for name, expected in zip(
        network.outputs, [relu, relu, inputs["x"], [2, 3, 4, 4], inputs["x"]], strict=True
    ):
        np.testing.assert_array_equal(results[name], expected)
    assert sorted(accounted(network)) == sorted(node_names(model.graph.node))


def test_shape_that_depends_on_values_is_refused():
    """A reshape to a shape that is an input of the network cannot be planned."""
    model = chain(("Reshape", ["x", "s"], ["y"], {}))
    model.graph.input.append(helper.make_tensor_value_info("s", onnx.TensorProto.INT64, [2]))
    with pytest.raises(InputError, match=r"node 'Reshape_0' .* depends on values computed at run"):
        from_model(model, "dynamic")


def test_a_result_of_untold_length_names_its_layer_and_both_remedies(tmp_path):
    """What the message proposes works: planning the part in front, or running the whole model."""
    model = chain(
        ("Relu", ["x"], ["r"], {}), ("NonZero", ["r"], ["y"], {}), inputs={"x": (2, 3)}, opset=13
    )
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 7, [2, "n"]))
    with pytest.raises(InputError) as caught:
        from_model(model, "dynamic")
    message = str(caught.value)
    assert message.startswith("node 'NonZero_1' (NonZero")
    assert "extract_model(..., output_names=['r'])" in message
    assert "heterolith.sw.backend" in message
    whole, part = tmp_path / "whole.onnx", tmp_path / "part.onnx"
    onnx.save(model, whole)
    onnx.utils.extract_model(whole, part, ["x"], ["r"])
    assert [layer.op for layer in load_onnx(part).layers] == ["Relu"]
    x = np.float32([[1, -1, 2], [0, 0, 3]])
    (found,) = backend.run_model(model, [x])
    np.testing.assert_array_equal(found, np.nonzero(np.maximum(x, 0)))


def test_empty_result_is_refused():
    """A layer without elements is no work for any device."""
    with pytest.raises(InputError, match=r"result 'y' of shape \[2, 0, 4, 4\] has no elements"):
        from_model(
            chain(("Slice", ["x"], ["y"], {"starts": [3], "ends": [9], "axes": [1]}), opset=9), ""
        )
