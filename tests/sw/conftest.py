"""What the tests of operators and workers share: ONNX Runtime on a model of one node."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper


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
