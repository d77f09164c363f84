"""Commands as frozen data, and their 64-byte form.

The fields of `Load`, `Compute` and `Store` are those of `hw/commands.py`; encoding checks each
against its range, and ``decode(encode(c)) == c`` for every command. The rules between fields are
those of ``hw/doc/accelerator.md``, sections 4 and 5; `rule_broken` states the first that a command
breaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.commands import FIELDS, WORDS, CommandField, Memory, Opcode
from heterolith.hw.fixed import Array
from heterolith.hw.geometry import COMMAND_BYTES, WINDOW_ROWS, Geometry

COUNT_LIMIT = 65535
"""Most reduction steps of a pixel and most pixels of a COMPUTE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """DRAM to a buffer, or padding into one; fields as in ``hw/doc/commands.md``."""

    wait_load: int = 0
    wait_compute: int = 0
    wait_store: int = 0
    memory: int = Memory.ACTIVATION
    fill: int = 0
    pad_value: int = 0
    offset: int = 0
    cols: int = 1
    rows: int = 1
    blocks: int = 1
    buffer: int = 0
    row_pitch: int = 0
    block_pitch: int = 0
    buffer_row_pitch: int = 0
    buffer_block_pitch: int = 0
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Buffers to a buffer through the array; fields as in ``hw/doc/commands.md``."""

    wait_load: int = 0
    wait_compute: int = 0
    wait_store: int = 0
    per_channel: int = 0
    maximum: int = 0
    accumulate: int = 0
    partial: int = 0
    residual: int = 0
    to_activation: int = 0
    hold_weight: int = 0
    window: int = 1
    source: int = 0
    weight: int = 0
    parameter: int = 0
    accumulator: int = 0
    target: int = 0
    addend: int = 0
    cols: int = 1
    rows: int = 1
    blocks: int = 1
    group_step: int = 0
    col_step: int = 0
    row_step: int = 0
    k_cols: int = 1
    k_rows: int = 1
    k_blocks: int = 1
    k_col_step: int = 0
    k_row_step: int = 0
    k_block_step: int = 0
    target_row_pitch: int = 0
    target_block_pitch: int = 0
    addend_row_pitch: int = 0
    addend_block_pitch: int = 0
    addend_zero: int = 0
    output_zero: int = 0
    addend_multiplier: int = 32768
    addend_shift: int = 15
    low: int = -128
    high: int = 127

    @property
    def steps(self) -> int:
        """Reduction steps of one pixel."""
        return self.k_cols * self.k_rows * self.k_blocks

    @property
    def outputs(self) -> int:
        """Pixels per output block."""
        return self.cols * self.rows

    def group_blocks(self, geometry: Geometry) -> int:
        """Return the channel blocks that one pass computes."""
        return 1 if self.per_channel else geometry.sub_blocks

    def groups(self, geometry: Geometry) -> int:
        """Return the passes over the pixels."""
        return -(-self.blocks // self.group_blocks(geometry))


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Output buffer to DRAM; fields as in ``hw/doc/commands.md``."""

    wait_load: int = 0
    wait_compute: int = 0
    wait_store: int = 0
    offset: int = 0
    cols: int = 1
    rows: int = 1
    blocks: int = 1
    buffer: int = 0
    row_pitch: int = 0
    block_pitch: int = 0
    buffer_row_pitch: int = 0
    buffer_block_pitch: int = 0


Command = Load | Compute | Store

CLASSES: dict[Opcode, type[Command]] = {
    Opcode.LOAD: Load,
    Opcode.COMPUTE: Compute,
    Opcode.STORE: Store,
}
OPCODES = {kind: opcode for opcode, kind in CLASSES.items()}


def _check_classes() -> None:
    for opcode, kind in CLASSES.items():
        table = {field.name for field in FIELDS[opcode]} - {"opcode"}
        if {field.name for field in fields(kind)} != table:
            raise ValueError(f"{kind.__name__} and the table of {opcode.name} differ")


_check_classes()


