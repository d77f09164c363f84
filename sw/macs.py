"""Multiply-accumulates of one layer, batch included.

Counted are products of convolutions, matrix products, attention and recurrent layers, padding and
masked places included, as the tables of network papers do; every other operator counts zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]

# Position of the left operand and of the weights among the inputs.
_OPERANDS = {
    "Conv": (0, 1),
    "ConvInteger": (0, 1),
    "QLinearConv": (0, 3),
    "ConvTranspose": (0, 1),
    "DeformConv": (0, 1),
    "Gemm": (0, 1),
    "QGemm": (0, 3),
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearMatMul": (0, 3),
}
_RECURRENT = ("GRU", "LSTM", "RNN")


def layer_macs(
    op: str, attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape
) -> int:
    """Return the multiply-accumulates of a layer.

    Parameters
    ----------
    op
        ONNX operator type.
    attributes
        Canonical attributes; those that decide the sizes of products are read.
    inputs
        Shapes of the inputs in the operator's order, ``()`` for an absent one.
    output
        Shape of the first result.
    """
    if op in _RECURRENT:  # every step of every sequence meets both weights
        return math.prod(inputs[0][:2]) * (math.prod(inputs[1]) + math.prod(inputs[2]))
    if op in _OTHERS:
        return _OTHERS[op](attributes, inputs, output)
    if op not in _OPERANDS:
        return 0
    left, right = (inputs[at] for at in _OPERANDS[op])
    if op == "ConvTranspose":  # each input element meets (M / group) * kernel weights
        return math.prod(left) * math.prod(right[1:])
    if "Conv" in op:  # each output element sums (C / group) * kernel products
        return math.prod(output) * math.prod(right[1:])
    if op in ("Gemm", "QGemm"):
        return math.prod(output) * left[0 if attributes.get("transA") else 1]
    return math.prod(output) * left[-1]


def _attention(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> int:
    """Every query meets every key, past ones included; every weight meets a value."""
    past = inputs[4] if len(inputs) > 4 else ()
    keys = inputs[1][-2] + (past[-2] if past else 0)
    return (math.prod(inputs[0]) + math.prod(output)) * keys


def _linear_attention(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> int:
    """Each position adds key times value to the state, and multiplies it by the query."""
    value_width = inputs[2][-1] // int(attributes["kv_num_heads"])
    updates = 2 if attributes.get("update_rule", "gated_delta").endswith("delta") else 1
    return (math.prod(inputs[0]) + updates * math.prod(inputs[1])) * value_width


def _causal_conv(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> int:
    return math.prod(output) * inputs[1][-1]


def _einsum(attributes: Mapping[str, Any], inputs: Sequence[Shape], output: Shape) -> int:
    """All labels' combinations, once per product; zero where nothing is summed up.

    More than two operands are multiplied at once, which is an upper bound of what pairs cost.
    """
    terms, _, result = attributes["equation"].replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms.split(","), inputs, strict=True):
        before, dots, after = term.partition("...")
        free = len(shape) - len(before) - len(after) if dots else 0
        labels = [*before, *(f"...{free - place}" for place in range(free)), *after]
        for label, size in zip(labels, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    if "->" not in attributes["equation"]:
        result = "".join(label for label in sizes if terms.count(label) == 1)
    summed = any(label not in result for label in sizes if not label.startswith("..."))
    return math.prod(sizes.values()) * (len(inputs) - 1) if summed else 0


_OTHERS: dict[str, Callable[[Mapping[str, Any], Sequence[Shape], Shape], int]] = {
    "Attention": _attention,
    "CausalConvWithState": _causal_conv,
    "Einsum": _einsum,
    "LinearAttention": _linear_attention,
}
