"""What a model can be refused for says what is wrong, where, and what to do."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heterolith.errors import InputError
from heterolith.sw.onnx_import import from_model

from .onnx_models import build, chain, node


def refusal(model, shapes=None):
    """Return the message with which a model is refused, which is one line."""
    with pytest.raises(InputError) as error:
        from_model(model, "refused", shapes)
    message = str(error.value)
    assert "\n" not in message
    return message


def relu(shape, **fields):
    """Return a model of one Relu."""
    model = chain(("Relu", ["data"], ["y"], {}), inputs={"data": shape})
    for name, value in fields.items():
        setattr(model, name, value)
    return model


def test_dynamic_shape_names_the_option():
    """An open dimension is shown with an option that closes it."""
    assert refusal(relu(("N", 3, 224, 224))) == (
        "input 'data' has dynamic shape [N, 3, 224, 224]; fix it with --shape data=1x3x224x224"
    )


def test_unknown_rank_names_the_option():
    """An input without any shape is dynamic too, and can be given one."""
    model = relu(None)
    assert "input 'data' has dynamic shape unknown rank; fix it with --shape" in refusal(model)
    assert from_model(model, "given", {"data": (2, 3)}).tensors["y"].shape == (2, 3)


def test_length_of_zero():
    """A length of zero is refused in the file and as an option, and can be replaced."""
    model = relu((0, 3))
    assert "input 'data' has a length of 0 in its shape [0, 3]; fix it with --shape data=1x3" in (
        refusal(model)
    )
    assert "shape [0, 3] of input 'data' has a length below 1" in refusal(model, {"data": (0, 3)})
    assert from_model(model, "given", {"data": (4, 3)}).tensors["y"].shape == (4, 3)


def test_shape_of_unknown_input():
    """A misspelt input is answered with near names."""
    message = refusal(relu(("N", 3)), {"dada": (1, 3)})
    assert message == "unknown input 'dada'; did you mean data?"


@pytest.mark.parametrize("shape", [(1, 4), (1, 3, 1)])
def test_shape_that_contradicts_the_file(shape):
    """Only open dimensions can be chosen."""
    assert refusal(relu(("N", 3)), {"data": shape}) == (
        f"shape {list(shape)} of input 'data' contradicts the file, which has [N, 3]; "
        "only open dimensions can be chosen"
    )


def test_unknown_operator():
    """An operator that ONNX does not define is named with node, set and a near name."""
    model = chain(("Reluu", ["x"], ["y"], {"name": "act"}))
    assert refusal(model) == (
        "node 'act': operator Reluu (domain ai.onnx, opset 13) is known to no device; "
        "did you mean Relu or PRelu?"
    )


def test_operator_of_a_later_set():
    """An operator that the model's own set does not have yet is unknown."""
    assert "operator HardSwish (domain ai.onnx, opset 9)" in refusal(
        chain(("HardSwish", ["x"], ["y"], {}), opset=9)
    )


def test_operator_that_no_device_knows():
    """An operator of ONNX that no device computes is refused."""
    model = chain(("Bernoulli", ["x"], ["y"], {"name": "coin"}), opset=15)
    assert "node 'coin': operator Bernoulli (domain ai.onnx, opset 15) is known to no dev" in (
        refusal(model)
    )


def test_foreign_domain():
    """The domain of an operator from elsewhere is named."""
    model = chain(("FusedConv", ["x"], ["y"], {"domain": "com.microsoft", "name": "f"}))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert "node 'f': operator FusedConv of domain 'com.microsoft' is known to no" in refusal(model)


def test_attribute_value_that_no_device_knows():
    """A mode of a known operator that is not computed is refused at import."""
    model = chain(
        ("Resize", ["x", "", "s"], ["y"], {"nearest_mode": "odd", "name": "up"}),
        constants={"s": np.array([1, 1, 2, 2], np.float32)},
    )
    assert "node 'up' (Resize, opset 13): unknown Resize nearest mode 'odd'" in refusal(model)


