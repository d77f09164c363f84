"""Testbench of ``requantizer``: every result is that of ``hw/fixed.py``, in order, gaps or none."""

import random
from collections import deque
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from heterolith.hw.fixed import saturate, scaled

Dut = Any  # a handle has the attributes of its design

LATENCY = 7
"""Clock edges from operands to code."""

Operands = dict[str, int]

SUMS = (0, 1, -1, 2**31 - 1, -(2**31), 2**24, -(2**24) - 1)


def operands(chance: random.Random) -> Operands:
    """Draw operands; extremes and small shifts come up often."""
    wide = chance.getrandbits(32) - 2**31
    low, high = sorted(chance.randint(-128, 127) for _ in range(2))
    return {
        "sum": chance.choice([*SUMS, wide, wide >> chance.randrange(32)]),
        "bias": chance.choice([0, chance.randint(-1000, 1000)]),
        "multiplier": chance.choice([2**15, 2**16 - 1, chance.randrange(2**15, 2**16)]),
        "shift": chance.choice([1, 2, 15, 47, chance.randint(1, 47)]),
        "addend": chance.randint(-255, 255),
        "residual": chance.randrange(2),
        "addend_multiplier": chance.randrange(2**15, 2**16),
        "addend_shift": chance.choice([1, 24, 25, 47, chance.randint(1, 47)]),
        "zero": chance.randint(-128, 127),
        "low": chance.choice([-128, low]),
        "high": chance.choice([127, high]),
    }


def expected(o: Operands) -> int:
    """Return the code of the arithmetic contract, as the byte on the port."""
    total = np.array([o["sum"] + o["bias"]], np.int64).astype(np.int32)
    value = scaled(total, o["multiplier"], o["shift"])
    if o["residual"]:
        addend = np.array([o["addend"]], np.int64)
        value = value + scaled(addend, o["addend_multiplier"], o["addend_shift"])
    return int(saturate(value, o["zero"], o["low"], o["high"])[0]) & 0xFF


def finish_bits(o: Operands) -> int:
    """Return ``finish_t`` of core_pkg."""
    widths = {"residual": 1, "addend_multiplier": 16, "addend_shift": 6, "zero": 8, "low": 8}
    bits = 0
    for name, width in {**widths, "high": 8}.items():
        bits = bits << width | (o[name] & ((1 << width) - 1))
    return bits


@cocotb.test()
@cocotb.parametrize(busy=[100, 40])
async def equals_the_arithmetic_contract(dut: Dut, busy: int) -> None:
    """Random operands at full rate and with gaps."""
    chance = random.Random(busy)
    Clock(dut.clk_i, 10, unit="ns").start()
    pipeline: deque[Operands | None] = deque([None] * LATENCY)
    for _ in range(4000):
        await FallingEdge(dut.clk_i)
        o = operands(chance) if chance.randrange(100) < busy else None
        dut.valid_i.value = o is not None
        if o is not None:
            dut.sum_i.value = o["sum"] & 0xFFFFFFFF
            dut.bias_i.value = o["bias"] & 0xFFFFFFFF
            dut.multiplier_i.value = o["multiplier"]
            dut.shift_i.value = o["shift"]
            dut.addend_i.value = o["addend"]
            dut.finish_i.value = finish_bits(o)
        await ReadOnly()
        due = pipeline.popleft()
        if due is not None:
            assert int(dut.code_o.value) == expected(due), due
        pipeline.append(o)
