"""Operators of domain com.microsoft that quantized models need, and the types of their results.

Source: ONNX Runtime, docs/ContribOperators.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import TensorType

DOMAIN = "com.microsoft"
OPERATORS = frozenset({"QGemm", "QLinearAdd", "QLinearGlobalAveragePool", "QLinearMul"})


def result_type(
    op: str, attributes: Mapping[str, Any], kinds: Sequence[TensorType | None]
) -> TensorType:
    """Return the type of an operator's one result.

    Raises
    ------
    InputError
        If an input is missing, or a dtype or shape does not fit.
    """
    first = _codes(op, kinds, 0)
    if op == "QLinearGlobalAveragePool":
        if attributes.get("channels_last", 0):
            raise InputError(f"{op} channels_last is not supported; use 0")
        if len(first.shape) < 3:
            raise InputError(f"{op} of rank {len(first.shape)}; maps have rank 3 or more")
        return TensorType((*first.shape[:2], *(1,) * (len(first.shape) - 2)), first.dtype)
    second = _codes(op, kinds, 3)
    if op != "QGemm":
        if second.dtype != first.dtype:
            raise InputError(f"{op} of {first.dtype} and {second.dtype}, which must agree")
        return TensorType(np.broadcast_shapes(first.shape, second.shape), first.dtype)
    left = first.shape[::-1] if attributes.get("transA", 0) else first.shape
    right = second.shape[::-1] if attributes.get("transB", 0) else second.shape
    if len(left) != 2 or len(right) != 2 or left[1] != right[0]:
        raise InputError(f"{op} of shapes {first.shape} and {second.shape}")
    quantized = len(kinds) > 7 and kinds[7] is not None
    return TensorType((left[0], right[1]), first.dtype if quantized else "float32")


def _codes(op: str, kinds: Sequence[TensorType | None], at: int) -> TensorType:
    """Return the type of 8-bit codes after checking their scale and zero point."""
    codes, scale, zero = (*kinds[at : at + 3], None, None, None)[:3]
    if codes is None or codes.dtype not in ("int8", "uint8"):
        raise InputError(f"{op}: input {at} is {codes and codes.dtype}, it takes int8 or uint8")
    if scale is None or scale.dtype != "float32":
        raise InputError(f"{op}: input {at + 1} is {scale and scale.dtype}, it takes float32")
    if zero is not None and zero.dtype != codes.dtype:
        raise InputError(f"{op}: input {at + 2} is {zero.dtype}, it takes {codes.dtype}")
    return codes
