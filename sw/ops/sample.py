"""Operators that read or write a map at places that a grid, offsets or indices give.

Axes are (N, C, then K spatial axes). Source: ONNX GridSample-22, AffineGrid-20, DeformConv-19,
Col2Im-18, MaxUnpool-11, CenterCropPad-18; Dai et al., "Deformable convolutional networks", ICCV
2017; Keys, "Cubic convolution interpolation for digital image processing", IEEE ASSP 29 (1981).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from heterolith.errors import InputError, unknown_name
from heterolith.sw.network import Array
from heterolith.sw.ops.index import wrap_indices
from heterolith.sw.ops.shape import integers
from heterolith.sw.ops.window import Attribute, Window

_CUBIC = -0.75  # Keys' coefficient a

# Names that operator sets below 20 had for two axes.
_MODES = {"bilinear": "linear", "bicubic": "cubic"}


def cubic_kernel(distance: Array, a: float = _CUBIC) -> Array:
    """Return Keys' cubic weight of samples at a distance from the place between them."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _linear_kernel(distance: Array) -> Array:
    return np.asarray(np.maximum(1 - np.abs(distance), 0.0))


_KERNELS: dict[str, tuple[int, Callable[[Array], Array]]] = {
    "nearest": (0, np.ones_like),
    "linear": (1, _linear_kernel),
    "cubic": (2, cubic_kernel),
}


def _taps(places: Array, mode: str) -> list[tuple[Array, Array]]:
    """Return the pixels that a place is taken from on one axis, each with its weight."""
    reach, kernel = _KERNELS[mode]
    base = np.floor(places).astype(np.int64)
    if not reach:
        return [(base, np.ones_like(places))]
    return [(base + step, kernel(places - (base + step))) for step in range(1 - reach, reach + 1)]


def _reflect(places: Array, low: float, high: float) -> Array:
    """Return places mirrored at both borders until they lie between them."""
    span = high - low
    if not span:
        return np.full_like(places, low)
    turned = np.mod(places - low, 2 * span)
    return low + np.where(turned > span, 2 * span - turned, turned)


def _interpolate(
    image: Array, places: Sequence[Array], mode: str, padding: str, corners: bool
) -> Array:
    """Return float64 (C, places) of an image (C, spatial axes) at places between pixels."""
    borders = [(0.0, n - 1.0) if corners else (-0.5, n - 0.5) for n in image.shape[1:]]
    taps = [_taps(place, mode) for place in places]
    total = np.zeros((image.shape[0], *places[0].shape))
    for chosen in product(*taps):
        weight = np.ones_like(places[0])
        index: list[Any] = [slice(None)]
        for (pixel, factor), length, (low, high) in zip(
            chosen, image.shape[1:], borders, strict=True
        ):
            weight = weight * factor
            if padding == "zeros":
                weight = np.where((pixel < 0) | (pixel >= length), 0.0, weight)
            elif padding == "reflection":
                pixel = np.rint(_reflect(pixel.astype(np.float64), low, high)).astype(np.int64)
            index.append(np.clip(pixel, 0, length - 1))
        total += image[tuple(index)] * weight
    return total


