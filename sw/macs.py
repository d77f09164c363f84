"""Multiply-accumulates of one layer, batch included.

Counted are products of convolutions, matrix products and recurrent layers, padding included, as the
tables of network papers do; every other operator counts zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
        Canonical attributes; ``transA`` is read.
    inputs
        Shapes of the inputs in the operator's order, ``()`` for an absent one.
    output
        Shape of the first result.
    """
    if op in _RECURRENT:  # every step of every sequence meets both weights
        return math.prod(inputs[0][:2]) * (math.prod(inputs[1]) + math.prod(inputs[2]))
    if op not in _OPERANDS:
        return 0
    left, right = (inputs[at] for at in _OPERANDS[op])
    if op == "ConvTranspose":  # each input element meets (M / group) * kernel weights
        return math.prod(left) * math.prod(right[1:])
    if "Conv" in op:  # each output element sums (C / group) * kernel products
        return math.prod(output) * math.prod(right[1:])
    if op == "Gemm":
        return math.prod(output) * left[0 if attributes.get("transA") else 1]
    return math.prod(output) * left[-1]
