"""Signals: Fourier transforms, windows and mel filters.

Complex numbers are a last axis of length 2. Transforms are taken in the signal's dtype, in float32
at least. Source: ONNX DFT-20,
STFT-17, HannWindow-17, HammingWindow-17, BlackmanWindow-17, MelWeightMatrix-17.
"""

from __future__ import annotations

import numpy as np

from heterolith.errors import InputError
from heterolith.sw.network import Array
from heterolith.sw.ops.shape import ONNX_DTYPES


def _as_complex(x: Array) -> Array:
    """Return complex128 of a last axis of 1 (real) or 2 (real, imaginary), which goes."""
    if x.shape[-1] not in (1, 2):
        raise InputError(f"a signal of shape {x.shape} has {x.shape[-1]} parts; 1 or 2 are due")
    wide = x.astype(np.result_type(x.dtype, np.float32))
    out: Array = (
        wide[..., 0] if x.shape[-1] == 1 else wide[..., 0] + np.complex64(1j) * wide[..., 1]
    )
    return out


def _as_parts(x: Array, dtype: np.dtype) -> Array:
    """Return real and imaginary parts as a last axis."""
    return np.stack((x.real, x.imag), axis=-1).astype(dtype)


def dft(
    x: Array,
    length: Array | None = None,
    axis: Array | None = None,
    *,
    inverse: int = 0,
    onesided: int = 0,
) -> Array:
    """Return the discrete Fourier transform along an axis, (..., 2).

    Parameters
    ----------
    x
        Real (..., 1) or complex (..., 2) signal.
    length
        Elements to transform: more are zeros, fewer are cut; all by default.
    axis
        Not the last one, which holds the parts; the one before it by default.
    onesided
        Whether to give the first half of a real signal's spectrum, or take it with ``inverse``.
    """
    place = (-2 if axis is None else int(axis.item())) % x.ndim
    if place == x.ndim - 1:
        raise InputError("DFT cannot run along the axis of real and imaginary parts")
    count = None if length is None else int(length.item())
    if onesided and inverse:
        signal = _as_complex(x)
        count = 2 * (signal.shape[place] - 1) if count is None else count
        return np.fft.irfft(signal, count, axis=place)[..., None].astype(x.dtype)
    if onesided:
        if x.shape[-1] != 1:
            raise InputError("DFT onesided takes a real signal; use onesided=0")
        return _as_parts(np.fft.rfft(_as_complex(x), count, axis=place), x.dtype)
    transform = np.fft.ifft if inverse else np.fft.fft
    return _as_parts(transform(_as_complex(x), count, axis=place), x.dtype)


def stft(
    x: Array,
    frame_step: Array,
    window: Array | None = None,
    frame_length: Array | None = None,
    *,
    onesided: int = 1,
) -> Array:
    """Return the Fourier transform of each windowed frame, (B, frames, bins, 2).

    Parameters
    ----------
    x
        Signal (B, length, 1 or 2).
    frame_step
        Elements from one frame to the next, one element.
    window
        Factors (frame length,), ones by default.
    frame_length
        One element; by default that of the window, or of the signal.
    """
    step, signal = int(frame_step.item()), _as_complex(x)
    width = signal.shape[1] if window is None else window.size
    width = width if frame_length is None else int(frame_length.item())
    if (
        step < 1
        or not 0 < width <= signal.shape[1]
        or (window is not None and window.size != width)
    ):
        raise InputError(f"STFT frames of {width}, step {step}, do not fit a signal {x.shape}")
    if onesided and x.shape[-1] != 1:
        raise InputError("STFT onesided takes a real signal; use onesided=0")
    starts = np.arange(0, signal.shape[1] - width + 1, step)
    frames = signal[:, starts[:, None] + np.arange(width)]
    if window is not None:
        frames = frames * window
    bins = np.fft.rfft(frames.real, axis=-1) if onesided else np.fft.fft(frames, axis=-1)
    return _as_parts(bins, x.dtype)


def _cosine_window(
    size: Array, terms: tuple[float, ...], periodic: int, output_datatype: int
) -> Array:
    """Return a sum of cosines over ``size`` elements, the zeroth term first."""
    if output_datatype not in ONNX_DTYPES:
        raise InputError(f"a window in ONNX data type {output_datatype} is not supported; use 1")
    count = int(size.item())
    if not periodic and count < 2:
        raise InputError(f"a symmetric window of {count} elements is not defined; use 2 or more")
    angle = 2 * np.pi * np.arange(count) / (count if periodic else count - 1)
    values = sum(term * np.cos(order * angle) for order, term in enumerate(terms))
    return np.asarray(values, ONNX_DTYPES[output_datatype])


def hann_window(size: Array, *, output_datatype: int = 1, periodic: int = 1) -> Array:
    """Return ``0.5 - 0.5 cos`` over one period of ``size`` elements, or up to its last one."""
    return _cosine_window(size, (0.5, -0.5), periodic, output_datatype)


def hamming_window(size: Array, *, output_datatype: int = 1, periodic: int = 1) -> Array:
    """Return ``25/46 - 21/46 cos`` over one period, as `hann_window`."""
    return _cosine_window(size, (25 / 46, -21 / 46), periodic, output_datatype)


def blackman_window(size: Array, *, output_datatype: int = 1, periodic: int = 1) -> Array:
    """Return ``0.42 - 0.5 cos + 0.08 cos 2`` over one period, as `hann_window`."""
    return _cosine_window(size, (0.42, -0.5, 0.08), periodic, output_datatype)


def mel_weight_matrix(
    bins: Array,
    dft_length: Array,
    sample_rate: Array,
    lower_hertz: Array,
    upper_hertz: Array,
    *,
    output_datatype: int = 1,
) -> Array:
    """Return triangular filters of peak 1, evenly spaced on the mel scale.

    All inputs have one element; the result is (dft_length // 2 + 1, bins).
    """
    if output_datatype not in ONNX_DTYPES:
        raise InputError(f"filters in ONNX data type {output_datatype} are not supported; use 1")
    count, length = int(bins.item()), int(dft_length.item())
    mels = [2595 * np.log10(1 + edge.item() / 700) for edge in (lower_hertz, upper_hertz)]
    step = (mels[1] - mels[0]) / (count + 2)
    hertz = 700 * (10 ** ((mels[0] + step * np.arange(count + 2)) / 2595) - 1)
    corners = np.floor((length + 1) * hertz / sample_rate.item()).astype(np.int64)
    line = np.arange(length // 2 + 1)[:, None]
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    rising = (line - low) / np.maximum(peak - low, 1)
    falling = (high - line) / np.maximum(high - peak, 1)
    out = np.where(line < peak, np.maximum(rising, 0), np.maximum(falling, 0))
    return np.where(line == peak, 1.0, out).astype(ONNX_DTYPES[output_datatype])
