"""The Verilated core with a model of its DRAM, called through ctypes: registers, clock, faults.

Time passes only in `clock` and in register accesses. Invariant: an access outside the attached
memory or a burst that breaks a bus rule counts as a violation, whatever the job.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from pathlib import Path

from heterolith.errors import InputError
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.protocol import check_window
from heterolith.hw.device.verilator import Design, build, source_files
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import geometry, rtl_parameters
from heterolith.hw.regmap import MAGIC, offset

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
class VerilatedCore:
    """One accelerator in RTL.

    Attributes
    ----------
    dram
        The memory's figures.
    """

    config: ArrayConfig
    dram: DramModel = field(default_factory=DramModel)
    _library: ctypes.CDLL = field(init=False, repr=False)
    _handle: int | None = field(init=False, repr=False)
    _memory: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._library = _load(build(design(self.config)))
        self._handle = self._library.accel_open()
        if not self._handle:
            raise InputError("the Verilated core could not be made")
        self.retime(self.dram)
        if self.read("ID") != MAGIC:
            raise InputError("the Verilated core does not answer with its magic number")

    def retime(self, dram: DramModel) -> None:
        """Change the memory's figures; they hold for the bursts that come."""
        self.dram, rate = dram, round(dram.bytes_per_cycle * 1024)
        self._library.accel_dram(
            self._open(),
            rate,
            dram.latency_cycles,
            dram.jitter_cycles,
            dram.stall_percent,
            dram.seed,
        )

    def attach(self, memory: Array, base: int) -> None:
        """Make a contiguous, writable uint8 array the memory from address ``base`` on.

        Raises
        ------
        InputError
            If ``memory`` is none.
        """
        check_window(memory)
        self._memory = memory
        self._library.accel_attach(self._open(), memory.ctypes.data, memory.size, base)

    def read(self, name: str) -> int:
        """Return the value of a register."""
        return self.read_at(offset(name))

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self.write_at(offset(name), value)

    def read_at(self, address: int) -> int:
        """Return the value at a byte offset; 0 where no register stands."""
        return int(self._library.accel_read(self._open(), address))

    def write_at(self, address: int, value: int) -> None:
        """Write 32 bits at a byte offset; nothing happens where no register stands."""
        self._library.accel_write(self._open(), address, value)

    def clock(self, cycles: int, until_interrupt: bool = False) -> int:
        """Let time pass; returns the cycles that did, fewer if an interrupt was to end them."""
        return int(self._library.accel_clock(self._open(), cycles, int(until_interrupt)))

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

    def close(self) -> None:
        """Give the model back; later use is refused."""
        if self._handle:
            self._library.accel_close(self._handle)
            self._handle = None

    def _open(self) -> int:
        if not self._handle:
            raise InputError("the device is closed")
        return self._handle
