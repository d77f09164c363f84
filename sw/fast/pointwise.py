"""Paths of convolutions with kernels of one element: matrix products where tensors lie.

Biases ride along as one more product with the 1 behind every pixel, where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from heterolith.sw.fast.convolve import Conv, with_bias
from heterolith.sw.fast.passes import swept
from heterolith.sw.fast.products import multiply
from heterolith.sw.fast.spots import Region, Scratch, Step, chunks
from heterolith.sw.fast.work import Work, cost_us
from heterolith.sw.network import Array, Layer

_GAP = 16
_LEAST_SCALE = 1e-20
_CLAMPED = 1 << 16  # elements clamped at a time


def pointwise(conv: Conv) -> Work:
    """Multiply pixels by kernels of one element, straight from and to where tensors lie."""
    spec, source, target = conv.spec, conv.source, conv.target
    if spec.group > 1:
        return _grouped_pointwise(conv)
    rides = conv.b is not None and source.ones
    added = conv.b is not None and not rides
    factor_of = partial(with_bias, conv.w[:, :, 0, 0].T, conv.b if rides else None)
    row_bytes = spec.out[1] * (spec.channels + spec.kernels) * 4

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        kernels = conv.factor(factor_of, first, last)
        for region in conv.cuts(first, last, row_bytes):
            scratch.reset()
            pixels = source.matrix(Region(region.image, region.rows), int(rides))
            landing = target.landing(region, scratch, passes=added)
            steps += multiply(pixels, kernels, landing, scratch)
            if conv.b is not None and added:
                steps += swept(np.add, landing, conv.b[region.channels])
            steps += target.finish(landing.reshape(-1, spec.out[1], landing.shape[1]), region)
        return steps

    elements = spec.n * spec.out[0] * spec.out[1] * (spec.channels + 2 * spec.kernels)
    return Work(units=conv.units, cost_us=cost_us(spec.macs, elements / 4), build=build)


def _grouped_pointwise(conv: Conv) -> Work:
    spec, source, target = conv.spec, conv.source, conv.target
    shape = (spec.group, spec.kernels // spec.group, spec.channels // spec.group)
    weights = np.ascontiguousarray(conv.w.reshape(shape).transpose(0, 2, 1))
    row_bytes = spec.out[1] * (spec.channels + spec.kernels) * 4

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        for region in conv.cuts(first, last, row_bytes):
            scratch.reset()
            pixels = source.matrix(region)
            landing = target.landing(region, scratch, passes=conv.b is not None)
            count = pixels.shape[0]
            parts = pixels.reshape(count, spec.group, -1).transpose(1, 0, 2)
            results = landing.reshape(count, spec.group, -1).transpose(1, 0, 2)
            steps.append(partial(np.matmul, parts, weights, results))
            if conv.b is not None:
                steps += swept(np.add, landing, conv.b)
            steps += target.finish(landing.reshape(-1, spec.out[1], spec.kernels), region)
        return steps

    elements = spec.n * spec.out[0] * spec.out[1] * (spec.channels + 2 * spec.kernels)
    return Work(units=conv.units, cost_us=cost_us(2 * spec.macs, elements), build=build)


def _folded(
    w: Array, b: Array | None, before: Layer, constants: Mapping[str, Array]
) -> tuple[Array, list[tuple[Any, Array]]]:
    """Fold scale and shift in front of kernels (M, C) into them.

    relu(s x + t) is s max(x, -t / s) + t for positive s, and s min(x, -t / s) + t for negative s.

    Returns
    -------
    weights
        (C + 1, M), the bias last.
    passes
        What is left to do with the input, as functions and bounds (C,).
    """
    scale = constants[before.inputs[1]].reshape(-1).astype(np.float64)
    shift = np.zeros_like(scale)
    if len(before.inputs) > 2 and before.inputs[2]:
        shift = constants[before.inputs[2]].astype(np.float64)
    alive = np.abs(scale) > _LEAST_SCALE
    bound = -shift / np.where(alive, scale, 1.0)
    low = np.where(alive & (scale < 0), -np.inf, bound).astype(np.float32)
    high = np.where(alive & (scale > 0), np.inf, bound).astype(np.float32)
    kernels = w.astype(np.float64)
    rest = kernels @ np.where(alive, shift, np.maximum(shift, 0.0))
    bias = rest if b is None else rest + b
    matrix = (kernels * np.where(alive, scale, 0.0)).T
    passes: list[tuple[Any, Array]] = [(np.maximum, low)]
    if not np.isposinf(high).all():
        passes.append((np.minimum, high))
    return with_bias(matrix.astype(np.float32), bias.astype(np.float32)), passes


def _clamped(values: Array, passes: list[tuple[Any, Array]], space: Array) -> list[Step]:
    """Copy (rows, W, C) into wider pixels, a 1 behind each, and clamp those as one run of memory.

    What lies behind the 1 is clamped too, but never read.
    """
    width, pitch = space.shape[1:]
    channels = values.shape[2]
    steps: list[Step] = [partial(space[..., channels].fill, 1)]
    for low, high in chunks(0, len(values), max(1, _CLAMPED // (width * pitch))):
        part = space[low:high]
        steps.append(partial(np.copyto, part[..., :channels], values[low:high]))
        for function, bound in passes:
            row = np.append(bound, np.ones(pitch - channels, np.float32))
            steps += swept(function, part, row)
    return steps


def preactivated(conv: Conv, before: Layer, constants: Mapping[str, Array]) -> Work:
    """Clamp blocks of the input on their way into the matrix product."""
    spec, source, target = conv.spec, conv.source, conv.target
    weights, passes = _folded(conv.w[:, :, 0, 0], conv.b, before, constants)
    pitch = spec.channels + _GAP
    row_bytes = spec.out[1] * (pitch + spec.kernels) * 4

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        kernels = conv.factor(lambda channels: weights[:, channels], first, last)
        for region in conv.cuts(first, last, row_bytes):
            scratch.reset()
            values = source.at(Region(region.image, region.rows))
            space = scratch.take(*values.shape[:2], pitch)
            steps += _clamped(values, passes, space)
            landing = target.landing(region, scratch)
            matrix = space.reshape(-1, pitch)[:, : spec.channels + 1]
            steps += multiply(matrix, kernels, landing, scratch)
            steps += target.finish(landing.reshape(-1, spec.out[1], landing.shape[1]), region)
        return steps

    elements = spec.n * spec.out[0] * spec.out[1] * (spec.channels + spec.kernels)
    return Work(units=conv.units, cost_us=cost_us(spec.macs, elements), build=build)
