"""Resampling of tensors to another size by nearest neighbour or linear interpolation.

Both are separable: one axis after the other is gathered. Source: ONNX operator set 18, Resize.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array
from heterolith.sw.ops.shape import integers
from heterolith.sw.ops.window import Attribute

_UNSUPPORTED = {
    "antialias": 0,
    "exclude_outside": 0,
    "keep_aspect_ratio_policy": "stretch",
}
_IGNORED = {"cubic_coeff_a", "extrapolation_value"}  # for cubic and tf_crop_and_resize alone
_COORDINATES = frozenset(
    {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"}
)
_NEAREST = frozenset({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})

# The attributes of Resize, as keywords of `resize`.
ATTRIBUTES = frozenset(
    {"axes", "coordinate_transformation_mode", "mode", "nearest_mode", *_UNSUPPORTED, *_IGNORED}
)


def resize(
    x: Array,
    roi: Array | None = None,
    scales: Array | None = None,
    sizes: Array | None = None,
    **attributes: Attribute,
) -> Array:
    """Return `x` resampled on the given axes (all by default).

    Parameters
    ----------
    roi
        Not used by the supported coordinate modes.
    scales, sizes
        Factors, or lengths of the result; exactly one of them has elements.
    **attributes
        ``mode`` nearest or linear, ``coordinate_transformation_mode``, ``nearest_mode``, ``axes``.

    Raises
    ------
    InputError
        For cubic interpolation, antialiasing, cropping or an aspect-ratio policy.
    """
    for name, only in _UNSUPPORTED.items():
        if attributes.get(name, only) != only:
            raise InputError(
                f"Resize with {name}={attributes[name]!r} is not supported; use {only!r}"
            )
    mode = attributes.get("mode", "nearest")
    if mode not in ("nearest", "linear"):
        raise InputError(f"Resize mode {mode!r} is not supported; use nearest or linear")
    coordinates = attributes.get("coordinate_transformation_mode", "half_pixel")
    if coordinates not in _COORDINATES:
        raise unknown_name("Resize coordinate mode", coordinates, _COORDINATES)
    rounding = attributes.get("nearest_mode", "round_prefer_floor")
    if rounding not in _NEAREST:
        raise unknown_name("Resize nearest mode", rounding, _NEAREST)
    axes = attributes.get("axes") or range(x.ndim)
    for axis, (length, scale) in zip(axes, _targets(x, axes, scales, sizes), strict=True):
        if length == x.shape[axis] and scale == 1.0:
            continue
        places = source_places(x.shape[axis], length, scale, coordinates)
        x = _nearest(x, axis, places, rounding) if mode == "nearest" else _linear(x, axis, places)
    return x


def _targets(
    x: Array, axes: Sequence[int], scales: Array | None, sizes: Array | None
) -> list[tuple[int, float]]:
    """Return the new length and the scale of every resized axis."""
    if sizes is not None and sizes.size:
        lengths = integers(sizes)
        return [(n, n / x.shape[axis]) for axis, n in zip(axes, lengths, strict=True)]
    if scales is None or not scales.size:
        raise InputError("Resize needs scales or sizes")
    factors = [float(scale) for scale in scales]
    return [(int(x.shape[axis] * f), f) for axis, f in zip(axes, factors, strict=True)]


def source_places(length_in: int, length: int, scale: float, coordinates: str) -> Array:
    """Return the place in the input, float64, that each of ``length`` outputs is taken from."""
    out = np.arange(length, dtype=np.float64)
    if coordinates == "asymmetric":
        return out / scale
    if coordinates == "align_corners":
        return out * ((length_in - 1) / (length - 1)) if length > 1 else np.zeros(1)
    if coordinates == "pytorch_half_pixel" and length == 1:
        return np.zeros(1)
    places = (out + 0.5) / scale - 0.5
    if coordinates == "half_pixel_symmetric":
        centre = length_in / 2
        return places + centre * (1 - length / (scale * length_in))
    return places


def _nearest(x: Array, axis: int, places: Array, rounding: str) -> Array:
    if rounding == "floor":
        index = np.floor(places)
    elif rounding == "ceil":
        index = np.ceil(places)
    elif rounding == "round_prefer_floor":
        index = np.ceil(places - 0.5)
    else:
        index = np.floor(places + 0.5)
    return np.take(x, np.clip(index, 0, x.shape[axis] - 1).astype(np.int64), axis=axis)


def _linear(x: Array, axis: int, places: Array) -> Array:
    last = x.shape[axis] - 1
    places = np.clip(places, 0, last)
    low = np.floor(places).astype(np.int64)
    weight = (places - low).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis % x.ndim))
    below, above = np.take(x, low, axis=axis), np.take(x, np.minimum(low + 1, last), axis=axis)
    out: Array = below * (x.dtype.type(1) - weight) + above * weight
    return out
