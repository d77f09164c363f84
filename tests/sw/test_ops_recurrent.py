"""Recurrent layers agree with ONNX Runtime, and refuse what does not fit."""

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.sw.ops import compute

STEPS, BATCH, INPUTS, CELLS = 5, 2, 4, 3
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
OUTPUTS = {"RNN": 2, "GRU": 2, "LSTM": 3}
ACTIVATIONS = {
    "RNN": ["LeakyRelu"],
    "GRU": ["HardSigmoid", "Softsign"],
    "LSTM": ["HardSigmoid", "ScaledTanh", "Elu"],
}


def arrays(op, directions=1, seed=0):
    """Return inputs, weights and biases."""
    rng = np.random.default_rng(seed)
    rows = GATES[op] * CELLS
    shapes = [
        (STEPS, BATCH, INPUTS),
        (directions, rows, INPUTS),
        (directions, rows, CELLS),
        (directions, 2 * rows),
    ]
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def agree(reference, op, attributes, inputs):
    """Check all outputs against ONNX Runtime."""
    attributes = {"hidden_size": CELLS, **attributes}
    results = compute(op, attributes, inputs, OUTPUTS[op])
    expected = reference(op, attributes, inputs, OUTPUTS[op])
    for got, wanted in zip(results, expected, strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("ragged", [False, True])
def test_directions_agree_with_onnxruntime(reference, op, direction, ragged):
    """Both directions, sequences of several lengths and first states are honoured."""
    directions = 2 if direction == "bidirectional" else 1
    rng = np.random.default_rng(1)
    state = rng.standard_normal((directions, BATCH, CELLS)).astype(np.float32)
    lengths = np.array([STEPS, 3], np.int32) if ragged else None
    inputs = [*arrays(op, directions), lengths, state]
    if op == "LSTM":
        inputs += [state[::-1].copy(), rng.standard_normal((directions, 9)).astype(np.float32)]
    agree(reference, op, {"direction": direction}, inputs)


@pytest.mark.parametrize("op", GATES)
def test_attributes_agree_with_onnxruntime(reference, op):
    """Activations with their parameters, clipping and the variants of the gates are honoured."""
    inputs = [3 * array for array in arrays(op)]
    agree(reference, op, {"clip": 0.5}, inputs)
    extra = {"activation_alpha": [0.3, 0.8], "activation_beta": [0.4, 1.2]}
    extra = {"RNN": {"activation_alpha": [0.3]}, "GRU": {}, "LSTM": extra}[op]
    agree(reference, op, {"activations": ACTIVATIONS[op], **extra}, inputs)
    variant = {"GRU": {"linear_before_reset": 1}, "LSTM": {"input_forget": 1}}.get(op, {})
    agree(reference, op, variant, inputs)


@pytest.mark.parametrize("op", GATES)
def test_layout_only_moves_axes(op):
    """With the batch first, the results are those of layout 0 with axes moved."""
    x, *weights = arrays(op)
    plain = compute(op, {}, [x, *weights], OUTPUTS[op])
    moved = compute(op, {"layout": 1}, [x.swapaxes(0, 1), *weights], OUTPUTS[op])
    np.testing.assert_array_equal(moved[0], plain[0].transpose(2, 0, 1, 3))
    for got, expected in zip(moved[1:], plain[1:], strict=True):
        np.testing.assert_array_equal(got, expected.swapaxes(0, 1))


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"direction": "both"}, "unknown direction 'both'"),
        ({"direction": "bidirectional"}, "weights for 1 directions"),
        ({"activations": ["Sigmoid"]}, "1 activations; 2 are needed"),
        ({"activations": ["Sigmoid", "Sine"]}, "activation of a recurrent layer 'Sine'"),
        ({"activations": ["Sigmoid", "Affine"]}, "Affine needs activation_alpha"),
        ({"activation_alpha": [1.0]}, "fewer alphas or betas"),
        ({"hidden_size": 4}, "do not fit inputs"),
        ({"layout": 2}, "layout 2"),
        ({"input_forget": 1}, "unknown attribute of GRU 'input_forget'"),
    ],
)
def test_attributes_that_are_not_known_are_refused(attributes, words):
    """No attribute is passed over."""
    with pytest.raises(InputError, match=words):
        compute("GRU", attributes, arrays("GRU"))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (3, np.zeros((1, 18), np.float32)[:, :6], "biases have shape"),
        (4, np.array([6, 1], np.int32), "sequence lengths"),
        (5, np.zeros((1, 1, CELLS), np.float32), "first states have shape"),
    ],
)
def test_inputs_that_would_broadcast_are_refused(place, value, words):
    """Biases, lengths and states of another shape are refused."""
    inputs = [*arrays("GRU"), None, None]
    inputs[place] = value
    with pytest.raises(InputError, match=words):
        compute("GRU", {}, inputs)
