"""Models that many tests use."""

from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from . import exit_nets as nets_with_exits

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"


def light(name: str) -> Path:
    """Return the path of one of the nine networks inside the onnx wheel."""
    return LIGHT / f"light_{name}.onnx"


def small_cnn(seed: int = 0, classes: int = 10) -> onnx.ModelProto:
    """Return a CNN with two branches, a residual addition, LRN and softmax on 3x16x16 images."""
    rng = np.random.default_rng(seed)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        fan_in = int(np.prod(shape[1:])) or 1
        value = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        return numpy_helper.from_array(value.astype(np.float32), name)

    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w0", "b0"], ["c0"], name="stem", kernel_shape=[3, 3], pads=[1] * 4),
        node("Relu", ["c0"], ["r0"], name="stem_relu"),
        node("LRN", ["r0"], ["n0"], name="norm", size=5),
        node("Conv", ["n0", "w1"], ["c1"], name="left", kernel_shape=[1, 1]),
        node("Relu", ["c1"], ["r1"], name="left_relu"),
        node("Conv", ["n0", "w2"], ["c2"], name="right", kernel_shape=[3, 3], pads=[1] * 4),
        node("Relu", ["c2"], ["r2"], name="right_relu"),
        node("Concat", ["r1", "r2"], ["cat"], name="join", axis=1),
        node("Conv", ["cat", "w3"], ["c3"], name="block", kernel_shape=[3, 3], pads=[1] * 4),
        node("Add", ["c3", "cat"], ["sum"], name="skip"),
        node("Relu", ["sum"], ["r3"], name="skip_relu"),
        node("GlobalAveragePool", ["r3"], ["gap"], name="pool"),
        node("Flatten", ["gap"], ["flat"], name="flatten"),
        node("Gemm", ["flat", "w4", "b4"], ["logits"], name="classify", transB=1),
        node("Softmax", ["logits"], ["y"], name="probability", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small_cnn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, classes])],
        [
            weights("w0", 16, 3, 3, 3),
            weights("b0", 16),
            weights("w1", 16, 16, 1, 1),
            weights("w2", 16, 16, 3, 3),
            weights("w3", 32, 32, 3, 3),
            weights("w4", classes, 32),
            weights("b4", classes),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return model


@pytest.fixture(scope="session")
def cnn_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Path of `small_cnn` as a file."""
    path = tmp_path_factory.mktemp("models") / "small_cnn.onnx"
    onnx.save(small_cnn(), path)
    return path


@pytest.fixture(scope="session")
def exit_nets() -> ModuleType:
    """The module `exit_nets`: a small network with two exits, and images for it."""
    return nets_with_exits
