"""Resampling of tensors to another size by nearest neighbour, linear or cubic interpolation.

All are separable: one axis after the other is gathered. Weights are formed in float64. Source: ONNX
Resize-19.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array
from heterolith.sw.ops.sample import cubic_kernel
from heterolith.sw.ops.shape import integers
from heterolith.sw.ops.window import Attribute

_COORDINATES = frozenset(
    {
        "align_corners",
        "asymmetric",
        "half_pixel",
        "half_pixel_symmetric",
        "pytorch_half_pixel",
        "tf_crop_and_resize",
    }
)
_NEAREST = frozenset({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"})
_POLICIES = frozenset({"stretch", "not_larger", "not_smaller"})
_MODES = frozenset({"nearest", "linear", "cubic"})

# The attributes of Resize, as keywords of `resize`.
ATTRIBUTES = frozenset(
    {
        "antialias",
        "axes",
        "coordinate_transformation_mode",
        "cubic_coeff_a",
        "exclude_outside",
        "extrapolation_value",
        "keep_aspect_ratio_policy",
        "mode",
        "nearest_mode",
    }
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
        Begins, then ends of what ``tf_crop_and_resize`` takes from each axis, as fractions.
    scales, sizes
        Factors, or lengths of the result; exactly one of them has elements.
    **attributes
        `ATTRIBUTES` by ONNX name.

    Raises
    ------
    InputError
        For an unknown mode, or linear and cubic interpolation of integers, whose rounding ONNX
        leaves open.
    """
    mode, coordinates, rounding, policy = _modes(attributes)
    if mode != "nearest" and x.dtype.kind != "f":
        raise InputError(f"Resize mode {mode} of {x.dtype} is not defined; use nearest or float32")
    axes = [axis % x.ndim for axis in attributes.get("axes") or range(x.ndim)]
    crops = _crops(roi, len(axes), coordinates)
    outside = []
    for axis, crop, (length, scale) in zip(
        axes, crops, _targets(x, axes, crops, (scales, sizes), policy), strict=True
    ):
        if length == x.shape[axis] and scale == 1.0 and coordinates != "tf_crop_and_resize":
            continue
        places = source_places(x.shape[axis], length, scale, coordinates, crop)
        if coordinates == "tf_crop_and_resize":
            form = [-1 if at == axis else 1 for at in range(x.ndim)]
            outside.append(((places < 0) | (places > x.shape[axis] - 1)).reshape(form))
        if mode == "nearest":
            x = _nearest(x, axis, places, rounding)
        else:
            x = _weighted(x, axis, places, _kernel_scale(scale, attributes), attributes)
    for far in outside:
        x = np.where(far, x.dtype.type(attributes.get("extrapolation_value", 0.0)), x)
    return x


def _modes(attributes: dict[str, Attribute]) -> list[str]:
    """Return the modes of interpolation, coordinates, rounding and policy."""
    known = {
        "mode": ("mode", "nearest", _MODES),
        "coordinate_transformation_mode": ("coordinate mode", "half_pixel", _COORDINATES),
        "nearest_mode": ("nearest mode", "round_prefer_floor", _NEAREST),
        "keep_aspect_ratio_policy": ("policy", "stretch", _POLICIES),
    }
    modes = []
    for name, (what, default, names) in known.items():
        mode = attributes.get(name, default)
        if mode not in names:
            raise unknown_name(f"Resize {what}", mode, names)
        modes.append(mode)
    return modes


def _crops(roi: Array | None, count: int, coordinates: str) -> list[tuple[float, float]]:
    """Return begin and end of what is taken from each axis, as fractions."""
    if coordinates != "tf_crop_and_resize":
        return [(0.0, 1.0)] * count
    if roi is None or roi.size != 2 * count:
        raise InputError(f"tf_crop_and_resize needs a roi of {2 * count} elements")
    return [(float(roi[at]), float(roi[at + count])) for at in range(count)]


def _targets(
    x: Array,
    axes: Sequence[int],
    crops: Sequence[tuple[float, float]],
    wanted: tuple[Array | None, Array | None],
    policy: str,
) -> list[tuple[int, float]]:
    """Return the new length and the scale of every resized axis."""
    scales, sizes = wanted
    given = [value is not None and value.size > 0 for value in wanted]
    if given == [True, True] or given == [False, False]:
        raise InputError("Resize needs scales or sizes, one of them")
    values = sizes if scales is None or not scales.size else scales
    assert values is not None
    if values.size != len(axes):
        raise InputError(f"Resize of {len(axes)} axes got {values.size} scales or sizes")
    if given[1]:
        lengths = integers(values)
        factors = [n / x.shape[axis] for axis, n in zip(axes, lengths, strict=True)]
        if policy == "stretch":
            return list(zip(lengths, factors, strict=True))
        factor = min(factors) if policy == "not_larger" else max(factors)
        return [(int(np.floor(factor * x.shape[axis] + 0.5)), factor) for axis in axes]
    factors = [float(scale) for scale in values]
    if min(factors) <= 0:
        raise InputError(f"Resize scales {factors} must be above 0")
    return [
        (int(np.floor(x.shape[axis] * (end - begin) * factor)), factor)
        for axis, factor, (begin, end) in zip(axes, factors, crops, strict=True)
    ]


def source_places(
    length_in: int,
    length: int,
    scale: float,
    coordinates: str,
    crop: tuple[float, float] = (0.0, 1.0),
) -> Array:
    """Return the place in the input, float64, that each of ``length`` outputs is taken from."""
    out = np.arange(length, dtype=np.float64)
    last = length_in - 1
    if coordinates == "asymmetric":
        return out / scale
    if coordinates == "align_corners":
        # The length that the scale asks for, a fraction included.
        span = scale * length_in - 1
        return out * (last / span) if span > 0 else np.zeros(length)
    if coordinates == "tf_crop_and_resize":
        begin, end = crop
        if length > 1:
            return begin * last + out * ((end - begin) * last / (length - 1))
        return np.full(length, 0.5 * (begin + end) * last)
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


def _kernel_scale(scale: float, attributes: dict[str, Attribute]) -> float:
    """Return by what antialiasing compresses distances: 1 where there is none."""
    return min(scale, 1.0) if attributes.get("antialias", 0) else 1.0


def _weighted(
    x: Array, axis: int, places: Array, compression: float, attributes: dict[str, Attribute]
) -> Array:
    """Return weighted sums of the elements around each place; the outermost ones repeat."""
    cubic = attributes.get("mode") == "cubic"
    reach = int(np.ceil((2 if cubic else 1) / compression))
    base = np.floor(places).astype(np.int64)
    pixels = base + np.arange(1 - reach, reach + 1)[:, None]
    distance = (places - pixels) * compression
    if cubic:
        weights = cubic_kernel(distance, attributes.get("cubic_coeff_a", -0.75))
    else:
        weights = np.maximum(1 - np.abs(distance), 0.0)
    if attributes.get("exclude_outside", 0):
        weights = np.where((pixels < 0) | (pixels >= x.shape[axis]), 0.0, weights)
    weights = (weights / weights.sum(axis=0)).astype(x.dtype)
    form = (-1, *(1,) * (x.ndim - 1 - axis))
    inside = np.clip(pixels, 0, x.shape[axis] - 1)
    total: Array | None = None
    for index, weight in zip(inside, weights, strict=True):
        term = np.take(x, index, axis=axis) * weight.reshape(form)
        total = term if total is None else np.add(total, term, out=total)
    assert total is not None
    return total
