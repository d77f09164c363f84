"""What the driver needs of a board: registers, buffers that the accelerator sees, an interrupt."""

from __future__ import annotations

from typing import Protocol

from heterolith.hw.fixed import Array


class Buffer(Protocol):
    """Memory that host and accelerator see, with a cache on the host's side between them."""

    @property
    def address(self) -> int:
        """Where the accelerator finds it, a multiple of 4096."""

    @property
    def array(self) -> Array:
        """What the host sees, uint8."""

    def flush(self, span: slice) -> None:
        """Let the accelerator see what the host wrote."""

    def invalidate(self, span: slice) -> None:
        """Let the host see what the accelerator wrote."""

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""


class Bus(Protocol):
    """One accelerator on a board.

    Attributes
    ----------
    name
        What messages call it.
    """

    name: str

    def read(self, address: int, /) -> int:
        """Return the value of the register at a byte offset."""

    def write(self, address: int, value: int, /) -> None:
        """Write the register at a byte offset."""

    def allocate(self, size: int) -> Buffer:
        """Return a buffer of ``size`` bytes.

        Raises
        ------
        InputError
            If there is not so much memory left.
        """

    def wait(self, timeout_s: float) -> bool:
        """Wait for the interrupt; returns whether it came in time."""

    def close(self) -> None:
        """Give the accelerator back; a second call does nothing."""