def grid_sample(
    x: Array,
    grid: Array,
    *,
    align_corners: int = 0,
    mode: str = "linear",
    padding_mode: str = "zeros",
) -> Array:
    """Return `x` interpolated at the places of a grid.

    Parameters
    ----------
    x
        Array (N, C, K spatial axes).
    grid
        Places (N, output axes, K) from -1 to 1, last axis of `x` first.
    align_corners
        Whether -1 and 1 are the centres of the outermost pixels instead of their edges.
    mode
        nearest (halves to even), linear or cubic.
    padding_mode
        What lies outside: zeros, border (the outermost pixel) or reflection.

    Returns
    -------
    array of shape (N, C, output axes)
    """
    mode = _MODES.get(mode, mode)
    if mode not in _KERNELS:
        raise unknown_name("GridSample mode", mode, _KERNELS)
    paddings = ("zeros", "border", "reflection")
    if padding_mode not in paddings:
        raise unknown_name("GridSample padding mode", padding_mode, paddings)
    sizes = x.shape[2:]
    if grid.shape[-1] != len(sizes) or grid.ndim != x.ndim or len(grid) != len(x):
        raise InputError(f"a grid of shape {grid.shape} for an input of shape {x.shape}")
    if not np.isfinite(grid).all():
        raise InputError("a grid place is not finite")
    out = np.empty((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
    corners = bool(align_corners)
    for at in range(len(x)):
        places = [
            _grid_place(grid[at, ..., -1 - axis], length, mode, padding_mode, corners)
            for axis, length in enumerate(sizes)
        ]
        out[at] = _interpolate(x[at], places, mode, padding_mode, corners)
    return out


def _grid_place(unit: Array, length: int, mode: str, padding: str, corners: bool) -> Array:
    """Return places in pixels of one axis from places between -1 and 1."""
    share = (unit.astype(np.float64) + 1) / 2
    place = share * (length - 1) if corners else share * length - 0.5
    if mode == "nearest":
        place = np.rint(place)
    # Cubic interpolation pads the pixels it reads, not the place between them.
    if padding == "border" and mode != "cubic":
        return np.clip(place, 0, length - 1)
    if padding == "reflection" and mode != "cubic":
        low, high = (0.0, length - 1.0) if corners else (-0.5, length - 0.5)
        return _reflect(place, low, high)
    return place


def affine_grid(theta: Array, size: Array, *, align_corners: int = 0) -> Array:
    """Return the places that an affine map takes the pixels of an output image from.

    Parameters
    ----------
    theta
        Matrices (N, K, K + 1).
    size
        Shape of the output, (N, C, K spatial axes).
    align_corners
        As in `grid_sample`.

    Returns
    -------
    array of shape (N, spatial axes, K), last axis of the image first
    """
    lengths = integers(size)[2:]
    if theta.shape != (integers(size)[0], len(lengths), len(lengths) + 1):
        raise InputError(f"matrices of shape {theta.shape} for an output {integers(size)}")
    if align_corners and min(lengths) < 2:
        raise InputError(f"AffineGrid align_corners needs 2 pixels or more per axis, got {lengths}")
    lines = [
        np.linspace(-1, 1, n) if align_corners else (2 * np.arange(n) + 1) / n - 1 for n in lengths
    ]
    mesh = np.meshgrid(*lines, indexing="ij")
    points = np.stack([*mesh[::-1], np.ones(lengths)], axis=-1).reshape(-1, len(lengths) + 1)
    grid = np.matmul(points, theta.astype(np.float64).swapaxes(1, 2))
    return np.asarray(grid.reshape(len(theta), *lengths, len(lengths)), theta.dtype)


def deform_conv(
    x: Array,
    w: Array,
    offset: Array,
    b: Array | None = None,
    mask: Array | None = None,
    *,
    group: int = 1,
    offset_group: int = 1,
    **geometry: Attribute,
) -> Array:
    """Return the convolution of `x` read at places moved by offsets, zero outside.

    Parameters
    ----------
    x
        Float array (N, C, K spatial axes).
    w
        Kernels (M, C / group, kernel axes).
    offset
        (N, offset_group * taps * K, output axes).
    b
        Bias (M,).
    mask
        Factors (N, offset_group * taps, output axes).
    **geometry
        As in `heterolith.sw.ops.conv.conv`.
    """
    window = Window.of(w.shape[2:], geometry)
    rank, taps, places = window.rank, prod(window.kernel), window.output(x.shape[2:])
    n, channels, kernels = x.shape[0], x.shape[1], w.shape[0]
    if channels != w.shape[1] * group or kernels % group or channels % offset_group:
        raise InputError(f"{channels} channels, {group} groups and kernels {w.shape} do not fit")
    if offset.shape != (n, offset_group * taps * rank, *places):
        raise InputError(f"offsets of shape {offset.shape} do not fit outputs {places}")
    moved = offset.reshape(n, offset_group, taps, rank, *places)
    factors = None if mask is None else mask.reshape(n, offset_group, taps, *places)
    patches = np.empty((n, channels, taps, *places))
    each = channels // offset_group
    for at, part in product(range(n), range(offset_group)):
        cut = slice(part * each, (part + 1) * each)
        for tap, position in enumerate(product(*(range(k) for k in window.kernel))):
            spots = _spots(window, position, places)
            spots = [spot + moved[at, part, tap, axis] for axis, spot in enumerate(spots)]
            read = _interpolate(x[at, cut], spots, "linear", "zeros", corners=True)
            patches[at, cut, tap] = read if factors is None else read * factors[at, part, tap]
    columns = patches.reshape(n, group, w.shape[1] * taps, -1)
    out: Array = np.matmul(w.reshape(group, kernels // group, -1).astype(np.float64), columns)
    bias = 0 if b is None else b.reshape(-1, *(1,) * rank)
    return np.asarray(out.reshape(n, kernels, *places) + bias, x.dtype)


def _spots(window: Window, position: Sequence[int], places: Sequence[int]) -> list[Array]:
    """Return where each output reads on each axis for one kernel position, broadcast."""
    grid = np.meshgrid(*(np.arange(count, dtype=np.float64) for count in places), indexing="ij")
    return [
        spot * window.strides[axis] - window.pads[axis] + position[axis] * window.dilations[axis]
        for axis, spot in enumerate(grid)
    ]


def col2im(
    x: Array,
    image_shape: Array,
    block_shape: Array,
    *,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Return an image to which every block is added at its place.

    Parameters
    ----------
    x
        Blocks (N, C * block elements, number of blocks).
    image_shape, block_shape
        Spatial lengths.

    Returns
    -------
    array of shape (N, C, image axes)
    """
    image, block = integers(image_shape), integers(block_shape)
    geometry = {"dilations": dilations, "pads": pads, "strides": strides}
    window = Window.of(block, geometry)
    places = window.output(image)
    if x.shape[1] % prod(block) or x.shape[2] != prod(places):
        raise InputError(f"blocks of shape {x.shape} do not fit {places} places of {block}")
    rank = len(image)
    padded = [n + window.pads[at] + window.pads[at + rank] for at, n in enumerate(image)]
    total = np.zeros((x.shape[0], x.shape[1] // prod(block), *padded), x.dtype)
    blocks = x.reshape(*total.shape[:2], *block, *places)
    for tap, view in window.taps(total, places):
        chosen: tuple[Any, ...] = (slice(None), slice(None), *tap)
        view += blocks[chosen]
    cuts: list[Any] = [slice(window.pads[at], window.pads[at] + n) for at, n in enumerate(image)]
    return total[(slice(None), slice(None), *cuts)]


def max_unpool(
    x: Array,
    indices: Array,
    output_shape: Array | None = None,
    *,
    kernel_shape: Sequence[int],
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Return zeros with the elements of `x` where max pooling found them.

    Parameters
    ----------
    x
        Pooled array (N, C, spatial axes).
    indices
        int64 places in the row-major array that the window geometry says was pooled.
    output_shape
        Shape of the result, which holds that array at its begin.
    """
    window = Window.of(
        tuple(kernel_shape), {"kernel_shape": kernel_shape, "pads": pads, "strides": strides}
    )
    rank = window.rank
    lengths = tuple(
        (n - 1) * window.strides[at] + window.kernel[at] - window.pads[at] - window.pads[at + rank]
        for at, n in enumerate(x.shape[2:])
    )
    pooled = np.zeros((*x.shape[:2], *lengths), x.dtype)
    pooled.reshape(-1)[wrap_indices(indices, pooled.size).reshape(-1)] = x.reshape(-1)
    if output_shape is None:
        return pooled
    out = np.zeros(integers(output_shape), x.dtype)
    if out.ndim != pooled.ndim or any(a < b for a, b in zip(out.shape, pooled.shape, strict=True)):
        raise InputError(f"output_shape {out.shape} does not hold {pooled.shape}")
    out[tuple(slice(0, length) for length in pooled.shape)] = pooled
    return out


def center_crop_pad(x: Array, shape: Array, *, axes: Sequence[int] | None = None) -> Array:
    """Return the middle of `x`, or `x` in the middle of zeros, in the given lengths of its axes."""
    for axis, length in zip(axes or range(x.ndim), integers(shape), strict=True):
        surplus = x.shape[axis] - length
        if surplus >= 0:
            x = np.take(x, np.arange(surplus // 2, surplus // 2 + length), axis=axis)
            continue
        width = [(0, 0)] * x.ndim
        width[axis] = (-surplus // 2, -surplus - -surplus // 2)
        x = np.pad(x, width)
    return x