def _load_rule(c: Load, geometry: Geometry) -> str:
    if c.fill and c.memory != Memory.ACTIVATION:
        return "fill writes the activation buffer alone"
    if c.memory == Memory.IMAGE and c.blocks != 1:
        return f"an image has 1 block, not {c.blocks}"
    if c.memory in (Memory.WEIGHT, Memory.PARAMETER):
        unit = geometry.n_pe if c.memory == Memory.WEIGHT else geometry.parameter_beats
        if c.top or c.bottom or c.left or c.right:
            return "weights and parameters take no padding"
        if c.blocks * c.rows * c.cols % unit:
            return f"{c.blocks * c.rows * c.cols} beats are no multiple of {unit}"
    return ""


def _compute_rule(c: Compute) -> str:
    if c.low > c.high:
        return f"low {c.low} is above high {c.high}"
    if c.partial and (c.residual or c.to_activation):
        return "a partial COMPUTE has neither residual nor to_activation"
    if max(c.steps, c.outputs) > COUNT_LIMIT:
        return f"{c.steps} steps or {c.outputs} pixels exceed {COUNT_LIMIT}"
    if c.window > 1:
        if not c.per_channel or c.maximum or c.accumulate or c.partial:
            return "a window above 1 is for per-channel sums in one command"
        if c.k_cols > 1 or c.k_blocks > 1 or c.k_rows > WINDOW_ROWS:
            return f"a window above 1 has k_cols = k_blocks = 1 and k_rows <= {WINDOW_ROWS}"
        if c.cols > 1 and not c.col_step:
            return "a window above 1 needs col_step >= 1"
    return ""


def rule_broken(command: Command, geometry: Geometry) -> str:
    """Return the rule between fields that a command breaks, or ``""``."""
    if isinstance(command, Load):
        return _load_rule(command, geometry)
    if isinstance(command, Compute):
        return _compute_rule(command)
    return ""


def _bits(field: CommandField, value: int, owner: str) -> int:
    if not field.low <= value <= field.high:
        raise InputError(f"{owner}.{field.name} is {value}; it must be {field.low}..{field.high}")
    return (value & ((1 << field.width) - 1)) << field.lsb


def encode(commands: Iterable[Command]) -> Array:
    """Return the bytes of commands, uint8 of shape (64 n,).

    Raises
    ------
    InputError
        If a field is outside its range.
    """
    rows = []
    for command in commands:
        opcode, words = OPCODES[type(command)], [0] * WORDS
        for field in FIELDS[opcode]:
            value = int(opcode if field.name == "opcode" else getattr(command, field.name))
            words[field.word] |= _bits(field, value, type(command).__name__)
        rows.append(words)
    if not rows:
        return np.zeros(0, dtype=np.uint8)
    return np.array(rows, dtype="<u4").view(np.uint8).reshape(-1)


def decode(data: Array) -> list[Command]:
    """Return the commands in bytes; the inverse of `encode`.

    Raises
    ------
    InputError
        If the length is no multiple of 64, an opcode is unknown, a field is outside its range or a
        bit outside the fields is set.
    """
    if data.dtype != np.uint8 or data.size % COMMAND_BYTES:
        raise InputError(f"{data.size} {data.dtype} are no commands of {COMMAND_BYTES} bytes")
    rows = np.ascontiguousarray(data).view("<u4").reshape(-1, WORDS).tolist()
    return [_decode_one(words, index) for index, words in enumerate(rows)]


def _decode_one(words: Sequence[int], index: int) -> Command:
    code = words[0] & 15
    if code not in tuple(Opcode):
        raise InputError(f"command {index} has opcode {code}; it must be 1..3")
    opcode, values = Opcode(code), {}
    for field in FIELDS[opcode]:
        value = words[field.word] >> field.lsb & ((1 << field.width) - 1)
        if field.signed and value >> (field.width - 1):
            value -= 1 << field.width
        values[field.name] = value
    del values["opcode"]
    command = CLASSES[opcode](**values)
    if encode([command]).view("<u4").tolist() != list(words):
        raise InputError(f"command {index} sets bits outside its fields")
    return command


def row_beats(c: Load | Store, geometry: Geometry) -> int:
    """Return the bus beats of one DRAM row."""
    if isinstance(c, Load) and c.memory == Memory.IMAGE:
        return -(-c.cols // geometry.image_pixels)
    return c.cols
