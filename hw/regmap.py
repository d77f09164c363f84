"""The AXI4-Lite registers: the one source that RTL package, C++ header, docs and driver read.

Registers are 32 bits wide at byte offsets that are multiples of 4; a 64-bit value takes two,
``_LOW`` first, and reading its ``_LOW`` half freezes the ``_HIGH`` half until that is read.
Arguments and results of a job stand 8 bytes apart, the spacing of Vitis HLS, so that they have one
address in both sources. Invariant, checked at import: offsets and bits do not overlap. A register
description language with PeakRDL was weighed: its generated block needs lint waivers and its
generators are LGPL, while this map has some forty registers of four kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAGIC = 0x48544C31
"""``HTL1``: what the ID register holds."""

VERSION = 0x0001_0000
"""Version of registers and command set, major in the upper half word."""


class Access(Enum):
    """How software sees a register."""

    RO = "read only"
    RW = "read, write while idle"
    WO = "write 1 to act, reads 0"
    W1C = "read, write 1 to clear"


@dataclass(frozen=True, slots=True)
class BitField:
    """Some bits of a register."""

    name: str
    lsb: int
    width: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Register:
    """One 32-bit register."""

    name: str
    offset: int
    access: Access
    meaning: str
    reset: int = 0
    fields: tuple[BitField, ...] = ()


def _wide(name: str, offset: int, access: Access, meaning: str) -> tuple[Register, Register]:
    return (
        Register(f"{name}_LOW", offset, access, f"{meaning}, bits 31..0"),
        Register(f"{name}_HIGH", offset + 4, access, f"{meaning}, bits 63..32"),
    )


_COUNTERS = (
    ("CYCLES", "cycles from start to done or error"),
    ("LOAD_BUSY", "cycles in which the load unit works on a command"),
    ("COMPUTE_BUSY", "cycles in which the compute unit works on a command"),
    ("STORE_BUSY", "cycles in which the store unit works on a command"),
    ("LOAD_WAIT", "cycles in which the next LOAD waits for tokens"),
    ("COMPUTE_WAIT_LOAD", "cycles in which the next COMPUTE waits for a LOAD"),
    ("COMPUTE_WAIT_STORE", "cycles in which the next COMPUTE waits for a STORE"),
    ("STORE_WAIT", "cycles in which the next STORE waits for tokens"),
    ("ARRAY_STEPS", "reduction steps that the array executed"),
    ("READ_BEATS", "beats received on the read data channel"),
    ("WRITE_BEATS", "beats sent on the write data channel"),
)

REGISTERS: tuple[Register, ...] = (
    Register("ID", 0x00, Access.RO, "magic number", MAGIC),
    Register("VERSION", 0x04, Access.RO, "major << 16 | minor", VERSION),
    *_wide("CONFIG_HASH", 0x08, Access.RO, "fingerprint of the array configuration"),
    Register(
        "CONTROL",
        0x10,
        Access.WO,
        "commands to the core",
        fields=(
            BitField("START", 0, 1, "start the job; ignored while busy"),
            BitField("RESET", 1, 1, "soft reset: finish open bus bursts, then return to idle"),
        ),
    ),
    Register(
        "STATUS",
        0x14,
        Access.RO,
        "state of the core",
        fields=(
            BitField("BUSY", 0, 1, "a job runs, or bus bursts are still open"),
            BitField("DONE", 1, 1, "the last job ended without an error"),
            BitField("ERROR", 2, 1, "the last job ended with an error"),
        ),
    ),
    Register(
        "INTERRUPT_ENABLE",
        0x18,
        Access.RW,
        "which events raise the interrupt",
        fields=(
            BitField("DONE", 0, 1, "job done"),
            BitField("ERROR", 1, 1, "job failed"),
        ),
    ),
    Register(
        "INTERRUPT_STATUS",
        0x1C,
        Access.W1C,
        "events since last cleared; the interrupt is their level",
        fields=(
            BitField("DONE", 0, 1, "job done"),
            BitField("ERROR", 1, 1, "job failed"),
        ),
    ),
    *_wide("WINDOW_BASE", 0x20, Access.RW, "address of the memory window, a multiple of 4096"),
    Register("WINDOW_BYTES", 0x28, Access.RW, "size of the memory window, a multiple of 64"),
    Register("COMMAND_OFFSET", 0x30, Access.RW, "first command in the window, a multiple of 64"),
    Register("COMMAND_COUNT", 0x38, Access.RW, "commands of the job"),
    Register(
        "WATCHDOG",
        0x40,
        Access.RW,
        "cycles without progress that end a job; 0 switches it off",
        0x0010_0000,
    ),
    Register("ERROR_CODE", 0x48, Access.RO, "why the job stopped"),
    Register("ERROR_INDEX", 0x50, Access.RO, "index of the failing command"),
    Register("LOADS_DONE", 0x58, Access.RO, "LOADs completed in this job"),
    Register("COMPUTES_DONE", 0x60, Access.RO, "COMPUTEs completed in this job"),
    Register("STORES_DONE", 0x68, Access.RO, "STOREs completed in this job"),
    *(
        register
        for index, (name, meaning) in enumerate(_COUNTERS)
        for register in _wide(name, 0x80 + 8 * index, Access.RO, meaning)
    ),
)

ADDRESS_BITS = 8
"""Width of the AXI4-Lite address; offsets without a register read 0 and ignore writes."""


_OFFSETS = {register.name: register.offset for register in REGISTERS}


def offset(name: str) -> int:
    """Return the byte offset of a register; raises `KeyError` if there is none."""
    return _OFFSETS[name]


def _check_registers() -> None:
    offsets = [register.offset for register in REGISTERS]
    if len(set(offsets)) != len(offsets) or any(o % 4 or o >> ADDRESS_BITS for o in offsets):
        raise ValueError("register offsets overlap, are unaligned or need more address bits")
    for register in REGISTERS:
        taken = 0
        for field in register.fields:
            mask = (1 << field.width) - 1 << field.lsb
            if mask >> 32 or taken & mask:
                raise ValueError(f"fields of {register.name} overlap")
            taken |= mask


_check_registers()
