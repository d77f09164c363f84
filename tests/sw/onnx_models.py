"""Builds small ONNX models and runs them on other engines."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from heterolith.sw.network import Network

FLOAT = TensorProto.FLOAT
node = helper.make_node


def build(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str] | None],
    outputs: Sequence[str] = ("y",),
    constants: Mapping[str, np.ndarray] | None = None,
    opset: int = 13,
) -> onnx.ModelProto:
    """Return a model of float inputs; constants are float32 unless they are integers or bools."""
    stored = []
    for name, value in (constants or {}).items():
        array = np.asarray(value)
        stored.append(
            numpy_helper.from_array(array.astype("f4") if array.dtype == "f8" else array, name)
        )
    describe = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "graph",
        [describe(name, FLOAT, shape) for name, shape in inputs.items()],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def chain(
    *steps: tuple[str, list[str], list[str], dict[str, object]],
    opset: int = 13,
    inputs: Mapping[str, Sequence[int | str]] | None = None,
    outputs: Sequence[str] = ("y",),
    constants: Mapping[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """Return the model of nodes given as (operator, inputs, outputs)."""
    nodes = [node(op, ins, outs, **attributes) for op, ins, outs, attributes in steps]
    return build(nodes, inputs or {"x": (2, 3, 4, 4)}, outputs, constants, opset)


def accounted(network: Network) -> list[str]:
    """Return every ONNX node name the network tells of."""
    kept = [name for layer in network.layers for name in layer.nodes]
    return kept + [name for name, _ in network.removed]


def random_inputs(model: onnx.ModelProto, seed: int = 0) -> dict[str, np.ndarray]:
    """Return standard normal arrays for the inputs of a model."""
    rng = np.random.default_rng(seed)
    shapes = {
        entry.name: [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
        for entry in model.graph.input
    }
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def onnxruntime_outputs(
    model: onnx.ModelProto | str, inputs: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """Return what ONNX Runtime computes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 4
    source = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(inputs))
