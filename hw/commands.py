"""The command set bit by bit: the one source that encoder, RTL package, C++ header and docs read.

A command is 64 bytes, sixteen little-endian 32-bit words. Invariant, checked at import: fields of a
command do not overlap, and every bit outside a field is zero in a legal command. Meaning and rules
stand in ``hw/doc/accelerator.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from heterolith.hw.geometry import WINDOW_TAPS

WORDS = 16


class Opcode(IntEnum):
    """What a command does; 0 is illegal, so that cleared memory is no program."""

    LOAD = 1
    COMPUTE = 2
    STORE = 3


class Memory(IntEnum):
    """Where a LOAD writes."""

    ACTIVATION = 0
    IMAGE = 1
    WEIGHT = 2
    PARAMETER = 3


class ErrorCode(IntEnum):
    """Why a job stopped; the first error wins."""

    NONE = 0
    OPCODE = 1
    FIELD = 2
    TOKEN = 3
    ALIGNMENT = 4
    ADDRESS = 5
    BUFFER = 6
    READ_SLVERR = 7
    READ_DECERR = 8
    WRITE_SLVERR = 9
    WRITE_DECERR = 10
    WATCHDOG = 11


ERROR_MEANINGS = {
    ErrorCode.NONE: "no error",
    ErrorCode.OPCODE: "opcode is none of LOAD, COMPUTE, STORE",
    ErrorCode.FIELD: "a field is outside its range, or a rule between fields is broken",
    ErrorCode.TOKEN: "a wait names a command that does not precede this one",
    ErrorCode.ALIGNMENT: "a DRAM offset is not a multiple of the bus beat",
    ErrorCode.ADDRESS: "a DRAM access leaves the memory window",
    ErrorCode.BUFFER: "an access leaves an on-chip buffer",
    ErrorCode.READ_SLVERR: "SLVERR on the read data channel",
    ErrorCode.READ_DECERR: "DECERR on the read data channel",
    ErrorCode.WRITE_SLVERR: "SLVERR on the write response channel",
    ErrorCode.WRITE_DECERR: "DECERR on the write response channel",
    ErrorCode.WATCHDOG: "no unit made progress for WATCHDOG cycles",
}


@dataclass(frozen=True, slots=True)
class CommandField:
    """One field: where it stands, what it may hold, what it means."""

    name: str
    word: int
    lsb: int
    width: int
    low: int
    high: int
    meaning: str

    @property
    def signed(self) -> bool:
        """Whether the field is two's complement."""
        return self.low < 0


def _u(name: str, word: int, lsb: int, width: int, meaning: str, low: int = 0) -> CommandField:
    return CommandField(name, word, lsb, width, low, 2**width - 1, meaning)


def _code(name: str, word: int, lsb: int, meaning: str) -> CommandField:
    return CommandField(name, word, lsb, 8, -128, 127, meaning)


_COMMON = (
    CommandField("opcode", 0, 0, 4, 1, 3, "1 LOAD, 2 COMPUTE, 3 STORE"),
    _u("wait_load", 0, 8, 24, "LOADs of the job that must have completed"),
    _u("wait_compute", 1, 8, 24, "COMPUTEs of the job that must have completed"),
    _u("wait_store", 2, 8, 24, "STOREs of the job that must have completed"),
)

_DRAM = (
    _u("offset", 3, 0, 32, "first byte in the memory window"),
    _u("cols", 4, 0, 16, "beats of a row; image: pixels of a row", low=1),
    _u("rows", 4, 16, 16, "rows of a block", low=1),
    _u("blocks", 5, 0, 16, "channel blocks", low=1),
    _u("buffer", 5, 16, 16, "first word in the buffer"),
    _u("row_pitch", 6, 0, 32, "beats from row to row in DRAM"),
    _u("block_pitch", 7, 0, 32, "beats from block to block in DRAM"),
    _u("buffer_row_pitch", 8, 0, 16, "words from row to row in the buffer"),
    _u("buffer_block_pitch", 8, 16, 16, "words from block to block in the buffer"),
)

