"""Models of quantized operators, those of com.microsoft among them, equal ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from heterolith.errors import InputError
from heterolith.sw import backend
from heterolith.sw.contrib import result_type
from heterolith.sw.network import TensorType

from .onnx_models import onnxruntime_outputs

RNG = np.random.default_rng(0)


def quantized_model() -> onnx.ModelProto:
    """Return conv, residual addition, product, global pool and dense layer, all on codes."""
    constants = {
        "s": np.array(0.05, np.float32),
        "z": np.array(7, np.uint8),
        "big": np.array(0.6, np.float32),
        "w": RNG.integers(-127, 128, (4, 4, 3, 3)).astype(np.int8),
        "ws": RNG.uniform(0.001, 0.01, 4).astype(np.float32),
        "wz": np.zeros(4, np.int8),
        "d": RNG.integers(0, 256, (4, 6)).astype(np.uint8),
        "b": RNG.integers(-99, 99, 6).astype(np.int32),
        "shape": np.array([1, 4]),
    }
    contrib = {"domain": "com.microsoft"}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node(
            "QLinearConv", ["q", "s", "z", "w", "ws", "wz", "s", "z"], ["c"], pads=[1, 1, 1, 1]
        ),
        helper.make_node("QLinearAdd", ["c", "s", "z", "q", "s", "z", "s", "z"], ["a"], **contrib),
        helper.make_node("QLinearMul", ["a", "s", "z", "q", "s", "z", "s", "z"], ["m"], **contrib),
        helper.make_node("QLinearGlobalAveragePool", ["m", "s", "z", "s", "z"], ["p"], **contrib),
        helper.make_node("Reshape", ["p", "shape"], ["r"]),
        helper.make_node(
            "QGemm", ["r", "s", "z", "d", "s", "z", "b", "big", "z"], ["g"], **contrib
        ),
        helper.make_node("DequantizeLinear", ["g", "big", "z"], ["y"]),
    ]
    outputs = ["q", "c", "a", "m", "p", "g", "y"]
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4, 9, 9))],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    versions = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=versions, ir_version=8)


def test_quantized_network_equals_onnxruntime():
    """Every intermediate code is equal, but for halves that float32 rounds either way."""
    model = quantized_model()
    x = (5 * RNG.standard_normal((1, 4, 9, 9))).astype(np.float32)
    results = backend.run_model(model, [x])
    expected = onnxruntime_outputs(model, {"x": x})
    for got, wanted, exact in zip(results, expected, "qc----y", strict=True):
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        if exact in "qc":
            np.testing.assert_array_equal(got, wanted)
        elif got.dtype == np.uint8:
            off = got != wanted
            assert np.abs(got.astype(int) - wanted.astype(int)).max() <= 1
            assert off.mean() < 0.01


CODES, FLOATS = TensorType((2, 3), "uint8"), TensorType((), "float32")


@pytest.mark.parametrize(
    ("op", "attributes", "kinds", "words"),
    [
        ("QLinearAdd", {}, [FLOATS, FLOATS, CODES], "input 0 is float32, it takes int8 or uint8"),
        ("QLinearAdd", {}, [CODES, FLOATS, CODES], "input 3 is None"),
        ("QLinearAdd", {}, [CODES, CODES, CODES], "input 1 is uint8, it takes float32"),
        ("QLinearAdd", {}, [CODES, FLOATS, FLOATS], "input 2 is float32, it takes uint8"),
        (
            "QLinearMul",
            {},
            [CODES, FLOATS, None, TensorType((2, 3), "int8"), FLOATS, None],
            "uint8 and int8, which must agree",
        ),
        ("QGemm", {}, [CODES, FLOATS, None, CODES, FLOATS, None], "of shapes"),
        ("QLinearGlobalAveragePool", {}, [CODES, FLOATS, None], "of rank 2"),
        ("QLinearGlobalAveragePool", {"channels_last": 1}, [CODES, FLOATS, None], "channels_last"),
    ],
)
def test_types_that_do_not_fit_are_refused(op, attributes, kinds, words):
    """Dtypes and shapes are checked where onnx has no schema."""
    with pytest.raises(InputError, match=words):
        result_type(op, attributes, kinds)
