"""A small network with two exits, images for it, and its ONNX form."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from heterolith.sw import load_onnx
from heterolith.sw.onnx_import import from_model

CLASSES, SIZE = 4, 8


def two_exits(
    seed: int = 0, last: str = "Softmax", width: int = 8, size: int = SIZE
) -> onnx.ModelProto:
    """Return a network on small images: a stem, two stages with an exit each, four classes."""
    rng = np.random.default_rng(seed)
    constants = []

    def constant(name: str, *shape: int) -> str:
        value = rng.standard_normal(shape) * np.sqrt(2 / max(1, int(np.prod(shape[1:]))))
        constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    nodes = []

    def node(op: str, name: str, *inputs: str, **attributes: object) -> str:
        nodes.append(helper.make_node(op, inputs, [f"{name}.y"], name=name, **attributes))
        return f"{name}.y"

    def conv(name: str, x: str, shape: tuple[int, ...], stride: int = 1) -> str:
        weights, bias = constant(f"{name}.w", *shape), constant(f"{name}.b", shape[0])
        return node("Conv", name, x, weights, bias, kernel_shape=list(shape[2:]),
                    strides=[stride] * 2, pads=[shape[2] // 2] * 4)  # fmt: skip

    def exit_of(name: str, x: str, channels: int, op: str) -> str:
        flat = node("Flatten", f"{name}.flat", node("GlobalAveragePool", f"{name}.mean", x))
        weights, bias = constant(f"{name}.w", CLASSES, channels), constant(f"{name}.b", CLASSES)
        return node(op, f"{name}.scores", node("Gemm", f"{name}.fc", flat, weights, bias, transB=1))

    x = node("Relu", "stem.relu", conv("stem", "image", (width, 3, 3, 3)))
    y = conv("one", x, (width, width, 3, 3))
    x = node("Relu", "one.relu", node("Add", "one.add", y, x))
    outputs = [exit_of("exit1", x, width, "Softmax")]
    x = node("Relu", "two.relu", conv("two", x, (2 * width, width, 3, 3), 2))
    outputs.append(exit_of("exit2", x, 2 * width, last))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "two_exits",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])],
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, CLASSES]) for x in outputs],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model


def network(seed: int = 0, width: int = 8, size: int = SIZE):
    """Return `two_exits` imported."""
    return from_model(two_exits(seed, width=width, size=size), "two_exits")


def images(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return random images (N, 3, 8, 8), float32, and labels (N,)."""
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((count, 3, SIZE, SIZE)).astype(np.float32),
        rng.integers(0, CLASSES, count),
    )


def files(folder: Path, count: int = 12) -> tuple[Path, Path]:
    """Write the network and images; return their paths."""
    model, data = folder / "two_exits.onnx", folder / "images.npz"
    onnx.save(two_exits(), model)
    pixels, labels = images(count)
    np.savez(data, images=pixels, labels=labels)
    assert load_onnx(model).name == "two_exits"
    return model, data