FIELDS: dict[Opcode, tuple[CommandField, ...]] = {
    Opcode.LOAD: (
        *_COMMON,
        _u("memory", 1, 0, 2, "0 activation, 1 image, 2 weight, 3 parameter"),
        _u("fill", 1, 2, 1, "write pad_value, read no DRAM; activation only"),
        _code("pad_value", 2, 0, "code written to padding"),
        *_DRAM,
        _u("top", 9, 0, 8, "padding rows before each block"),
        _u("bottom", 9, 8, 8, "padding rows after each block"),
        _u("left", 9, 16, 8, "padding words before each row"),
        _u("right", 9, 24, 8, "padding words after each row"),
    ),
    Opcode.COMPUTE: (
        *_COMMON,
        _u("per_channel", 1, 0, 1, "processing element e sees channel e alone"),
        _u("maximum", 1, 1, 1, "combine steps by max instead of by sum"),
        _u("accumulate", 1, 2, 1, "start from the accumulator buffer"),
        _u("partial", 1, 3, 1, "end in the accumulator buffer, raw"),
        _u("residual", 1, 4, 1, "add a second operand before the clamp"),
        _u("to_activation", 1, 5, 1, "write to the activation buffer, not the output buffer"),
        _u("hold_weight", 1, 6, 1, "use one weight word for all steps and groups"),
        CommandField("window", 2, 0, 4, 1, WINDOW_TAPS, "kernel columns per step"),
        _u("source", 3, 0, 16, "first activation word read"),
        _u("weight", 3, 16, 16, "first weight word"),
        _u("parameter", 4, 0, 16, "first parameter word"),
        _u("accumulator", 4, 16, 16, "first accumulator word"),
        _u("target", 5, 0, 16, "first word written"),
        _u("addend", 5, 16, 16, "first activation word of the residual"),
        _u("cols", 6, 0, 16, "output columns", low=1),
        _u("rows", 6, 16, 16, "output rows", low=1),
        _u("blocks", 7, 0, 16, "output channel blocks", low=1),
        _u("group_step", 7, 16, 16, "words the source moves per group"),
        _u("col_step", 8, 0, 16, "words the source moves per output column"),
        _u("row_step", 8, 16, 16, "words the source moves per output row"),
        _u("k_cols", 9, 0, 8, "reduction steps along a kernel row", low=1),
        _u("k_rows", 9, 8, 8, "kernel rows", low=1),
        _u("k_blocks", 9, 16, 16, "input channel blocks", low=1),
        _u("k_col_step", 10, 0, 16, "words per k_cols step"),
        _u("k_row_step", 10, 16, 16, "words per k_rows step"),
        _u("k_block_step", 11, 0, 16, "words per k_blocks step"),
        _u("target_row_pitch", 11, 16, 16, "words from row to row written"),
        _u("target_block_pitch", 12, 0, 16, "words from block to block written"),
        _u("addend_row_pitch", 12, 16, 16, "words from row to row of the residual"),
        _u("addend_block_pitch", 13, 0, 16, "words from block to block of the residual"),
        _code("addend_zero", 13, 16, "zero point of the residual"),
        _code("output_zero", 13, 24, "zero point of the result"),
        CommandField(
            "addend_multiplier", 14, 0, 16, 32768, 65535, "factor of the residual, numerator"
        ),
        CommandField("addend_shift", 14, 16, 6, 1, 47, "factor of the residual, log2 denominator"),
        _code("low", 15, 0, "least result"),
        _code("high", 15, 8, "largest result"),
    ),
    Opcode.STORE: (*_COMMON, *_DRAM),
}


def _check_fields() -> None:
    for opcode, fields in FIELDS.items():
        taken = [0] * WORDS
        for field in fields:
            mask = (1 << field.width) - 1 << field.lsb
            if mask >= 1 << 32 or taken[field.word] & mask:
                raise ValueError(f"{opcode.name}.{field.name} overlaps or leaves its word")
            taken[field.word] |= mask


_check_fields()
