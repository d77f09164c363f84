"""The driver: jobs on an accelerator behind any `Bus`.

Placing a job costs a copy and a flush of its window; a run after that flushes what the host wrote,
writes nine registers, waits for the interrupt and invalidates what the host reads. Invariant: when
a call returns or raises, whatever it raises, the accelerator is idle and the next job is right.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from heterolith.errors import InputError
from heterolith.hw.compiler.job import Job
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device import sequence
from heterolith.hw.device.protocol import DeviceError, RtlCounters, check_job, check_window, named
from heterolith.hw.driver.bus import Buffer, Bus
from heterolith.hw.fixed import Array
from heterolith.hw.regmap import MAGIC, VERSION, offset

TIMEOUT_S = 600.0
"""Longest wait for a job: the Verilated core needs minutes where the board needs milliseconds."""

SETTLE_S = 5.0
"""Longest wait for open bursts after an error or a reset."""

WHOLE = (slice(None),)


@dataclass(frozen=True, slots=True)
class Registers:
    """The bus with registers by name."""

    bus: Bus

    def read(self, name: str) -> int:
        """Return the value of a register."""
        return self.bus.read(offset(name))

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self.bus.write(offset(name), value)


def identify(registers: sequence.Registers) -> str:
    """Return the configuration hash of what answers at the registers.

    Raises
    ------
    InputError
        If it is no accelerator, or one with another command set.
    """
    magic, version = registers.read("ID"), registers.read("VERSION")
    if magic != MAGIC:
        raise InputError(
            f"register ID holds {magic:#010x}, an accelerator holds {MAGIC:#010x}; "
            "load the overlay heterolith.bit first"
        )
    if version != VERSION:
        raise InputError(
            f"the accelerator speaks command set {version:#010x}, this program {VERSION:#010x}; "
            "build the bitstream again: heterolith bitstream build"
        )
    low = registers.read("CONFIG_HASH_LOW")
    return f"{registers.read('CONFIG_HASH_HIGH') << 32 | low:016x}"


def check_config(there: str, config: ArrayConfig) -> None:
    """Raise `InputError` with both hashes unless an accelerator is of a configuration."""
    wanted = config.fingerprint()
    if there != wanted:
        raise InputError(
            f"the accelerator was built from configuration {there}, this program wants "
            f"{wanted} ({config.name}); build its bitstream: heterolith bitstream build"
        )


@dataclass(slots=True)
class PlacedJob:
    """A job in the accelerator's memory; keeps `heterolith.hw.device.protocol.Placed`."""

    driver: Driver
    job: Job
    buffer: Buffer

    @property
    def memory(self) -> Array:
        """The window as the host sees it."""
        return self.buffer.array

    def run(
        self, written: Sequence[slice] | None = None, read: Sequence[slice] | None = None
    ) -> RtlCounters:
        """Run the job once; see `heterolith.hw.device.protocol.Placed.run`."""
        for span in WHOLE if written is None else written:
            self.buffer.flush(span)
        try:
            return self.driver.execute(self.job, self.buffer)
        finally:
            for span in WHOLE if read is None else read:
                self.buffer.invalidate(span)

    def close(self) -> None:
        """Give the window back."""
        self.buffer.free()


@dataclass(slots=True)
class Driver:
    """One accelerator; keeps `heterolith.hw.device.protocol.Device`.

    Attributes
    ----------
    config
        What the accelerator must be.
    timeout_s
        Longest wait for one job.

    Raises
    ------
    InputError
        If the accelerator was built from another configuration or command set.
    """

    bus: Bus
    config: ArrayConfig
    timeout_s: float = TIMEOUT_S
    registers: Registers = field(init=False)

    def __post_init__(self) -> None:
        self.registers = Registers(self.bus)
        check_config(identify(self.registers), self.config)
        self.reset()

    def place(self, job: Job) -> PlacedJob:
        """Copy a job's window; see `heterolith.hw.device.protocol.Device.place`."""
        check_job(job, self.config)
        buffer = self.bus.allocate(job.memory.size)
        buffer.array[:] = job.memory
        buffer.flush(slice(None))
        return PlacedJob(self, job, buffer)

    def run_job(self, job: Job, memory: Array) -> RtlCounters:
        """Run a job once; see `heterolith.hw.device.protocol.Device.run_job`."""
        check_window(memory)
        placed = self.place(job)
        try:
            placed.memory[:] = memory
            counters = placed.run()
            memory[:] = placed.memory
        finally:
            placed.close()
        return counters

    def execute(self, job: Job, buffer: Buffer) -> RtlCounters:
        """Run a job whose window is in a buffer and flushed.

        Raises
        ------
        DeviceError
            If a command fails; its layer is named.
        InputError
            If the job does not end within ``timeout_s``.
        """
        window = (buffer.address, job.memory.size)
        try:
            sequence.start(self.registers, window, job.command_offset, len(job.commands))
            if not self.bus.wait(self.timeout_s):
                raise InputError(
                    f"no interrupt within {self.timeout_s:g} s; raise timeout_s, or look at "
                    "the clock and the interrupt line of the bitstream"
                )
            return sequence.finish(self.registers)
        except DeviceError as error:
            self._settle()
            raise named(error, job) from None
        except BaseException:
            self.reset()
            raise

    def reset(self) -> None:
        """Drop a job that runs, let open bursts end and clear the interrupt.

        Raises
        ------
        InputError
            If the bus does not become quiet.
        """
        self.registers.write("CONTROL", sequence.RESET)
        self._settle()
        self.registers.write("INTERRUPT_STATUS", sequence.EVENTS)

    def close(self) -> None:
        """Give the accelerator back."""
        self.bus.close()

    def _settle(self) -> None:
        end = time.monotonic() + SETTLE_S
        while self.registers.read("STATUS") & sequence.BUSY:
            if time.monotonic() > end:
                raise InputError(
                    f"the accelerator is busy {SETTLE_S:g} s after a reset; load the overlay again"
                )
            time.sleep(0.0001)
