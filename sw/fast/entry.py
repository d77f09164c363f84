"""Brings network inputs to where they are read, channels last, padded, or split by column phase.

Outputs are brought back to channels second.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from heterolith.sw.fast.conv_spec import ConvSpec, frame_for
from heterolith.sw.fast.layout import Room
from heterolith.sw.fast.spots import Scratch, Spot, Step
from heterolith.sw.fast.work import Work, cost_us
from heterolith.sw.network import Array


def planar_room(spec: ConvSpec) -> Room:
    """Return the buffer of an input, channels first, its columns split by their phase."""
    frame = frame_for(spec, "gather")
    step = spec.strides[1]
    rows = spec.size[0] + frame.top + frame.bottom
    columns = -(-(spec.size[1] + frame.left + frame.right) // step)
    return Room((spec.n, spec.channels, rows, step, columns), "float32")


def planar_work(spec: ConvSpec, given: Array, room: Array) -> Work:
    """Return the work that splits an input by column phase, row by row."""
    frame, step = frame_for(spec, "gather"), spec.strides[1]

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        steps: list[Step] = []
        rows = slice(first, last)
        for phase in range(step):
            # Padded column q * step + phase holds column q * step + phase - left of the input.
            start = (phase - frame.left) % step
            source = given[:, :, rows, start::step]
            begin = (start + frame.left - phase) // step
            lines = slice(frame.top + first, frame.top + last)
            place = room[:, :, lines, phase, begin : begin + source.shape[3]]
            steps.append(partial(np.copyto, place, source))
        return steps

    return Work(units=spec.size[0], cost_us=cost_us(0, given.size), build=build)


def input_work(given: Array, spots: Sequence[Spot]) -> Work:
    """Return the work that copies an input to all its places, images row by row."""
    image = given.ndim == 4

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        if not image:
            return [partial(np.copyto, spot.outer, given) for spot in spots]
        rows = slice(first, last)
        return [
            partial(np.copyto, spot.inner[:, rows], given[:, :, rows].transpose(0, 2, 3, 1))
            for spot in spots
        ]

    return Work(
        units=given.shape[2] if image else 1, cost_us=cost_us(0, 3 * given.size), build=build
    )


def output_work(given: Array, place: Array) -> Work:
    """Return the work that copies images (N, C, H, W) from channels last into row-major order."""

    def build(first: int, last: int, scratch: Scratch) -> list[Step]:
        return [partial(np.copyto, place[:, :, first:last], given[:, :, first:last])]

    return Work(units=given.shape[2], cost_us=cost_us(0, 4 * given.size), build=build)
