"""Convolution and transposed convolution in 1, 2 or 3 dimensions, with groups.

The formula is a matrix product: the kernels times the input patches that they meet (`im2col`), one
product per group. Kernels of one element need no copy of the input; those that see one channel, as
batch normalization does, are products of elements. Source: ONNX operator set 18.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.ops.window import Attribute, Window


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    group: int = 1,
    **geometry: Attribute,
) -> Array:
    """Return the cross-correlation of `x` with `w`, plus a bias.

    Parameters
    ----------
    x
        Float array of shape (N, C, spatial axes).
    w
        Kernels of shape (M, C / group, kernel axes).
    b
        Bias of shape (M,).
    group
        Channel groups that do not mix; ``group == C`` is depthwise.
    **geometry
        ``strides``, ``pads``, ``dilations``, as `Window.of` reads them.

    Returns
    -------
    array of shape (N, M, output axes)

    Raises
    ------
    InputError
        If channels, groups and kernels do not fit each other.
    """
    window = conv_window(x.shape, w.shape, group, Window.of(w.shape[2:], geometry))
    out = np.empty((x.shape[0], w.shape[0], *window.output(x.shape[2:])), x.dtype)
    convolve(window.pad(x), w, window, out)
    if b is not None:
        out += b.reshape(-1, *(1,) * window.rank)
    return out


def conv_window(x: Sequence[int], w: Sequence[int], group: int, window: Window) -> Window:
    """Return the window after checking that channels and groups of two shapes fit."""
    channels, kernels = x[1], w[0]
    if channels != w[1] * group or kernels % group:
        raise InputError(
            f"convolution of {channels} channels in {group} groups needs kernels for "
            f"{channels / group:g} channels, a multiple of {group} of them; got shape {tuple(w)}"
        )
    return window


def convolve(padded: Array, w: Array, window: Window, out: Array) -> None:
    """Convolve an already padded input into `out`, without bias.

    Parameters
    ----------
    padded
        Array of shape (N, C, spatial axes); C over ``w.shape[1]`` is the number of groups.
    w
        Kernels of shape (M, C / group, kernel axes).
    out
        Array of shape (N, M, output axes), of any strides; it is overwritten.
    """
    group = padded.shape[1] // w.shape[1]
    places = out.shape[2:]
    if w[0].size == 1:
        view = next(window.taps(padded, places))[1][:, :, None]
        factors = w.reshape(group, -1, *(1,) * window.rank)
        np.multiply(view, factors, out=out.reshape(view.shape[0], group, -1, *places))
        return
    columns = im2col(padded, window, places, group)
    matrix = w.reshape(group, w.shape[0] // group, -1)
    if group == 1:
        columns, matrix = columns[:, 0], matrix[0]
    flat = out.reshape(*columns.shape[:-2], matrix.shape[-2], columns.shape[-1])
    np.matmul(matrix, columns, out=flat)
    if not np.may_share_memory(flat, out):
        out[...] = flat.reshape(out.shape)


def im2col(
    padded: Array,
    window: Window,
    places: Sequence[int],
    group: int = 1,
) -> Array:
    """Return the patch under the window at every place as columns.

    Returns
    -------
    array of shape (N, group, C / group * kernel elements, places)
        A view where the kernel has one element and the places are contiguous.
    """
    n, channels = padded.shape[:2]
    shape = (n, group, channels // group * prod(window.kernel), prod(places))
    if set(window.kernel) == {1}:
        return next(window.taps(padded, places))[1].reshape(shape)
    of_image, of_channel, *steps = padded.strides
    strides = (
        of_image,
        of_channel,
        *(step * dilation for step, dilation in zip(steps, window.dilations, strict=True)),
        *(step * stride for step, stride in zip(steps, window.strides, strict=True)),
    )
    # Every window place lies inside `padded`, so the view stays inside its memory.
    patches = as_strided(padded, (n, channels, *window.kernel, *places), strides)
    return patches.reshape(shape)


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    group: int = 1,
    **geometry: Attribute,
) -> Array:
    """Return the transposed convolution: every input element adds its scaled kernel to the output.

    Parameters
    ----------
    x
        Float array of shape (N, C, spatial axes).
    w
        Kernels of shape (C, M / group, kernel axes).
    b
        Bias of shape (M,).
    **geometry
        ``strides``, ``pads`` (they cut the output), ``dilations``; ``output_padding``, elements
        added to the end of each output axis; ``output_shape``, which decides the pads itself, the
        larger half at the begin.

    Returns
    -------
    array of shape (N, M, (size - 1) * stride + extent + output_padding - pads)
    """
    window = Window.of(w.shape[2:], geometry)
    n, channels, maps = x.shape[0], x.shape[1], w.shape[1] * group
    full, begins, ends = _transposed_frame(window, x.shape[2:], geometry)
    # A stride longer than the kernel, or output padding, leaves elements that nothing is added to.
    total = np.zeros((n, maps, *full), x.dtype)
    kernels = w.reshape(group, channels // group, -1).swapaxes(1, 2)
    terms = np.matmul(kernels, x.reshape(n, group, channels // group, -1))
    terms = terms.reshape(n, maps, *window.kernel, *x.shape[2:])
    for tap, view in window.taps(total, x.shape[2:]):
        view += terms[(slice(None), slice(None), *tap)]
    cuts = [slice(low, size - high) for low, high, size in zip(begins, ends, full, strict=True)]
    out = total[(slice(None), slice(None), *cuts)]
    return out if b is None else out + b.reshape(-1, *(1,) * window.rank)


def _transposed_frame(
    window: Window, spatial: tuple[int, ...], geometry: Mapping[str, Attribute]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return the size before cutting, and what is cut at the begins and ends."""
    rank = window.rank
    extra = tuple(geometry.get("output_padding") or (0,) * rank)
    wanted = geometry.get("output_shape")
    full = tuple(
        (length - 1) * stride + extent + more
        for length, stride, extent, more in zip(
            spatial, window.strides, window.extents, extra, strict=True
        )
    )
    if not wanted:
        return full, window.pads[:rank], window.pads[rank:]
    full = tuple(max(sizes) for sizes in zip(full, wanted, strict=True))
    excess = [size - length for size, length in zip(full, wanted, strict=True)]
    begins = tuple(amount - amount // 2 for amount in excess)
    return full, begins, tuple(amount // 2 for amount in excess)
