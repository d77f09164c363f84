"""Fourier transforms, windows and filters agree with ONNX Runtime; so do norms and losses."""

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.sw.ops import compute

RNG = np.random.default_rng(0)


def floats(*shape):
    """Return standard normal float32 values."""
    return RNG.standard_normal(shape).astype(np.float32)


def agree(reference, op, attributes, inputs, n_outputs=1, opset=18):
    """Check all outputs against ONNX Runtime."""
    results = compute(op, attributes, inputs, n_outputs)
    expected = reference(op, attributes, inputs, n_outputs, opset)
    for got, wanted in zip(results, expected, strict=True):
        assert (got.dtype, got.shape) == (wanted.dtype, np.shape(wanted))
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-5)


def test_fourier_transforms(reference):
    """Real and complex, whole and one-sided, padded, cut and inverted."""
    for onesided in (0, 1):
        attributes = {"onesided": onesided}
        agree(reference, "DFT", attributes, [floats(2, 9, 1), None, np.array(1)], opset=20)
    for length in (6, 8, 12):
        for inverse in (0, 1):
            inputs = [floats(2, 8, 2), np.array(length), np.array(1)]
            agree(reference, "DFT", {"inverse": inverse}, inputs, opset=20)
    agree(reference, "STFT", {}, [floats(1, 64, 1), np.array(8), floats(16)], opset=17)


@pytest.mark.parametrize("op", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
def test_windows(reference, op, periodic):
    """Periodic and symmetric windows."""
    agree(reference, op, {"periodic": periodic}, [np.array(11)], opset=17)


def test_mel_filters(reference):
    """Triangles on the mel scale."""
    edges = [np.array(edge, np.float32) for edge in (0, 4000)]
    inputs = [np.array(8), np.array(64), np.array(8000), *edges]
    agree(reference, "MelWeightMatrix", {}, inputs, opset=17)


def test_norms(reference):
    """Normalisations over groups, axes and norms."""
    agree(
        reference,
        "GroupNormalization",
        {"num_groups": 2},
        [floats(2, 4, 3, 3), floats(4), floats(4)],
        opset=21,
    )
    agree(reference, "MeanVarianceNormalization", {}, [floats(2, 3, 4, 4)])
    agree(reference, "RMSNormalization", {}, [floats(2, 3, 4), floats(4)], opset=23)
    for p in (1, 2):
        agree(reference, "LpNormalization", {"p": p, "axis": 0}, [floats(3, 4)])
    for axis in (-1, 0, 1):
        agree(reference, "Hardmax", {"axis": axis}, [np.round(floats(3, 4, 5))])


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_losses(reference, reduction):
    """Weights, ignored classes and all reductions."""
    target = RNG.integers(0, 4, (3, 2))
    attributes = {"reduction": reduction, "ignore_index": 1}
    inputs = [floats(3, 4, 2), target, np.abs(floats(4))]
    agree(reference, "NegativeLogLikelihoodLoss", attributes, inputs, opset=13)
    agree(reference, "SoftmaxCrossEntropyLoss", attributes, inputs, 2, opset=13)


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "words"),
    [
        ("DFT", {"onesided": 1}, [floats(1, 4, 2)], "takes a real signal"),
        ("DFT", {}, [floats(1, 4, 3)], "has 3 parts"),
        ("DFT", {}, [floats(1, 4, 2), None, np.array(2)], "cannot run along"),
        ("STFT", {}, [floats(1, 8, 1), np.array(0)], "do not fit a signal"),
        ("HannWindow", {"output_datatype": 16}, [np.array(4)], "data type 16"),
        ("HannWindow", {"periodic": 0}, [np.array(1)], "symmetric window of 1"),
        ("RMSNormalization", {"stash_type": 16}, [floats(2), floats(2)], "stash_type 16"),
        ("LpNormalization", {"p": 3}, [floats(2)], "p=3"),
        ("GroupNormalization", {"num_groups": 3}, [floats(1, 4, 2)] * 3, "3 groups"),
        ("NegativeLogLikelihoodLoss", {}, [floats(1, 2), np.array([2])], "index 2 is outside"),
        ("NegativeLogLikelihoodLoss", {}, [floats(1, 2), np.array([-1])], "class is negative"),
        ("SoftmaxCrossEntropyLoss", {"reduction": "max"}, [floats(1, 2), np.array([0])], "'max'"),
    ],
)
def test_refusals_name_the_reason(op, attributes, inputs, words):
    """What is not defined raises InputError."""
    with pytest.raises(InputError, match=words):
        compute(op, attributes, inputs)
