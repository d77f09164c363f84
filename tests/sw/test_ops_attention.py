"""Attention and its neighbours agree with ONNX Runtime and with their definitions."""

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.sw.ops import compute

RNG = np.random.default_rng(0)


def floats(*shape):
    """Return standard normal float32 values."""
    return RNG.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("cap", [0.0, 2.0])
@pytest.mark.parametrize("masked", [False, True])
def test_attention(reference, causal, cap, masked):
    """Shared key heads, causal masks, added masks and soft caps."""
    inputs = [floats(2, 4, 3, 8), floats(2, 2, 3, 8), floats(2, 2, 3, 6)]
    inputs += [floats(3, 3)] if masked else []
    attributes = {"is_causal": causal, "softcap": cap}
    (got,) = compute("Attention", attributes, inputs)
    (expected,) = reference("Attention", attributes, inputs, opset=23)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_attention_in_steps_equals_attention_at_once():
    """Keys kept from earlier positions, or written into a cache, give the same rows."""
    q, k, v = floats(1, 2, 5, 4), floats(1, 2, 5, 4), floats(1, 2, 5, 4)
    (whole,) = compute("Attention", {"is_causal": 1}, [q, k, v])
    past = [None, k[:, :, :3], v[:, :, :3]]
    rest = [array[:, :, 3:] for array in (q, k, v)]
    (late,) = compute("Attention", {"is_causal": 1}, [*rest, *past])
    np.testing.assert_allclose(late, whole[:, :, 3:], rtol=1e-5, atol=1e-6)
    cache = [np.pad(array, ((0, 0), (0, 0), (0, 3), (0, 0))) for array in (k, v)]
    valid = [None, None, None, np.array([5])]
    (cached,) = compute("Attention", {"is_causal": 1}, [rest[0], *cache, *valid])
    np.testing.assert_allclose(cached, whole[:, :, 3:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding(reference, interleaved):
    """Pairs are neighbours or halves; positions choose the angles."""
    inputs = [floats(2, 4, 3, 8), floats(9, 4), floats(9, 4), RNG.integers(0, 9, (2, 3))]
    (got,) = compute("RotaryEmbedding", {"interleaved": interleaved}, inputs)
    (expected,) = reference("RotaryEmbedding", {"interleaved": interleaved}, inputs, opset=23)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "words"),
    [
        ("Attention", {}, [floats(1, 3, 2, 4)] + [floats(1, 2, 2, 4)] * 2, "3 query heads on 2"),
        ("Attention", {}, [floats(1, 3, 4)] * 3, "cannot be split into None heads"),
        ("Attention", {"softmax_precision": 16}, [floats(1, 1, 2, 4)] * 3, "precision 16"),
        ("Attention", {"qk_matmul_output_mode": 4}, [floats(1, 1, 2, 4)] * 3, "mode 4"),
        ("Attention", {}, [floats(1, 1, 2, 4)] * 3 + [None, floats(1, 1, 2, 4)], "go together"),
        ("RotaryEmbedding", {}, [floats(1, 2, 3, 8), floats(1, 3, 2), floats(1, 3, 2)], "angles"),
        ("CausalConvWithState", {"activation": "relu"}, [floats(1, 2, 3)] * 2, "activation 'relu'"),
        (
            "LinearAttention",
            {"q_num_heads": 1, "kv_num_heads": 1},
            [floats(1, 2, 4)] * 3,
            "needs decay and beta",
        ),
    ],
)
def test_refusals_name_the_reason(op, attributes, inputs, words):
    """What is not computed raises InputError."""
    with pytest.raises(InputError, match=words):
        compute(op, attributes, inputs)
