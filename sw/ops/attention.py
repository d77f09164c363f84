"""Attention and what goes with it: scaled dot products, rotary positions, state-space scans.

Shapes: B sequences, H heads, S positions, D features of a head. Source: ONNX Attention-23 to -25,
RotaryEmbedding-23, CausalConvWithState-27, LinearAttention-27.
"""

from __future__ import annotations

import math

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array
from heterolith.sw.ops.activation import swish
from heterolith.sw.ops.normalize import softmax
from heterolith.sw.ops.shape import ONNX_DTYPES
from heterolith.sw.ops.window import Attribute

ATTENTION = frozenset(
    {
        "is_causal",
        "kv_num_heads",
        "left_window_size",
        "q_num_heads",
        "qk_matmul_output_mode",
        "right_window_size",
        "scale",
        "softcap",
        "softmax_precision",
    }
)


def split_heads(x: Array, heads: int | None, what: str) -> Array:
    """Return (B, H, S, D) of a tensor of that shape or packed as (B, S, H * D)."""
    if x.ndim == 4:
        return x
    if x.ndim != 3 or not heads or x.shape[2] % heads:
        raise InputError(f"{what} of shape {x.shape} cannot be split into {heads} heads")
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def attention(
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None = None,
    past_key: Array | None = None,
    past_value: Array | None = None,
    valid: Array | None = None,
    **attributes: Attribute,
) -> tuple[Array, Array, Array, Array]:
    """Return ``softmax(scale * Q K' + mask) V`` over heads.

    Parameters
    ----------
    q, k, v
        Float arrays (B, heads, S, D), or packed (B, S, heads * D). Query heads may share key heads.
    mask
        Bool (True attends) or float to add; it broadcasts to (B, H, S, keys), a shorter last axis
        masks the keys behind it.
    past_key, past_value
        Keys and values of earlier positions, (B, heads, P, D), put in front.
    valid
        Number of valid keys of each batch element, int64 (B,).

    Returns
    -------
    y
        In the form of `q`. A query that attends to nothing gives zeros.
    key, value
        With what was put in front.
    scores
        (B, H, S, keys): by ``qk_matmul_output_mode`` products, capped, masked, or weights.
    """
    packed, q = q.ndim == 3, split_heads(q, attributes.get("q_num_heads"), "queries")
    k = split_heads(k, attributes.get("kv_num_heads"), "keys")
    v = split_heads(v, attributes.get("kv_num_heads"), "values")
    if (past_key is None) != (past_value is None):
        raise InputError("past keys and past values go together; give both or none")
    before = 0 if past_key is None else past_key.shape[2]
    if past_key is not None and past_value is not None:
        k, v = np.concatenate((past_key, k), axis=2), np.concatenate((past_value, v), axis=2)
    groups, rest = divmod(q.shape[1], k.shape[1])
    if rest or k.shape[1] != v.shape[1]:
        raise InputError(f"{q.shape[1]} query heads on {k.shape[1]} key, {v.shape[1]} value heads")
    spread = (np.repeat(k, groups, axis=1), np.repeat(v, groups, axis=1))
    bias = _bias(q, k, mask, valid, before, attributes)
    y, scores = _attend(q, *spread, bias, attributes)
    if packed:
        y = y.swapaxes(1, 2).reshape(y.shape[0], y.shape[2], -1)
    return y, k, v, scores


def _attend(
    q: Array, k: Array, v: Array, bias: Array | None, attributes: dict[str, Attribute]
) -> tuple[Array, Array]:
    """Return the weighted values (B, H, S, D) and the scores that the mode asks for."""
    factor = attributes.get("scale")
    root = q.dtype.type(math.sqrt(1 / math.sqrt(q.shape[-1]) if factor is None else factor))
    scores = np.matmul(q * root, (k * root).swapaxes(-1, -2))
    stages = [scores]
    cap = attributes.get("softcap", 0.0)
    if cap:
        scores = scores.dtype.type(cap) * np.tanh(scores / scores.dtype.type(cap))
    stages.append(scores)
    if bias is not None:
        scores = scores + bias
    stages.append(scores)
    precision = attributes.get("softmax_precision")
    if precision is not None:
        if precision not in (1, 10, 11):
            raise InputError(f"Attention softmax_precision {precision} is not supported; use 1")
        scores = scores.astype(ONNX_DTYPES[precision])
    blind = np.isneginf(scores).all(axis=-1, keepdims=True)
    weights = np.where(blind, 0, softmax(np.where(blind, 0, scores))).astype(q.dtype)
    stages.append(weights)
    mode = attributes.get("qk_matmul_output_mode", 0)
    if mode not in (0, 1, 2, 3):
        raise InputError(f"Attention qk_matmul_output_mode {mode} is not known; use 0 to 3")
    return np.matmul(weights, v.astype(q.dtype)).astype(q.dtype), stages[mode]


