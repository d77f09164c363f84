"""Attribute values for which an operator has no meaning, refused before anything is computed.

Source: ONNX operator set 18; for windows in the padding alone and for output padding, which ONNX
leaves open, ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from heterolith.errors import InputError

_CONVOLUTIONS = ("Conv", "ConvInteger", "ConvTranspose", "DeformConv", "QLinearConv")
_POOLS = ("AveragePool", "LpPool", "MaxPool")


def check_values(op: str, attributes: Mapping[str, Any]) -> None:
    """Check the values of an operator's attributes.

    Raises
    ------
    InputError
        Naming operator, attribute, value and bound.
    """
    for rule in _RULES.get(op, ()):
        rule(op, attributes)


def _at_least(op: str, name: str, values: Sequence[int], least: int) -> None:
    for value in values:
        if value < least:
            raise InputError(f"{op} {name} is {value}; it must be {least} or more")


def _geometry(op: str, attributes: Mapping[str, Any]) -> None:
    for name in ("kernel_shape", "strides", "dilations"):
        _at_least(op, name, attributes.get(name) or (), 1)
    for name in ("pads", "output_padding"):
        _at_least(op, name, attributes.get(name) or (), 0)
    _at_least(op, "group", (attributes.get("group", 1),), 1)


def _pool(op: str, attributes: Mapping[str, Any]) -> None:
    """A window in the padding alone has no maximum and no mean."""
    kernel = tuple(attributes.get("kernel_shape") or ())  # its absence is the operator's to refuse
    dilations = attributes.get("dilations") or (1,) * len(kernel)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=False)]
    for pad, extent in zip(attributes.get("pads") or (), 2 * extents, strict=False):
        if pad >= extent:
            raise InputError(
                f"{op} pads by {pad}, its window spans {extent}: some windows hold padding alone; "
                f"pad by less than {extent}"
            )
    if attributes.get("storage_order", 0) not in (0, 1):
        raise InputError(f"{op} storage_order is {attributes['storage_order']}; use 0 or 1")


def _transposed(op: str, attributes: Mapping[str, Any]) -> None:
    extra = attributes.get("output_padding") or ()
    ones = (1,) * len(extra)
    strides, dilations = (attributes.get(name) or ones for name in ("strides", "dilations"))
    for more, stride, dilation in zip(extra, strides, dilations, strict=False):
        if more >= max(stride, dilation):
            raise InputError(
                f"{op} output_padding is {more}; it must be less than stride {stride} or dilation "
                f"{dilation}"
            )


def _size(op: str, attributes: Mapping[str, Any]) -> None:
    _at_least(op, "size", (attributes.get("size", 1),), 1)


_Rule = Callable[[str, Mapping[str, Any]], None]
_RULES: dict[str, tuple[_Rule, ...]] = {
    **dict.fromkeys(_CONVOLUTIONS, (_geometry,)),
    **dict.fromkeys(_POOLS, (_geometry, _pool)),
    "ConvTranspose": (_geometry, _transposed),
    "LRN": (_size,),
}
