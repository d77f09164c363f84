"""The accelerator of the board that this program runs on."""

from __future__ import annotations

from heterolith.errors import InputError, MissingExtraError
from heterolith.hw.config import ArrayConfig
from heterolith.hw.driver.driver import Driver

BITSTREAM = "heterolith.bit"


def open_board(config: ArrayConfig | None = None, bitstream: str = BITSTREAM) -> Driver:
    """Load the overlay and return the driver of its accelerator.

    Parameters
    ----------
    config
        What the accelerator must be; by default whatever the overlay holds.
    bitstream
        Path, or name that PYNQ looks for in the installed overlays.

    Raises
    ------
    MissingExtraError
        If pynq is not installed.
    InputError
        If there is no device or no bitstream, it was built for another program, or another
        process uses it.
    """
    try:
        import pynq
    except ImportError as error:
        raise MissingExtraError("pynq", "pynq") from error
    try:
        overlay = pynq.Overlay(bitstream)
    except RuntimeError as error:
        raise InputError(
            f"PYNQ finds no device ({error}); run on a board, or simulate one: "
            "heterolith simulate ultra96-v2 COMMAND"
        ) from error
    except OSError as error:
        raise InputError(
            f"{error} None is shipped: build one with Vivado (heterolith bitstream build), "
            "copy it here and install it (heterolith bitstream install)"
        ) from error
    driver: Driver = overlay.accelerator.open(config)
    return driver