def _bias(
    q: Array,
    k: Array,
    mask: Array | None,
    valid: Array | None,
    before: int,
    attributes: dict[str, Attribute],
) -> Array | None:
    """Return what is added to the scores, -inf where a query does not attend."""
    queries, keys = q.shape[2], k.shape[2]
    bias = None
    if mask is not None:
        bias = np.where(mask, 0, -np.inf).astype(q.dtype) if mask.dtype == np.bool_ else mask
        if bias.shape[-1] < keys and bias.shape[-1] != 1:
            width = [(0, 0)] * (bias.ndim - 1) + [(0, keys - bias.shape[-1])]
            bias = np.pad(bias, width, constant_values=-np.inf)
    batch = (-1, 1, 1, 1)
    offset = np.full(1, before)
    if valid is not None:
        if before:
            raise InputError("past keys and numbers of valid keys exclude each other")
        offset = valid - queries
    place = np.arange(keys)
    own = offset.reshape(batch) + np.arange(queries)[:, None]
    seen = np.ones((1, 1, queries, keys), bool)
    if valid is not None:
        seen = seen & (place < valid.reshape(batch))
    if attributes.get("is_causal"):
        seen = seen & (place <= own)
    left, right = attributes.get("left_window_size", -1), attributes.get("right_window_size", -1)
    if left >= 0:
        seen = seen & (place >= own - left)
    if right >= 0:
        seen = seen & (place <= own + right)
    if seen.all():
        return bias
    hidden = np.where(seen, 0, -np.inf).astype(q.dtype)
    return hidden if bias is None else bias + hidden