def test_control_flow():
    """A branch has no static schedule."""
    branch = helper.make_graph(
        [node("Relu", ["x"], ["z"])], "b", [], [onnx.ValueInfoProto(name="z")]
    )
    model = chain(
        ("If", ["c"], ["y"], {"then_branch": branch, "else_branch": branch, "name": "choose"}),
        constants={"c": np.array(True)},
    )
    assert "node 'choose': operator If (opset 13) is control flow" in refusal(model)


@pytest.mark.parametrize(
    ("opset", "ir_version"), [(onnx.defs.onnx_opset_version() + 1, 8), (13, onnx.IR_VERSION + 1)]
)
def test_newer_than_onnx(opset, ir_version):
    """A model from the future names both versions and the upgrade."""
    message = (
        refusal(relu((1, 3), ir_version=ir_version))
        if opset == 13
        else refusal(chain(("Relu", ["x"], ["y"], {}), opset=opset))
    )
    assert f"the model is opset {opset}, IR {ir_version}; onnx {onnx.__version__} knows" in message
    assert message.endswith("upgrade with: pip install -U onnx")


def test_checker_speaks_on_one_line():
    """What onnx's checker refuses is passed on."""
    model = chain(("Relu", ["nowhere"], ["y"], {}))
    assert refusal(model).startswith("onnx refuses the model: Nodes in a graph must be topologic")


def test_shapes_that_do_not_fit():
    """A node whose inputs cannot go together is named with their shapes."""
    model = chain(
        ("MatMul", ["x", "w"], ["y"], {"name": "product"}), constants={"w": np.ones((5, 2))}
    )
    message = refusal(model)
    assert message.startswith("node 'product' (MatMul, opset 13): Incompatible dim")
    assert "x [2, 3, 4, 4], w [5, 2]" in message


def test_types_that_do_not_agree():
    """Adding integers to floats is an error of the model."""
    model = chain(("Add", ["x", "i"], ["y"], {"name": "sum"}), constants={"i": np.arange(4)})
    assert refusal(model) == (
        "node 'sum' (Add, opset 13): inputs are float32 and int64, which must agree"
    )


def test_type_that_is_not_allowed():
    """A convolution of integers is an error of the model."""
    model = chain(
        ("Cast", ["x"], ["i"], {"to": TensorProto.INT32}),
        ("Conv", ["i", "w"], ["y"], {"name": "c"}),
        constants={"w": np.ones((1, 3, 1, 1), np.int32)},
    )
    assert "node 'c' (Conv, opset 13): input 0 is int32, the operator takes" in refusal(model)


@pytest.mark.parametrize("kind", [TensorProto.STRING, TensorProto.BFLOAT16])
def test_element_types_without_numpy_dtype(kind):
    """Text and exotic floats are refused by name."""
    model = relu((1, 3))
    model.graph.input[0].type.tensor_type.elem_type = kind
    name = TensorProto.DataType.Name(kind).lower()
    assert f"input 'data' has the type {name}, which no device computes" in refusal(model)


def test_sequences():
    """An input that is no tensor is refused."""
    model = relu((1, 3))
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, [1]))
    model.graph.input[0].type.CopyFrom(kind)
    assert "input 'data' is no dense tensor" in refusal(model)


def test_sparse_weights():
    """Sparse tensors are refused by name."""
    model = relu((1, 3))
    values = numpy_helper.from_array(np.ones(1, np.float32), "thin")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "at")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    assert "tensor 'thin' is sparse" in refusal(model)


def test_constants_without_numbers():
    """A constant of text is refused."""
    model = build(
        [node("Constant", [], ["t"], value_string="no", name="text"), node("Relu", ["t"], ["y"])],
        {},
    )
    assert "node 'text' (Constant) holds value_string" in refusal(model)


def test_nodes_that_do_not_matter_are_not_refused():
    """An unknown operator that no output depends on is removed."""
    model = chain(("Relu", ["x"], ["y"], {}), ("Made", ["x"], ["unused"], {"name": "dead"}))
    network = from_model(model, "dead code")
    assert network.removed == (("dead", "no network output depends on it"),)
