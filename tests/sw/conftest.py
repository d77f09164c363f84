"""What the tests of operators and workers share: ONNX Runtime on one node, and small networks."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from heterolith.sw.network import Activation, Layer, Network, TensorType
from heterolith.sw.ops import compute, tiling


def run_node(
    op: str,
    attributes: Mapping,
    inputs: Sequence[np.ndarray | None],
    n_outputs: int = 1,
    opset: int = 18,
) -> list[np.ndarray]:
    """Return what ONNX Runtime computes for one operator, on one CPU thread."""
    names = ["" if x is None else f"x{place}" for place, x in enumerate(inputs)]
    given = {name: x for name, x in zip(names, inputs, strict=True) if x is not None}
    outputs = [f"y{place}" for place in range(n_outputs)]
    node = helper.make_node(op, names, outputs, **attributes)
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in given.items()
    ]
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph([node], "node", declared, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, given)


@pytest.fixture(scope="session")
def reference() -> Callable[..., list[np.ndarray]]:
    """Give `run_node` to tests, which cannot import from each other."""
    return run_node


def make_layer_network(
    op: str,
    attributes: Mapping,
    inputs: Sequence[np.ndarray | None],
    *,
    constant: Sequence[int] = (),
    residual: np.ndarray | None = None,
    activation: Activation | None = None,
    n_outputs: int = 1,
) -> tuple[Network, dict[str, np.ndarray]]:
    """Return a network of one layer and the activations it reads.

    ``constant`` holds the places of the inputs that are constants.
    """
    names = ["" if x is None else f"x{place}" for place, x in enumerate(inputs)]
    arrays = {name: x for name, x in zip(names, inputs, strict=True) if x is not None}
    constants = {f"x{place}": inputs[place] for place in constant if inputs[place] is not None}
    if residual is not None:
        arrays["residual"] = residual
    outputs = tuple(f"y{place}" for place in range(n_outputs))
    results = compute(op, attributes, inputs, n_outputs)
    layer = Layer(
        name="layer",
        op=op,
        inputs=tuple(names),
        outputs=outputs,
        attributes=attributes,
        residual="residual" if residual is not None else "",
        activation=activation,
        macs=7,
    )
    given = {name: x for name, x in arrays.items() if name not in constants}
    typed = {**given, **dict(zip(outputs, results, strict=True))}
    network = Network(
        name="net",
        inputs=tuple(given),
        outputs=outputs,
        layers=(layer,),
        tensors={name: TensorType(x.shape, x.dtype.name) for name, x in typed.items()},
        constants=constants,
    )
    return network, given


@pytest.fixture(scope="session")
def layer_network() -> Callable[..., tuple[Network, dict[str, np.ndarray]]]:
    """Give `make_layer_network` to tests."""
    return make_layer_network


def chain(seed: int = 0) -> tuple[Network, dict[str, np.ndarray]]:
    """Return a network with a residual, a branch, pooling and a dense layer, and its input."""
    rng = np.random.default_rng(seed)

    def weights(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    constants = {
        "w1": weights(8, 3, 3, 3),
        "b1": weights(8),
        "w2": weights(8, 1, 3, 3),
        "w3": weights(8, 8, 1, 1),
        "w4": weights(10, 2 * 8 * 36) / 20,
        "b4": np.broadcast_to(np.float32(0.5), (10,)),
        "shape": np.array([1, -1]),
    }
    pads = {"pads": (1, 1, 1, 1)}
    relu = Activation()
    rows = [
        ("conv1", "Conv", ("x", "w1", "b1"), "a", pads, "", relu),
        ("conv2", "Conv", ("a", "w2"), "b", {**pads, "group": 8}, "", None),
        ("conv3", "Conv", ("b", "w3"), "c", {}, "a", Activation(0.0, 6.0)),
        ("pool", "MaxPool", ("c",), "d", {"kernel_shape": (2, 2), "strides": (2, 2)}, "", None),
        ("lrn", "LRN", ("d",), "e", {"size": 5, "alpha": 0.1}, "", None),
        ("concat", "Concat", ("d", "e"), "f", {"axis": 1}, "", None),
        ("flat", "Reshape", ("f", "shape"), "g", {}, "", None),
        ("dense", "Gemm", ("g", "w4", "b4"), "h", {"transB": 1}, "", None),
        ("softmax", "Softmax", ("h",), "y", {"axis": 1}, "", None),
    ]
    layers = tuple(
        Layer(
            name=name,
            op=op,
            inputs=inputs,
            outputs=(output,),
            attributes=attributes,
            residual=residual,
            activation=activation,
            macs=1,
        )
        for name, op, inputs, output, attributes, residual, activation in rows
    )
    shapes = {
        "x": (1, 3, 12, 12),
        **dict.fromkeys("abc", (1, 8, 12, 12)),
        **dict.fromkeys("de", (1, 8, 6, 6)),
        "f": (1, 16, 6, 6),
        "g": (1, 16 * 36),
        "h": (1, 10),
        "y": (1, 10),
    }
    network = Network(
        name="chain",
        inputs=("x",),
        outputs=("y",),
        layers=layers,
        tensors={name: TensorType(shape) for name, shape in shapes.items()},
        constants=constants,
    )
    return network, {"x": weights(1, 3, 12, 12)}


@pytest.fixture
def chain_network() -> tuple[Network, dict[str, np.ndarray]]:
    """Give `chain` to tests."""
    return chain()


@pytest.fixture
def many_parts(monkeypatch):
    """Cut every layer into many parts, however small it is."""
    monkeypatch.setattr(tiling, "SERIAL_MACS", 0)
    monkeypatch.setattr(tiling, "SERIAL_ELEMENTS", 0)
    monkeypatch.setattr(tiling, "PART_BYTES", 512)
