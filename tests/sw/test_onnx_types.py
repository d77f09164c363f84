"""Types of tensors and of results."""

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.sw.network import TensorType
from heterolith.sw.onnx_types import check_types, infer_outputs, numpy_dtype, schema_of

from .onnx_models import node

FLOATS, INTEGERS = TensorType((2, 3)), TensorType((2,), "int64")


def test_dtypes():
    """Known data types have a numpy name, others are refused by their own."""
    assert [numpy_dtype(number, "") for number in (1, 3, 9, 10)] == [
        "float32",
        "int8",
        "bool",
        "float16",
    ]
    with pytest.raises(InputError, match="tensor 'w' has the type string, which no device"):
        numpy_dtype(8, "tensor 'w'")
    with pytest.raises(InputError, match="has the type 99, which"):
        numpy_dtype(99, "it")


def test_schema_follows_the_operator_set():
    """An operator has the schema of its set, and none before it was introduced."""
    assert schema_of("Softmax", 12).since_version == 11
    assert schema_of("HardSwish", 9) is None


def test_inference_reads_values():
    """A reshape's result is known where the shape is constant, and open where it is not."""
    reshape = node("Reshape", ["x", "s"], ["y"])
    types = {"x": FLOATS, "s": INTEGERS}
    known = infer_outputs(reshape, 13, types, {"s": np.array([3, -1])}, "node 'r'")
    assert known == {"y": TensorType((3, 2))}
    assert infer_outputs(reshape, 13, types, {}, "node 'r'") == {"y": None}
    with pytest.raises(InputError, match=r"^node 'r': .*inputs x \[2, 3\], s \[2\]"):
        infer_outputs(reshape, 13, types, {"s": np.array([4, -1])}, "node 'r'")


def test_types_are_checked():
    """Types must be allowed and agree; absent inputs and mixed variadic ones may be."""
    check_types("Add", 13, [FLOATS, FLOATS], "node")
    check_types("Clip", 13, [FLOATS, None, FLOATS], "node")
    check_types("Reshape", 13, [FLOATS, INTEGERS], "node")
    check_types("Concat", 13, [FLOATS] * 5, "node")
    with pytest.raises(InputError, match="node: inputs are float32 and int64, which must agree"):
        check_types("Concat", 13, [FLOATS, FLOATS, INTEGERS], "node")
    with pytest.raises(InputError, match="node: input 1 is float32, the operator takes tensor"):
        check_types("Reshape", 13, [FLOATS, FLOATS], "node")
