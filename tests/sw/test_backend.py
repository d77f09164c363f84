"""The onnx.backend interface: preparing, binding, refusing; and the page of operators."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from heterolith.errors import InputError, MissingExtraError
from heterolith.sw import backend
from heterolith.sw.backend import __main__ as command
from heterolith.sw.backend import report, suite
from heterolith.sw.onnx_import import from_model

from .onnx_models import chain, node, onnxruntime_outputs, random_inputs

PAGE = Path(__file__).parents[2] / "docs" / "operators.md"
X = np.arange(6, dtype=np.float32).reshape(2, 3)


def reshape_model() -> onnx.ModelProto:
    """Return a model whose second input is the shape of its result."""
    model = chain(("Reshape", ["x", "s"], ["r"], {}), ("Relu", ["r"], ["y"], {}))
    model.graph.input.append(helper.make_tensor_value_info("s", TensorProto.INT64, [2]))
    return model


def test_model_runs_like_onnxruntime():
    """Outputs come in the graph's order, from inputs in order or by name."""
    model = chain(
        ("Conv", ["x", "w"], ["c"], {}),
        ("Relu", ["c"], ["y"], {}),
        ("GlobalAveragePool", ["y"], ["z"], {}),
        constants={"w": np.random.default_rng(0).standard_normal((2, 3, 3, 3))},
        outputs=("z", "y"),
    )
    inputs = random_inputs(model)
    expected = onnxruntime_outputs(model, inputs)
    for given in (list(inputs.values()), inputs):
        results = backend.run_model(model, given)
        for result, wanted in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-5)


def test_open_shapes_are_those_of_the_inputs():
    """One prepared model takes inputs of several shapes."""
    prepared = backend.prepare(chain(("Relu", ["x"], ["y"], {}), inputs={"x": ("N", 3)}))
    for length in (1, 4, 2):
        (result,) = prepared.run([np.full((length, 3), -1, np.float32)])
        assert result.shape == (length, 3)


def test_values_that_decide_shapes_are_bound():
    """The shape input becomes a constant for this run; the data stays an activation."""
    prepared = backend.prepare(reshape_model())
    x = np.arange(96, dtype=np.float32).reshape(2, 3, 4, 4)
    for shape in ([6, 16], [96, 1]):
        (result,) = prepared.run([x, np.array(shape)])
        np.testing.assert_array_equal(result, x.reshape(shape))
    assert prepared._network is not None
    assert [layer.op for layer in prepared._network.layers] == ["Reshape", "Relu"]


def test_bound_values_must_fit_the_file():
    """Unknown names, dtypes and shapes are refused where inputs are bound."""
    model = reshape_model()
    network = from_model(model, "bound", values={"s": np.array([6, 16])})
    assert network.inputs == ("x",)
    with pytest.raises(InputError, match="input 's' is bound to float64; the file has int64"):
        from_model(model, "bound", values={"s": np.ones(2)})
    with pytest.raises(InputError, match="contradicts the file"):
        from_model(model, "bound", values={"s": np.array([96])})
    with pytest.raises(InputError, match="unknown input 't'"):
        from_model(model, "bound", values={"t": np.array([96])})


def test_detection_head_runs_with_data_dependent_results():
    """As many boxes come out as are found, which only the values tell."""
    steps = [
        ("NonMaxSuppression", ["boxes", "scores", "most", "iou"], ["found"], {}),
        ("Slice", ["found", "from", "to", "axis"], ["chosen"], {}),
    ]
    model = chain(
        *steps,
        inputs={"boxes": (1, 4, 4), "scores": (1, 1, 4)},
        constants={
            "most": np.array([3]),
            "iou": np.array([0.5], np.float32),
            "from": np.array([2]),
            "to": np.array([3]),
            "axis": np.array([1]),
        },
        outputs=("chosen",),
    )
    boxes = np.array([[[0, 0, 1, 1], [0, 0, 1, 0.9], [2, 2, 3, 3], [5, 5, 6, 6]]], np.float32)
    scores = np.array([[[0.5, 0.9, 0.3, 0.1]]], np.float32)
    (chosen,) = backend.run_model(model, [boxes, scores])
    np.testing.assert_array_equal(chosen.ravel(), [1, 2, 3])


def test_single_node_runs():
    """A node alone runs in the newest operator set or a given one."""
    (result,) = backend.run_node(node("Relu", ["x"], ["y"]), [X - 3])
    np.testing.assert_array_equal(result, np.maximum(X - 3, 0))
    legacy = node("Clip", ["x"], ["y"], min=1.0, max=2.0)
    (result,) = backend.run_node(legacy, [X], opset_version=9)
    np.testing.assert_array_equal(result, np.clip(X, 1, 2))
    with pytest.raises(InputError, match="Add reads 2 tensors; 1 were given"):
        backend.run_node(node("Add", ["a", "b"], ["y"]), [X])


def test_only_the_cpu_is_a_device():
    """Other devices are not claimed, and refused where they are asked for."""
    assert backend.supports_device("CPU")
    assert backend.supports_device("CPU:0")
    assert not backend.supports_device("CUDA")
    with pytest.raises(InputError, match="device 'CUDA' is none"):
        backend.prepare(chain(("Relu", ["x"], ["y"], {})), "CUDA")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([X, X], "has 1 inputs, 2 were given"),
        ([X], r"is float32 of shape \(2, 3\); .* needs float32 of shape \(2, 3, 4, 4\)"),
        ([np.zeros((2, 3, 4, 4))], "is float64 of shape"),
        ({"z": X}, "unknown network input 'z'"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, words):
    """Number, shape, dtype and names of inputs are checked."""
    with pytest.raises(InputError, match=words):
        backend.run_model(chain(("Relu", ["x"], ["y"], {})), inputs)


def test_missing_onnx_is_named(monkeypatch):
    """Without onnx the error says what to install."""
    model = chain(("Relu", ["x"], ["y"], {}))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="onnx is not installed"):
        backend.prepare(model)


def test_page_of_operators_is_current():
    """The page is what the command would write; its counts are those of one version of onnx."""
    written = PAGE.read_text()
    page = report.markdown(suite.cases())
    if f"of onnx {onnx.__version__}," not in written:
        cut = "## Operators of ai.onnx that are not claimed"
        written, page = written.partition(cut)[2], page.partition(cut)[2]
    assert written == page, "write it: python -m heterolith.sw.backend --write docs/operators.md"


def test_report_counts_what_ran(monkeypatch, capsys, tmp_path):
    """The command prints counts, as text and as data, and fails if a case does."""
    cases = suite.cases()
    covered = next(case.name for case in cases if not case.reason)
    monkeypatch.setattr(command, "cases", lambda: cases)
    monkeypatch.setattr(command, "failures", lambda: {covered: "wrong"})
    assert command.main(["--report"]) == 1
    assert f"FAILED {covered}" in capsys.readouterr().out
    monkeypatch.setattr(command, "failures", dict)
    assert command.main(["--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["kinds"]["node"]
    assert counts["passed"] == counts["covered"] < counts["cases"]
    page = tmp_path / "operators.md"
    assert command.main(["--write", str(page)]) == 0
    assert page.read_text().startswith("# Operators\n")
    assert command.main(["--write", str(tmp_path / "none" / "page.md")]) == 1
