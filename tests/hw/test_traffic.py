"""Bytes that convolutions load under the buffer sizes."""

from dataclasses import replace

import pytest

from heterolith.hw import config
from heterolith.hw.shapes import ConvShape
from heterolith.hw.timing.traffic import CHANNEL_BYTES, band_rows, conv_bytes, input_bytes

ULTRA96 = config("ultra96")
SMALL = ConvShape(
    in_channels=64, out_channels=64, height=28, width=28, kernel=(3, 3), pads=(1, 1, 1, 1)
)
LARGE = replace(SMALL, height=112, width=112)
DEEP = replace(SMALL, in_channels=512, out_channels=512)


def once(shape):
    """Return the bytes of everything loaded exactly once."""
    return shape.weight_bytes + shape.input_bytes + CHANNEL_BYTES * shape.out_channels


def test_what_fits_is_loaded_once():
    """A map that fits its buffer half is loaded once, whatever the weights."""
    assert conv_bytes(SMALL, ULTRA96) == once(SMALL)
    wide = replace(SMALL, out_channels=4096)
    assert wide.weight_bytes > ULTRA96.weight_buffer_bytes
    assert conv_bytes(wide, ULTRA96) == once(wide)


def test_weights_that_fit_are_loaded_once_and_bands_overlap():
    """A map too large passes once in bands; each further band repeats two rows of a 3x3 kernel."""
    rows = band_rows(LARGE, ULTRA96)
    assert (rows + 2) * 64 * 112 <= ULTRA96.activation_buffer_bytes // 2 < (rows + 3) * 64 * 112
    bands = -(-112 // rows)
    assert input_bytes(LARGE, rows) == 64 * (112 + 2 * (bands - 1)) * 112
    assert conv_bytes(LARGE, ULTRA96) == once(LARGE) + 64 * 112 * 2 * (bands - 1)


def test_the_cheaper_loop_order_is_taken():
    """Where neither fits, re-reading weights per band competes with re-reading the input."""
    loads = conv_bytes(DEEP, ULTRA96) - CHANNEL_BYTES * 512
    rows = band_rows(DEEP, ULTRA96)
    bands, passed = -(-28 // rows), input_bytes(DEEP, rows)
    slices = -(-512 // 16)
    assert ULTRA96.weight_buffer_bytes // 2 < 2 * (16 * 512 * 9)
    assert loads == min(DEEP.weight_bytes + slices * passed, passed + bands * DEEP.weight_bytes)
    assert loads > once(DEEP)


def test_depthwise_reads_its_input_once():
    """Each group's input belongs to that group's outputs alone, so no slice re-reads it."""
    depthwise = replace(DEEP, groups=512)
    rows = band_rows(depthwise, ULTRA96)
    assert rows < 28
    assert (
        conv_bytes(depthwise, ULTRA96)
        == depthwise.weight_bytes + input_bytes(depthwise, rows) + CHANNEL_BYTES * 512
    )


def test_row_too_long_for_the_buffer_still_has_a_figure():
    """Where not even one output row fits, the reduction is cut and the input still passes."""
    long = ConvShape(in_channels=4096, out_channels=16, height=8, width=64, kernel=(3, 3))
    assert band_rows(long, ULTRA96) == 0
    assert conv_bytes(long, ULTRA96) >= once(long)


@pytest.mark.parametrize("shape", [SMALL, LARGE, DEEP, replace(LARGE, groups=64)])
@pytest.mark.parametrize("buffer", ["weight_buffer_bytes", "activation_buffer_bytes"])
def test_larger_buffers_never_load_more(shape, buffer):
    """Traffic falls, or stays, as a buffer doubles, and never goes below one load of everything."""
    loads = [
        conv_bytes(shape, replace(ULTRA96, **{buffer: size * 1024}))
        for size in (128, 256, 512, 1024)
    ]
    assert loads == sorted(loads, reverse=True)
    assert loads[-1] >= once(shape)
