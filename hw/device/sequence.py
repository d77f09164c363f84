"""The register sequence of a job: the one that driver, RTL device and board share.

A job takes the nine writes of `start`, whatever its commands; the caller then waits for the
interrupt, or polls STATUS, and `finish` reads the outcome.
"""

from __future__ import annotations

from typing import Protocol

from heterolith.hw.commands import ErrorCode
from heterolith.hw.device.protocol import DeviceError, RtlCounters

START, RESET = 1, 2
BUSY, DONE, ERROR = 1, 2, 4
"""Bits of CONTROL and STATUS."""

EVENTS = 3
"""DONE and ERROR in INTERRUPT_ENABLE and INTERRUPT_STATUS."""

WATCHDOG_CYCLES = 1 << 20
"""Cycles without progress that end a job: milliseconds, where DRAM answers in microseconds."""

_COUNTERS = (
    "cycles",
    "load_busy",
    "compute_busy",
    "store_busy",
    "load_wait",
    "compute_wait_load",
    "compute_wait_store",
    "store_wait",
    "array_steps",
    "read_beats",
    "write_beats",
)


class Registers(Protocol):
    """Registers by their names in `heterolith.hw.regmap`."""

    def read(self, name: str) -> int:
        """Return the value of a register."""

    def write(self, name: str, value: int) -> None:
        """Write a register."""


def start(
    registers: Registers,
    window: tuple[int, int],
    command_offset: int,
    count: int,
    watchdog: int = WATCHDOG_CYCLES,
) -> None:
    """Write the registers of a job and ring the doorbell.

    Parameters
    ----------
    window
        Address and size in bytes of the memory window.
    """
    base, size = window
    for name, value in (
        ("INTERRUPT_STATUS", EVENTS),
        ("INTERRUPT_ENABLE", EVENTS),
        ("WINDOW_BASE_LOW", base & 0xFFFFFFFF),
        ("WINDOW_BASE_HIGH", base >> 32),
        ("WINDOW_BYTES", size),
        ("COMMAND_OFFSET", command_offset),
        ("COMMAND_COUNT", count),
        ("WATCHDOG", watchdog),
        ("CONTROL", START),
    ):
        registers.write(name, value)


def finish(registers: Registers) -> RtlCounters:
    """Clear the interrupt of a job that has ended and return its counters.

    Raises
    ------
    DeviceError
        If it ended with an error; bursts may still be open, so `settle` before the next job.
    """
    status = registers.read("STATUS")
    registers.write("INTERRUPT_STATUS", EVENTS)
    if status & ERROR:
        code = ErrorCode(registers.read("ERROR_CODE"))
        raise DeviceError(code, registers.read("ERROR_INDEX"))
    return RtlCounters(
        loads=registers.read("LOADS_DONE"),
        computes=registers.read("COMPUTES_DONE"),
        stores=registers.read("STORES_DONE"),
        **{name: counter(registers, name.upper()) for name in _COUNTERS},
    )


def counter(registers: Registers, name: str) -> int:
    """Return a 64-bit performance counter; reading its low half freezes the high one."""
    low = registers.read(f"{name}_LOW")
    return registers.read(f"{name}_HIGH") << 32 | low
