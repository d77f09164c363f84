"""Sizes of the on-chip memories and formats, derived from an `ArrayConfig`.

`hw/config.py` states what a build costs; this module states what its commands may address. One
*word* of an activation is ``lanes`` int8 channels of one position, and one beat of the AXI4 bus.
Invariant: a geometry that exists is one the RTL elaborates.
"""

from __future__ import annotations

from dataclasses import dataclass

from heterolith.errors import InputError
from heterolith.hw.config import ArrayConfig

COMMAND_BYTES = 64
BURST_BEATS = 16
"""Longest AXI4 burst; every burst ends at a multiple of this many beats, so none crosses 4 KB."""

OUTPUT_WORDS = 2048
"""Depth of the output buffer, in activation words."""

PARAMETER_WORDS = 64
"""Depth of the parameter buffer; a word holds the parameters of ``lanes`` output channels."""

PARAMETER_BYTES = 8
"""Per output channel: bias int32, multiplier uint16, shift uint8, one zero byte."""

IMAGE_CHANNELS = 4
"""Channels per pixel of the image layout, the one of a network's first layer."""

WINDOW_TAPS = 5
"""Most kernel columns that the depthwise window holds."""

WINDOW_ROWS = 16
"""Most kernel rows that the depthwise window holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """What commands of one build may address; build it with `geometry`.

    Attributes
    ----------
    lanes
        Channels, and bytes, of a word; bytes of a bus beat.
    sub_blocks
        Channel blocks that one pass of the array computes: ``n_pe / lanes``.
    activation_words, weight_words, accumulator_words
        Depths. A weight word is ``n_pe * lanes`` bytes, an accumulator word
        ``n_pe * pixels * 4`` bytes. The activation buffer stores each word ``pixels`` times, once
        per read port.
    """

    n_pe: int
    pixels: int
    lanes: int
    requantizers: int
    sub_blocks: int
    activation_words: int
    weight_words: int
    accumulator_words: int
    output_words: int = OUTPUT_WORDS
    parameter_words: int = PARAMETER_WORDS

    @property
    def image_pixels(self) -> int:
        """Neighbouring pixels in one word of the image layout."""
        return self.lanes // IMAGE_CHANNELS

    @property
    def parameter_beats(self) -> int:
        """Bus beats of one parameter word."""
        return PARAMETER_BYTES


def geometry(config: ArrayConfig) -> Geometry:
    """Return the geometry of a build.

    Raises
    ------
    InputError
        If the command set has no form for the config.
    """
    lanes = config.lanes
    problems = (
        (lanes not in (8, 16), f"lanes is {lanes}; it must be 8 or 16"),
        (
            config.axi_data_bits != 8 * lanes,
            f"axi_data_bits is {config.axi_data_bits}; a beat holds {lanes} lanes, {8 * lanes}",
        ),
        (config.n_pe % lanes != 0, f"n_pe is {config.n_pe}; it must be a multiple of {lanes}"),
        (config.pixels not in (2, 4), f"pixels is {config.pixels}; it must be 2 or 4"),
        (
            lanes % config.requantizers != 0,
            f"requantizers is {config.requantizers}; it must divide the {lanes} lanes",
        ),
    )
    for wrong, message in problems:
        if wrong:
            raise InputError(f"configuration {config.name!r}: {message}")
    sizes = {
        "activation_words": config.activation_buffer_bytes // (config.pixels * lanes),
        "weight_words": config.weight_buffer_bytes // (config.n_pe * lanes),
        "accumulator_words": config.accumulator_buffer_bytes // (config.n_pe * config.pixels * 4),
    }
    for name, words in sizes.items():
        if not 64 <= words <= 65536:
            raise InputError(f"configuration {config.name!r}: {name} is {words}; 64..65536 fit")
    return Geometry(
        n_pe=config.n_pe,
        pixels=config.pixels,
        lanes=lanes,
        requantizers=config.requantizers,
        sub_blocks=config.n_pe // lanes,
        **sizes,
    )


def rtl_parameters(config: ArrayConfig) -> dict[str, int]:
    """Return the parameters of the RTL top and of the HLS kernel for one configuration."""
    g = geometry(config)
    return {
        "NPe": g.n_pe,
        "Pixels": g.pixels,
        "Lanes": g.lanes,
        "Requantizers": g.requantizers,
        "ActivationWords": g.activation_words,
        "WeightWords": g.weight_words,
        "AccumulatorWords": g.accumulator_words,
    }
