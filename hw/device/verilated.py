"""The RTL as a device: the Verilated core with a model of its DRAM, called through ctypes.

It runs the jobs that `FunctionalDevice` runs, gives the same memory back, and counts cycles.
`start` and `finish` are the driver's register sequence; registers can also be read and written one
by one. Invariant: an access outside the memory window or a burst that breaks a bus rule counts as a
violation, whatever the job.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.commands import ErrorCode
from heterolith.hw.compiler.job import Job
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.functional import Counters, DeviceError
from heterolith.hw.device.verilator import Design, build, source_files
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import geometry, rtl_parameters
from heterolith.hw.regmap import MAGIC, offset

WINDOW_BASE = 0x1_0000_0000
"""Where the window stands in the model's address space: above 4 GiB, so that all bits count."""

START, RESET = 1, 2
BUSY, DONE, ERROR = 1, 2, 4
"""Bits of CONTROL and STATUS."""

OKAY, SLVERR, DECERR = 0, 2, 3
"""AXI responses."""

_READ, _WRITE, _HANG = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DramModel:
    """What the memory behind the core gives.

    Attributes
    ----------
    bytes_per_cycle
        Of both directions together.
    latency_cycles, jitter_cycles
        From address to first beat, and from last beat to response; the jitter is added uniformly.
    stall_percent
        Of cycles in which a channel is not ready, or has no beat.
    seed
        Of jitter and stalls.
    """

    bytes_per_cycle: float = 14.2
    latency_cycles: int = 100
    jitter_cycles: int = 0
    stall_percent: int = 0
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0.01 <= self.bytes_per_cycle <= 64:
            raise InputError(f"bytes_per_cycle is {self.bytes_per_cycle}; it must be 0.01..64")
        if not 0 <= self.stall_percent <= 95:
            raise InputError(f"stall_percent is {self.stall_percent}; it must be 0..95")
        if min(self.latency_cycles, self.jitter_cycles) < 0:
            raise InputError("latency_cycles and jitter_cycles must not be negative")


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


def design(config: ArrayConfig) -> Design:
    """Return what Verilator compiles for a configuration."""
    sim = Path(__file__).parents[1] / "sim"
    lint = Path(__file__).parents[1] / "lint"
    parameters = {name: str(value) for name, value in rtl_parameters(config).items()}
    parameters["ConfigHash"] = f"64'h{config.fingerprint()}"
    return Design(
        top="accel_top",
        prefix="accel",
        sources=(lint / "verilator.vlt", *source_files()),
        harness=sim / "harness.cpp",
        headers=(sim / "dram.hpp",),
        parameters=parameters,
        defines={"LANES": str(geometry(config).lanes)},
    )