def rotary_embedding(
    x: Array,
    cosines: Array,
    sines: Array,
    places: Array | None = None,
    *,
    interleaved: int = 0,
    num_heads: int | None = None,
    rotary_embedding_dim: int = 0,
) -> Array:
    """Return pairs of features rotated by angles that depend on the position.

    Parameters
    ----------
    x
        Float array (B, H, S, D), or (B, S, H * D) with ``num_heads``.
    cosines, sines
        Of the angles, (B, S, D / 2); tables (positions, D / 2) if there are `places`.
    places
        Position of each element, int64 (B, S).
    interleaved
        Whether neighbours are pairs, instead of the halves of the features.
    rotary_embedding_dim
        Leading features to rotate, all by default.
    """
    heads = split_heads(x, num_heads, "input")
    width = rotary_embedding_dim or heads.shape[-1]
    if places is not None:
        if places.size and (places.min() < 0 or places.max() >= len(cosines)):
            raise InputError(f"positions leave the table of {len(cosines)}")
        cosines, sines = cosines[places], sines[places]
    if {2 * cosines.shape[-1], 2 * sines.shape[-1]} != {width}:
        raise InputError(f"{cosines.shape[-1]} angles for {width} features; half as many are due")
    cosines, sines = cosines[:, None], sines[:, None]
    turned, kept = heads[..., :width], heads[..., width:]
    if interleaved:
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned[..., : width // 2], turned[..., width // 2 :]
    pair = (cosines * first - sines * second, sines * first + cosines * second)
    if interleaved:
        turned = np.stack(pair, axis=-1).reshape(turned.shape)
    else:
        turned = np.concatenate(pair, axis=-1)
    out = np.concatenate((turned, kept), axis=-1)
    return out if x.ndim == 4 else out.swapaxes(1, 2).reshape(x.shape)


def causal_conv_with_state(
    x: Array,
    w: Array,
    b: Array | None = None,
    past: Array | None = None,
    *,
    activation: str = "none",
) -> tuple[Array, Array]:
    """Return the depthwise convolution of each position with those before it, and the next state.

    Parameters
    ----------
    x
        Float array (B, C, L).
    w
        Kernels (C, 1, K).
    b
        Bias (C,).
    past
        Last K - 1 positions of the step before, (B, C, K - 1); zeros by default.
    activation
        none, or silu (also called swish) of the result.
    """
    if activation not in ("none", "silu", "swish"):
        raise unknown_name("activation", activation, ("none", "silu", "swish"))
    taps, length = w.shape[-1], x.shape[-1]
    if w.shape[:2] != (x.shape[1], 1):
        raise InputError(f"kernels of shape {w.shape} for {x.shape[1]} channels")
    if past is None:
        past = np.zeros((*x.shape[:2], taps - 1), x.dtype)
    line = np.concatenate((past, x), axis=-1)
    kind = np.result_type(x.dtype, np.float32)
    sums = np.zeros(x.shape, kind)
    for tap in range(taps):
        sums += w[:, 0, tap, None].astype(kind) * line[..., tap : tap + length]
    if b is not None:
        sums += b[:, None]
    out = sums.astype(x.dtype)
    return (out if activation == "none" else swish(out)), line[..., line.shape[-1] - taps + 1 :]


def linear_attention(
    q: Array,
    k: Array,
    v: Array,
    past: Array | None = None,
    decay: Array | None = None,
    beta: Array | None = None,
    *,
    q_num_heads: int,
    kv_num_heads: int,
    scale: float = 0.0,
    update_rule: str = "gated_delta",
    chunk_size: int = 64,
) -> tuple[Array, Array]:
    """Return ``scale * q' S`` of every position, where S sums outer products of keys and values.

    Parameters
    ----------
    q, k, v
        Packed float arrays (B, S, heads * D).
    past
        State (B, kv heads, Dk, Dv), zeros by default.
    decay, beta
        Logarithm of the state's factor, (B, S, kv heads [* Dk]); update rate (B, S, kv heads or 1).
    update_rule
        linear, gated, delta or gated_delta. ``chunk_size`` is a hint that changes no result.

    Returns
    -------
    outputs of shape (B, S, q heads * Dv), last state
    """
    _check_rule(update_rule, decay, beta)
    batch, steps = q.shape[:2]
    heads = split_heads(q, q_num_heads, "queries")
    keys, values = split_heads(k, kv_num_heads, "keys"), split_heads(v, kv_num_heads, "values")
    kind = np.result_type(np.float32, q.dtype)
    empty = np.zeros((batch, kv_num_heads, keys.shape[-1], values.shape[-1]), q.dtype)
    past = empty if past is None else past
    state = past.astype(kind)
    factor = kind.type(scale or 1 / math.sqrt(heads.shape[-1]))
    out = np.empty((*heads.shape[:3], values.shape[-1]), kind)
    for at in range(steps):
        rate = None if decay is None else decay[:, at].astype(kind)
        share = None if beta is None else beta[:, at].astype(kind)
        key, value = keys[:, :, at].astype(kind), values[:, :, at].astype(kind)
        state = _next_state(state, key, value, rate, share)
        query = heads[:, :, at].astype(kind).reshape(*empty.shape[:2], -1, keys.shape[-1])
        out[:, :, at] = (factor * np.matmul(query, state)).reshape(batch, q_num_heads, -1)
    packed = out.swapaxes(1, 2).reshape(batch, steps, -1)
    return packed.astype(q.dtype), state.astype(past.dtype)


def _check_rule(rule: str, decay: Array | None, beta: Array | None) -> None:
    """Check that a rule has what it uses, and nothing that it would pass over."""
    rules = ("linear", "gated", "delta", "gated_delta")
    if rule not in rules:
        raise unknown_name("LinearAttention update rule", rule, rules)
    uses = (rule.startswith("gated"), rule.endswith("delta"))
    if uses != (decay is not None, beta is not None):
        raise InputError(f"LinearAttention {rule} needs decay and beta where it uses them")


def _next_state(
    state: Array, key: Array, value: Array, decay: Array | None, beta: Array | None
) -> Array:
    """Return the state (B, heads, Dk, Dv) after one more key and value, (B, heads, D)."""
    if decay is not None:
        state = state * np.exp(decay.reshape(*state.shape[:2], -1, 1))
    if beta is not None:
        known = np.matmul(key[:, :, None], state)[:, :, 0]
        value = beta[..., None] * (value - known)
    out: Array = state + key[..., None] * value[:, :, None]
    return out
