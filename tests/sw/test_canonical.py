"""Operators of every operator set reach one form and mean what they meant."""

import numpy as np
import onnx
import pytest
from onnx import helper

from heterolith.errors import InputError
from heterolith.sw import ops
from heterolith.sw.execute import execute
from heterolith.sw.onnx_import import from_model

from .onnx_models import build, chain, node, onnxruntime_outputs, random_inputs
from .opset_cases import BATCH, CASES, IMAGE, KERNEL, STATISTICS


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
def test_case_means_the_same(case, fused):
    """The canonical layers compute what the node means in its own operator set."""
    opset, nodes, shapes, constants, expected = CASES[case]
    model = build(nodes, shapes, ["y"], constants, opset)
    network = from_model(model, "case", fused=fused)
    inputs = random_inputs(model)
    got = execute(network, inputs)["y"]
    wanted = expected(*inputs.values()) if expected else onnxruntime_outputs(model, inputs)[0]
    assert got.shape == np.shape(wanted)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    assert network.tensors["y"].shape == got.shape
    assert network.tensors["y"].dtype == got.dtype.name
    for layer in network.layers:
        ops.check(layer.op, layer.attributes)


def attributes_of(nodes, shapes, constants, opset):
    """Return the only layer of an unfused import."""
    (layer,) = from_model(build(nodes, shapes, ["y"], constants, opset), "one", fused=False).layers
    return layer.attributes


@pytest.mark.parametrize("opset", [1, 6, 9, 11, 13, 18, 19, onnx.defs.onnx_opset_version()])
def test_convolution_has_one_form(opset):
    """A convolution written without defaults has the same full attributes in every set."""
    assert attributes_of([node("Conv", ["x", "w"], ["y"])], IMAGE, KERNEL, opset) == {
        "dilations": (1, 1),
        "group": 1,
        "kernel_shape": (3, 3),
        "pads": (0, 0, 0, 0),
        "strides": (1, 1),
    }


@pytest.mark.parametrize("opset", [1, 7, 10, 12, 19, onnx.defs.onnx_opset_version()])
def test_pool_has_one_form(opset):
    """A pool has the same full attributes in every set."""
    pool = [node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2])]
    assert attributes_of(pool, IMAGE, {}, opset) == {
        "ceil_mode": 0,
        "count_include_pad": 0,
        "dilations": (1, 1),
        "kernel_shape": (2, 2),
        "pads": (0, 0, 0, 0),
        "strides": (1, 1),
    }


def test_softmax_flattens_only_where_it_must():
    """An old softmax keeps a plain axis if only one of the flattened axes is longer than one."""
    old = [node("Softmax", ["x"], ["y"])]
    assert attributes_of(old, {"x": (2, 5, 1, 1)}, {}, 9) == {"axis": 1}
    assert attributes_of(old, {"x": (2, 1, 5)}, {}, 9) == {"axis": 2}
    assert attributes_of(old, {"x": (2, 3, 5)}, {}, 9) == {"axis": 1, "flatten": 1}


@pytest.mark.parametrize("opset", [1, 6, 7, 10, 12, 13])
def test_dropout_is_removed(opset):
    """Dropout is the identity, its mask is all ones and it is accounted for."""
    nodes = [node("Dropout", ["x"], ["d", "mask"], name="drop"), node("Relu", ["d"], ["y"])]
    model = build(nodes, IMAGE, ["y", "mask"], opset=opset)
    network = from_model(model, "dropout")
    assert [layer.op for layer in network.layers] == ["Relu"]
    assert network.removed == (("drop", "the identity at inference"),)
    mask = network.constants["mask"]
    assert mask.all()
    assert mask.shape == (2, 3, 8, 8)
    assert mask.dtype == (np.float32 if opset < 10 else np.bool_)


REFUSED = {
    "training": (
        14,
        node("BatchNormalization", BATCH, ["y"], training_mode=1),
        "node 'bn' .* is in training mode; export the model after model.eval",
    ),
    "statistics per pixel": (
        7,
        node("BatchNormalization", BATCH, ["y"], spatial=0),
        "node 'bn' .* has spatial=0",
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=list(REFUSED))
def test_batch_normalization_is_refused(case):
    """Batch normalizations that are no fixed affine function are refused with the reason."""
    opset, wrong, message = REFUSED[case]
    wrong.name = "bn"
    with pytest.raises(InputError, match=message):
        from_model(build([wrong], IMAGE, ["y"], STATISTICS, opset), "refused")


def test_batch_normalization_whose_statistics_are_read_is_refused():
    """A second result of a batch normalization exists only in training."""
    nodes = [
        helper.make_node(
            "BatchNormalization", BATCH, ["y", "mean", "var", "saved_mean", "saved_var"], name="bn"
        )
    ]
    with pytest.raises(InputError, match=r"node 'bn' .* is in training mode"):
        from_model(build(nodes, IMAGE, ["y", "mean"], STATISTICS, 7), "refused")


def test_dropout_in_training_is_refused():
    """A dropout told to train is refused."""
    nodes = [node("Dropout", ["x", "r", "t"], ["y"], name="drop")]
    constants = {"r": np.float32(0.5), "t": np.array(True)}
    with pytest.raises(InputError, match=r"node 'drop' .* is in training mode"):
        from_model(build(nodes, IMAGE, ["y"], constants, 13), "refused")


def test_resize_both_ways_is_refused():
    """A nearest Resize-10 that shrinks one axis and stretches another has no canonical form."""
    nodes = [node("Resize", ["x", "c"], ["y"], name="scale")]
    constants = {"c": np.array([1, 1, 0.5, 2], np.float32)}
    with pytest.raises(InputError, match=r"node 'scale' .* shrinks and stretches at once"):
        from_model(build(nodes, IMAGE, ["y"], constants, 10), "refused")


def test_regions_of_set_10_are_not_shifted():
    """RoiAlign had no half-pixel shift before set 16."""
    model = chain(
        ("RoiAlign", ["x", "r", "i"], ["y"], {"output_height": 2, "output_width": 2}),
        opset=10,
        constants={"r": np.array([[0.0, 0.0, 3.0, 3.0]]), "i": np.array([1])},
    )
    inputs = random_inputs(model)
    (expected,) = onnxruntime_outputs(model, inputs)
    got = execute(from_model(model, "roi"), inputs)["y"]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("steps", "constants", "words"),
    [
        (
            ("Conv", ["x", "w", "b"], ["y"], {}),
            {"w": np.ones((2, 3, 1, 1)), "b": np.ones(1)},
            r"a bias of shape \[1\] for 2 kernels; \[2\] is needed",
        ),
        (
            ("LpNormalization", ["x"], ["y"], {"p": 3}),
            {},
            "LpNormalization p=3 is not defined",
        ),
        (
            ("Pad", ["x", "p"], ["y"], {"mode": "mirror"}),
            {"p": np.zeros(8, np.int64)},
            "Pad mode 'mirror'",
        ),
    ],
)
def test_attribute_values_are_refused_at_import(steps, constants, words):
    """What no device computes is known before anything is planned."""
    with pytest.raises(InputError, match=words):
        from_model(chain(steps, constants=constants), "refused")
