"""DRAM layouts of activations and parameters: numpy (N, C, H, W) codes to bytes and back.

The formulas stand in ``hw/doc/accelerator.md``, section 2. Invariant: unpacking what was packed
gives the array back; lanes beyond C are 0 after packing and ignored by unpacking.
"""

from __future__ import annotations

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.fixed import MULTIPLIER_LOW, SHIFT_HIGH, Array
from heterolith.hw.geometry import IMAGE_CHANNELS, PARAMETER_BYTES


def ceil_div(value: int, step: int) -> int:
    """Return ``value / step`` rounded up."""
    return -(-value // step)


def pack_blocks(x: Array, lanes: int) -> Array:
    """Return int8 codes (N, C, H, W) as channel blocks (N, ceil(C / lanes), H, W, lanes)."""
    n, channels, height, width = x.shape
    blocks = ceil_div(channels, lanes)
    full = np.zeros((n, blocks * lanes, height, width), dtype=np.int8)
    full[:, :channels] = x
    split = full.reshape(n, blocks, lanes, height, width)
    return np.ascontiguousarray(split.transpose(0, 1, 3, 4, 2))


def unpack_blocks(data: Array, shape: tuple[int, int, int, int], lanes: int) -> Array:
    """Return int8 codes of ``shape`` (N, C, H, W) from bytes in the block layout."""
    n, channels, height, width = shape
    blocks = ceil_div(channels, lanes)
    split = data.view(np.int8).reshape(n, blocks, height, width, lanes)
    merged = split.transpose(0, 1, 4, 2, 3).reshape(n, blocks * lanes, height, width)
    return np.ascontiguousarray(merged[:, :channels])


def image_pitch(width: int, lanes: int) -> int:
    """Return the beats of one row in the image layout."""
    return ceil_div(width * IMAGE_CHANNELS, lanes)


def pack_image(x: Array, lanes: int) -> Array:
    """Return int8 codes (N, C <= 4, H, W) in the image layout (N, H, pitch * lanes).

    Raises
    ------
    InputError
        If there are more than 4 channels.
    """
    n, channels, height, width = x.shape
    if channels > IMAGE_CHANNELS:
        raise InputError(f"an image of {channels} channels; the image layout takes at most 4")
    pixels = image_pitch(width, lanes) * lanes // IMAGE_CHANNELS
    full = np.zeros((n, height, pixels, IMAGE_CHANNELS), dtype=np.int8)
    full[:, :, :width, :channels] = x.transpose(0, 2, 3, 1)
    return full.reshape(n, height, pixels * IMAGE_CHANNELS)


def pack_parameters(bias: Array, multiplier: Array, shift: Array, lanes: int) -> Array:
    """Return parameter words, uint8 of shape (blocks, lanes * 8).

    Parameters
    ----------
    bias
        int32 array (C,).
    multiplier, shift
        uint16 and uint8 arrays (C,); missing lanes take factor 0 as ``32768 / 2**47``.
    """
    channels = len(bias)
    rows = np.zeros(
        ceil_div(channels, lanes) * lanes,
        dtype=[("bias", "<i4"), ("multiplier", "<u2"), ("shift", "u1"), ("zero", "u1")],
    )
    rows["multiplier"], rows["shift"] = MULTIPLIER_LOW, SHIFT_HIGH
    rows["bias"][:channels], rows["shift"][:channels] = bias, shift
    rows["multiplier"][:channels] = multiplier
    return rows.view(np.uint8).reshape(-1, lanes * PARAMETER_BYTES)


def pack_dense(weights: Array, n_pe: int, lanes: int) -> Array:
    """Return weight words (groups, blocks, Kh, Kw, n_pe, lanes) of weights (Co, Ci, Kh, Kw)."""
    outputs, inputs, rows, cols = weights.shape
    groups, blocks = ceil_div(outputs, n_pe), ceil_div(inputs, lanes)
    full = np.zeros((groups * n_pe, blocks * lanes, rows, cols), dtype=np.int8)
    full[:outputs, :inputs] = weights
    split = full.reshape(groups, n_pe, blocks, lanes, rows, cols)
    return np.ascontiguousarray(split.transpose(0, 2, 4, 5, 1, 3))


def pack_image_weights(weights: Array, n_pe: int, lanes: int) -> Array:
    """Return weight words (groups, Kh, steps, n_pe, lanes) for the image layout."""
    outputs, inputs, rows, cols = weights.shape
    pixels = lanes // IMAGE_CHANNELS
    groups, steps = ceil_div(outputs, n_pe), ceil_div(cols, pixels)
    full = np.zeros((groups * n_pe, rows, steps * pixels, IMAGE_CHANNELS), dtype=np.int8)
    full[:outputs, :, :cols, :inputs] = weights.transpose(0, 2, 3, 1)
    split = full.reshape(groups, n_pe, rows, steps, lanes)
    return np.ascontiguousarray(split.transpose(0, 2, 3, 1, 4))


def pack_depthwise(weights: Array, window: int, n_pe: int, lanes: int) -> Array:
    """Return weight words (blocks, Kh, Kw / window, n_pe, lanes) of weights (C, Kh, Kw).

    Lane t of element e is tap t of channel e of the block; ``window`` is 1 or Kw.
    """
    channels, rows, cols = weights.shape
    blocks = ceil_div(channels, lanes)
    words = np.zeros((blocks, lanes, rows, cols // window, lanes), dtype=np.int8)
    split = weights.reshape(channels, rows, cols // window, window)
    words.reshape(blocks * lanes, rows, cols // window, lanes)[:channels, ..., :window] = split
    full = np.zeros((blocks, rows, cols // window, n_pe, lanes), dtype=np.int8)
    full[:, :, :, :lanes] = words.transpose(0, 2, 3, 1, 4)
    return full


def ones_word(window: int, n_pe: int, lanes: int) -> Array:
    """Return the weight word (1, n_pe, lanes) that sums ``window`` taps of each channel."""
    word = np.zeros((1, n_pe, lanes), dtype=np.int8)
    word[0, :lanes, :window] = 1
    return word
