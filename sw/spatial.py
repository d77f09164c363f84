"""Windows of convolutions and pools with every default resolved.

``auto_pad`` and ``output_shape`` become explicit ``pads`` (all begins, then all ends), absent
``kernel_shape``, ``strides``, ``dilations`` and ``pads`` are filled in. Source: ONNX operator
documentation of Conv-11, ConvTranspose-11, MaxPool-12, AveragePool-19 and LpPool-18.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heterolith.errors import InputError

_Ints = tuple[int, ...]


def resolve_window(attributes: dict[str, Any], size: Sequence[int], kernel: Sequence[int]) -> None:
    """Fill in the window of a convolution or pool, in place.

    Parameters
    ----------
    attributes
        Of the node; ``auto_pad`` is consumed.
    size
        Spatial lengths of the input.
    kernel
        Spatial lengths of the window.

    Raises
    ------
    InputError
        If ``auto_pad`` is not one of ONNX's four.
    """
    strides, dilations = _steps(attributes, kernel)
    mode = attributes.pop("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max((-(-length // stride) - 1) * stride + (k - 1) * dilation + 1 - length, 0)
            for length, k, stride, dilation in zip(size, kernel, strides, dilations, strict=True)
        ]
        attributes["pads"] = _halves(total, upper=mode == "SAME_UPPER")
    elif mode == "VALID":
        attributes["pads"] = (0,) * (2 * len(kernel))
    elif mode == "NOTSET":
        attributes["pads"] = attributes.get("pads") or (0,) * (2 * len(kernel))
    else:
        raise InputError(
            f"auto_pad {mode!r} is not known; use NOTSET, VALID, SAME_UPPER or SAME_LOWER"
        )


def resolve_transposed(
    attributes: dict[str, Any], size: Sequence[int], kernel: Sequence[int]
) -> None:
    """Fill in the window of a ConvTranspose, in place; parameters as in `resolve_window`.

    ``auto_pad`` and ``output_shape`` are consumed. An output longer than the full one is reached by
    ``output_padding``, since pads cannot be negative.
    """
    strides, dilations = _steps(attributes, kernel)
    extra = attributes.get("output_padding") or (0,) * len(kernel)
    attributes["output_padding"] = tuple(extra)
    mode = attributes.pop("auto_pad", "NOTSET")
    wanted = attributes.pop("output_shape", None)
    if not wanted and mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [length * stride for length, stride in zip(size, strides, strict=True)]
    if not wanted:
        given = attributes.get("pads") if mode == "NOTSET" else None
        attributes["pads"] = given or (0,) * (2 * len(kernel))
        return
    total = [
        (length - 1) * stride + more + (k - 1) * dilation + 1 - target
        for length, k, stride, dilation, more, target in zip(
            size, kernel, strides, dilations, extra, wanted[-len(kernel) :], strict=True
        )
    ]
    attributes["output_padding"] = tuple(
        more + max(-surplus, 0) for more, surplus in zip(extra, total, strict=True)
    )
    attributes["pads"] = _halves([max(surplus, 0) for surplus in total], mode == "SAME_UPPER")


def _steps(attributes: dict[str, Any], kernel: Sequence[int]) -> tuple[_Ints, _Ints]:
    ones = (1,) * len(kernel)
    attributes["kernel_shape"] = tuple(kernel)
    attributes["strides"] = attributes.get("strides") or ones
    attributes["dilations"] = attributes.get("dilations") or ones
    return attributes["strides"], attributes["dilations"]


def _halves(total: Sequence[int], upper: bool) -> _Ints:
    """Split paddings into begins and ends; the odd element goes to the end if ``upper``."""
    small = [amount // 2 for amount in total]
    large = [amount - half for amount, half in zip(total, small, strict=True)]
    return (*small, *large) if upper else (*large, *small)