def _load(path: Path) -> ctypes.CDLL:
    """Return the library with the types of its functions."""
    library = ctypes.CDLL(str(path))
    u32, u64, handle = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p
    signatures = {
        "open": (handle, ()),
        "close": (None, (handle,)),
        "attach": (None, (handle, ctypes.c_void_p, u64, u64)),
        "dram": (None, (handle, u64, u32, u32, u32, u32)),
        "fault": (None, (handle, u32, ctypes.c_int64, u32)),
        "violations": (u64, (handle,)),
        "read": (u32, (handle, u32)),
        "write": (None, (handle, u32, u32)),
        "clock": (u64, (handle, u64, u32)),
        "cycles": (u64, (handle,)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, f"accel_{name}")
        function.restype, function.argtypes = result, arguments
    return library


@dataclass(slots=True)
class VerilatedDevice:
    """One accelerator, cycle by cycle.

    Attributes
    ----------
    dram
        The memory's figures; they hold from construction on.
    cycle_limit
        Clocks after which a job that raised no interrupt is given up.
    """

    config: ArrayConfig
    dram: DramModel = field(default_factory=DramModel)
    cycle_limit: int = 2_000_000_000
    _library: ctypes.CDLL = field(init=False, repr=False)
    _handle: int | None = field(init=False, repr=False)
    _memory: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._library = _load(build(design(self.config)))
        self._handle = self._library.accel_open()
        if not self._handle:
            raise InputError("the Verilated core could not be made")
        rate = round(self.dram.bytes_per_cycle * 1024)
        d = self.dram
        self._library.accel_dram(
            self._handle, rate, d.latency_cycles, d.jitter_cycles, d.stall_percent, d.seed
        )
        if self.read("ID") != MAGIC:
            raise InputError("the Verilated core does not answer with its magic number")

    def read(self, name: str) -> int:
        """Return the value of a register."""
        return int(self._library.accel_read(self._open(), offset(name)))

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self._library.accel_write(self._open(), offset(name), value)

    def counter(self, name: str) -> int:
        """Return a 64-bit performance counter."""
        low = self.read(f"{name}_LOW")
        return self.read(f"{name}_HIGH") << 32 | low

    def clock(self, cycles: int) -> None:
        """Let time pass."""
        self._library.accel_clock(self._open(), cycles, 0)

    def inject(self, channel: str, after: int, response: int) -> None:
        """Answer the ``after``-th burst from now on, from 0, with an error.

        Parameters
        ----------
        channel
            ``"read"`` or ``"write"``.
        """
        self._library.accel_fault(
            self._open(), {"read": _READ, "write": _WRITE}[channel], after, response
        )

    def hang(self, on: bool) -> None:
        """Let the memory answer nothing, or answer again."""
        self._library.accel_fault(self._open(), _HANG, 0, int(on))

    @property
    def violations(self) -> int:
        """Accesses outside the window and bursts against the rules, since construction."""
        return int(self._library.accel_violations(self._open()))

    def start(
        self, memory: Array, command_offset: int, count: int, watchdog: int = 1 << 20
    ) -> None:
        """Write the registers of a job in ``memory`` and start it.

        Raises
        ------
        InputError
            If ``memory`` is no contiguous, writable uint8 array.
        """
        if memory.dtype != np.uint8 or not memory.flags.c_contiguous or not memory.flags.writeable:
            raise InputError("memory must be a contiguous, writable uint8 array")
        self._memory = memory
        self._library.accel_attach(self._open(), memory.ctypes.data, memory.size, WINDOW_BASE)
        for name, value in (
            ("INTERRUPT_STATUS", 3),
            ("INTERRUPT_ENABLE", 3),
            ("WINDOW_BASE_LOW", WINDOW_BASE & 0xFFFFFFFF),
            ("WINDOW_BASE_HIGH", WINDOW_BASE >> 32),
            ("WINDOW_BYTES", memory.size),
            ("COMMAND_OFFSET", command_offset),
            ("COMMAND_COUNT", count),
            ("WATCHDOG", watchdog),
            ("CONTROL", START),
        ):
            self.write(name, value)

    def finish(self) -> RtlCounters:
        """Clock until the interrupt and the end of open bursts; returns the job's counters.

        Raises
        ------
        DeviceError
            If the job ended with an error.
        InputError
            If no interrupt came within ``cycle_limit``.
        """
        if self._library.accel_clock(self._open(), self.cycle_limit, 1) == self.cycle_limit:
            raise InputError(f"no interrupt within {self.cycle_limit} cycles; raise cycle_limit")
        status = self.read("STATUS")
        self.write("INTERRUPT_STATUS", 3)
        if status & ERROR:
            self.settle()
            raise DeviceError(ErrorCode(self.read("ERROR_CODE")), self.read("ERROR_INDEX"))
        names = (
            "load_busy compute_busy store_busy load_wait compute_wait_load compute_wait_store "
            "store_wait array_steps read_beats write_beats cycles"
        )
        return RtlCounters(
            loads=self.read("LOADS_DONE"),
            computes=self.read("COMPUTES_DONE"),
            stores=self.read("STORES_DONE"),
            **{name: self.counter(name.upper()) for name in names.split()},
        )

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
        """Run a job in ``memory``, a copy of ``job.memory`` with its inputs written."""
        return self.run(memory, job.command_offset, len(job.commands))

    def close(self) -> None:
        """Give the model back; later use is refused."""
        if self._handle:
            self._library.accel_close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if not self._handle:
            raise InputError("the device is closed")
        return self._handle
