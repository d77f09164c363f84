"""Normalisations agree with ONNX Runtime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith.errors import InputError
from heterolith.sw.ops import compute
from heterolith.sw.ops.normalize import local_response_normalization, normalize_into
from heterolith.sw.workers.scratch import Scratch


def normal(seed, *shape):
    """Return a standard normal float32 array."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    size=st.sampled_from([1, 3, 5, 7, 9]),
    channels=st.integers(1, 12),
    spatial=st.lists(st.integers(1, 6), min_size=2, max_size=2),
    beta=st.sampled_from([0.75, 0.5, 0.7500001, 1.0]),
    bias=st.sampled_from([1.0, 2.0]),
)
def test_lrn_agrees_with_onnxruntime(reference, size, channels, spatial, beta, bias):
    """The window runs over channels and is cut at both ends."""
    x = 4 * normal(size, 2, channels, *spatial)
    attributes = {"size": size, "alpha": 0.3, "beta": beta, "bias": bias}
    (got,) = compute("LRN", attributes, [x])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, reference("LRN", attributes, [x])[0], rtol=1e-4, atol=1e-6)


def test_lrn_of_even_size_leans_to_the_right():
    """An even window reaches one channel further up than down."""
    x = np.arange(1.0, 6.0).reshape(1, 5, 1, 1)
    (got,) = compute("LRN", {"size": 4, "alpha": 4.0, "beta": 1.0, "bias": 0.0}, [x])
    sums = [1 + 4 + 9, 1 + 4 + 9 + 16, 4 + 9 + 16 + 25, 9 + 16 + 25, 16 + 25]
    np.testing.assert_allclose(got.ravel(), np.arange(1.0, 6.0) / sums)


@pytest.mark.parametrize("beta", [0.75, 0.6])
@pytest.mark.parametrize("size", [1, 4, 5])
def test_lrn_into_given_memory_is_the_same(beta, size):
    """With memory for what lies between given too, twice in the same memory."""
    scratch = Scratch()
    for seed in range(2):
        x = normal(seed, 1, 6, 3, 4)
        out = np.full((1, 6, 5, 4), np.nan, np.float32)[:, :, 1:4]
        got = normalize_into(out, x, scratch.take, size=size, beta=beta)
        assert got is out
        np.testing.assert_array_equal(out, local_response_normalization(x, size=size, beta=beta))


def test_lrn_writes_to_none_of_its_inputs():
    """One too many is refused, not overwritten."""
    x, more = normal(0, 1, 6, 3, 4), np.zeros((1, 6, 3, 4), np.float32)
    with pytest.raises(InputError, match="LRN does not fit inputs"):
        compute("LRN", {"size": 3}, [x, more])
    assert not more.any()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    op=st.sampled_from(["Softmax", "LogSoftmax"]),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    data=st.data(),
)
def test_softmax_agrees_with_onnxruntime(reference, op, shape, data):
    """One axis from set 13 on, all axes from ``axis`` on before it."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = 30 * normal(len(shape), *shape)
    (got,) = compute(op, {"axis": axis}, [x])
    (expected,) = reference(op, {"axis": axis}, [x])
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    (got,) = compute(op, {"axis": axis, "flatten": 1}, [x])
    (expected,) = reference(op, {"axis": axis}, [x], opset=11)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(), (7,), (5, 6), (3, 4, 5)])
def test_batch_normalization_agrees_with_onnxruntime(reference, size):
    """Running statistics are per channel at any rank."""
    x, scale, bias, mean = normal(0, 2, 4, *size), normal(1, 4), normal(2, 4), normal(3, 4)
    inputs = [x, scale, bias, mean, np.abs(normal(4, 4))]
    (got,) = compute("BatchNormalization", {"epsilon": 0.01}, inputs)
    (expected,) = reference("BatchNormalization", {"epsilon": 0.01}, inputs)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_batch_normalization_refuses_training():
    """Batch statistics are not an inference matter: there is no such attribute."""
    ones = np.ones(2, np.float32)
    with pytest.raises(InputError, match="training_mode"):
        compute("BatchNormalization", {"training_mode": 1}, [normal(0, 1, 2, 3), *[ones] * 4])


@pytest.mark.parametrize("size", [(7,), (5, 6), (3, 4, 5)])
def test_instance_normalization_agrees_with_onnxruntime(reference, size):
    """Statistics are per image and channel."""
    inputs = [normal(0, 2, 4, *size), normal(1, 4), normal(2, 4)]
    (got,) = compute("InstanceNormalization", {"epsilon": 0.01}, inputs)
    (expected,) = reference("InstanceNormalization", {"epsilon": 0.01}, inputs)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axis", [-1, 1, 2, -3])
def test_layer_normalization_agrees_with_onnxruntime(reference, axis):
    """All three outputs agree, over every axis from ``axis`` on."""
    x = normal(0, 2, 3, 4)
    inputs = [x, normal(1, *x.shape[axis:]), normal(2, *x.shape[axis:])]
    got = compute("LayerNormalization", {"axis": axis}, inputs, 3)
    expected = reference("LayerNormalization", {"axis": axis}, inputs, 3)
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    (without_bias,) = compute("LayerNormalization", {"axis": axis}, inputs[:2])
    np.testing.assert_allclose(without_bias, got[0] - inputs[2], rtol=1e-4, atol=1e-5)


def test_layer_normalization_refuses_other_statistics():
    """Statistics in another dtype than float32 are refused."""
    with pytest.raises(InputError, match="stash_type 16"):
        compute("LayerNormalization", {"stash_type": 16}, [normal(0, 2, 3), normal(1, 3)])
