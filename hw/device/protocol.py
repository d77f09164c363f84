"""What a device is: the Protocol that HLS model, RTL in Verilator and board keep.

A job's window (weights, tensors, commands) is placed in the device's memory once; each run after
that flushes what the host wrote, rings the doorbell and invalidates what the host reads, so that a
run costs the host a fixed number of register writes, whatever the job. Whatever runs it, the bytes
of the window afterwards are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from heterolith.errors import HeterolithError, InputError
from heterolith.hw.commands import ERROR_MEANINGS, ErrorCode
from heterolith.hw.compiler.job import Job
from heterolith.hw.config import ArrayConfig
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import geometry


class DeviceError(HeterolithError):
    """A job that the device refused.

    Attributes
    ----------
    code
        Why.
    index
        Position of the failing command in the job.
    layer
        Name of the layer that the command belongs to; empty if the job has no names.
    """

    def __init__(self, code: ErrorCode, index: int, layer: str = "") -> None:
        of = f" of layer {layer!r}" if layer else ""
        super().__init__(f"command {index}{of} failed: {code.name}, {ERROR_MEANINGS[code]}")
        self.code = code
        self.index = index
        self.layer = layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a job did; the same registers as the RTL's, less the cycles."""

    loads: int
    computes: int
    stores: int
    array_steps: int
    read_beats: int
    write_beats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RtlCounters(Counters):
    """What a job did and how long it took, from the performance counters."""

    cycles: int
    load_busy: int
    compute_busy: int
    store_busy: int
    load_wait: int
    compute_wait_load: int
    compute_wait_store: int
    store_wait: int


class Placed(Protocol):
    """A job whose window lies in a device's memory; run it as often as needed."""

    @property
    def memory(self) -> Array:
        """The window as the host sees it, uint8: write inputs here, read outputs here."""

    def run(
        self, written: Sequence[slice] | None = None, read: Sequence[slice] | None = None
    ) -> Counters:
        """Run the job once; `RtlCounters` where the device counts cycles.

        Parameters
        ----------
        written
            Bytes of `memory` that the host changed since the last run; all by default.
        read
            Bytes that the host looks at afterwards; all by default.

        Raises
        ------
        DeviceError
            If a command fails; its layer is named. The next run is not affected.
        """

    def close(self) -> None:
        """Give the window back."""


class Device(Protocol):
    """One accelerator.

    Attributes
    ----------
    config
        Its configuration; it runs jobs that were compiled for this one.
    """

    config: ArrayConfig

    def place(self, job: Job) -> Placed:
        """Copy a job's window into the device's memory.

        Raises
        ------
        InputError
            If the job was compiled for another configuration, or memory is short.
        """

    def run_job(self, job: Job, memory: Array) -> Counters:
        """Run a job once in ``memory``, a copy of ``job.memory`` with its inputs written, in place.

        Raises
        ------
        DeviceError
            If a command fails.
        """

    def close(self) -> None:
        """Give everything back; later use is refused."""


@dataclass(slots=True)
class HostPlaced:
    """A job in host memory, for devices that compute there: nothing to flush."""

    job: Job
    runner: Callable[[Job, Array], Counters]
    memory: Array = field(init=False)

    def __post_init__(self) -> None:
        self.memory = self.job.memory.copy()

    def run(
        self, written: Sequence[slice] | None = None, read: Sequence[slice] | None = None
    ) -> Counters:
        """Run the job once; see `Placed.run`."""
        del written, read
        return self.runner(self.job, self.memory)

    def close(self) -> None:
        """Drop the window."""
        self.memory = np.zeros(0, dtype=np.uint8)


def check_window(memory: Array) -> None:
    """Raise `InputError` unless ``memory`` can be a window."""
    if memory.dtype != np.uint8 or not memory.flags.c_contiguous or not memory.flags.writeable:
        raise InputError("memory must be a contiguous, writable uint8 array")


def check_job(job: Job, config: ArrayConfig) -> None:
    """Raise `InputError` unless a job was compiled for a configuration."""
    if job.geometry != geometry(config):
        raise InputError(
            f"the job was compiled for {job.geometry}, the device is {config.name}: "
            f"{geometry(config)}; compile it for {config.name}"
        )


def named(error: DeviceError, job: Job) -> DeviceError:
    """Return the error with the name of the failing command's layer."""
    return DeviceError(error.code, error.index, job.layer_of(error.index))
