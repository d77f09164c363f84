"""The RTL as a device: it runs the jobs that `FunctionalDevice` runs, and counts cycles.

The memory afterwards is the same to the last byte. `start` and `finish` are the driver's register
sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

from heterolith.errors import InputError
from heterolith.hw.compiler.job import Job
from heterolith.hw.device import sequence
from heterolith.hw.device.core import (
    DECERR,
    OKAY,
    SLVERR,
    DramModel,
    VerilatedCore,
    design,
)
from heterolith.hw.device.protocol import DeviceError, HostPlaced, RtlCounters, check_job, named
from heterolith.hw.device.sequence import BUSY, DONE, ERROR, RESET, START
from heterolith.hw.fixed import Array

__all__ = [
    "BUSY",
    "DECERR",
    "DONE",
    "ERROR",
    "OKAY",
    "RESET",
    "SLVERR",
    "START",
    "DramModel",
    "VerilatedDevice",
    "design",
]

WINDOW_BASE = 0x1_0000_0000
"""Where the window stands in the model's address space: above 4 GiB, so that all bits count."""


@dataclass(slots=True)
class VerilatedDevice(VerilatedCore):
    """One accelerator, cycle by cycle.

    Attributes
    ----------
    cycle_limit
        Clocks after which a job that raised no interrupt is given up.
    """

    cycle_limit: int = 2_000_000_000

    def counter(self, name: str) -> int:
        """Return a 64-bit performance counter."""
        return sequence.counter(self, name)

    def start(
        self,
        memory: Array,
        command_offset: int,
        count: int,
        watchdog: int = sequence.WATCHDOG_CYCLES,
    ) -> None:
        """Write the registers of a job in ``memory`` and start it.

        Raises
        ------
        InputError
            If ``memory`` is no contiguous, writable uint8 array.
        """
        self.attach(memory, WINDOW_BASE)
        sequence.start(self, (WINDOW_BASE, memory.size), command_offset, count, watchdog)

    def finish(self) -> RtlCounters:
        """Clock until the interrupt and the end of open bursts; returns the job's counters.

        Raises
        ------
        DeviceError
            If the job ended with an error.
        InputError
            If no interrupt came within ``cycle_limit``.
        """
        if self.clock(self.cycle_limit, until_interrupt=True) == self.cycle_limit:
            raise InputError(f"no interrupt within {self.cycle_limit} cycles; raise cycle_limit")
        try:
            return sequence.finish(self)
        except DeviceError:
            self.settle()
            raise

    def settle(self, limit: int = 100_000) -> bool:
        """Clock until the core is idle, at most about ``limit`` cycles; returns whether it is."""
        for _ in range(limit // 10):
            if not self.read("STATUS") & BUSY:
                return True
            self.clock(8)
        return False

    def run(self, memory: Array, command_offset: int, count: int) -> RtlCounters:
        """Run a job in a memory window, in place; see `start` and `finish`."""
        self.start(memory, command_offset, count)
        return self.finish()

    def run_job(self, job: Job, memory: Array) -> RtlCounters:
        """Run a job in ``memory``; see `heterolith.hw.device.protocol.Device.run_job`."""
        try:
            return self.run(memory, job.command_offset, len(job.commands))
        except DeviceError as error:
            raise named(error, job) from None

    def place(self, job: Job) -> HostPlaced:
        """Copy a job's window; see `heterolith.hw.device.protocol.Device.place`."""
        check_job(job, self.config)
        return HostPlaced(job, self.run_job)
