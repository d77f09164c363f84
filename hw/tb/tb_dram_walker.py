"""Testbench of ``dram_walker``: bursts of random regions against a model that lists their beats."""

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

Dut = Any  # a handle has the attributes of its design

ADDRESS_ERROR = 5

Region = dict[str, int]


def beats(region: Region, beat_bytes: int) -> list[int]:
    """Return the beats of a region in order, as positions in the window."""
    first = region["offset"] // beat_bytes
    return [
        first + b * region["block_pitch"] + r * region["row_pitch"] + c
        for b in range(region["blocks"])
        for r in range(region["rows"])
        for c in range(region["beats"])
    ]


def draw(chance: random.Random, beat_bytes: int) -> Region:
    """Draw a region; joined rows and blocks come up often."""
    size, rows, blocks = chance.randint(1, 40), chance.randint(1, 6), chance.randint(1, 4)
    row_pitch = chance.choice([size, size, size + 3, chance.randint(0, 2**32 - 1)])
    row_pitch = row_pitch if chance.randrange(8) == 0 else min(row_pitch, 100)
    return {
        "offset": beat_bytes * chance.randint(0, 500),
        "beats": size,
        "rows": rows,
        "blocks": blocks,
        "row_pitch": row_pitch,
        "block_pitch": chance.choice([size * rows, size * rows, 77]),
    }


async def start(dut: Dut, region: Region, window: int) -> None:
    """Hand a region to the idle walker."""
    for name, value in region.items():
        getattr(dut, f"{name}_i").value = value
    dut.window_bytes_i.value = window
    dut.index_i.value = 42
    dut.start_i.value = 1
    await FallingEdge(dut.clk_i)
    dut.start_i.value = 0


def burst(dut: Dut) -> tuple[int, int, int, int]:
    """Return (offset, beats, last, index) of the burst offered."""
    bits = int(dut.burst_o.value)
    return bits >> 37, (bits >> 33 & 15) + 1, bits >> 32 & 1, bits & 0xFFFFFFFF


@cocotb.test()
@cocotb.parametrize(ready=[100, 30])
async def bursts_cover_the_region_and_nothing_else(dut: Dut, ready: int) -> None:
    """Beats in order; 16 at most, none past a multiple of 16 or the window; a fault stops it."""
    chance = random.Random(ready)
    beat_bytes = int(dut.BeatBytes.value)
    Clock(dut.clk_i, 10, unit="ns").start()
    dut.clear_i.value = 0
    dut.start_i.value = 0
    dut.ready_i.value = 0
    dut.rst_ni.value = 0
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    for _ in range(150):
        region = draw(chance, beat_bytes)
        window = beat_bytes * chance.choice([1 << 16, 1 << 16, chance.randint(1, 700)])
        wanted = beats(region, beat_bytes)
        await start(dut, region, window)
        seen: list[int] = []
        ended, fault = False, 0
        for _ in range(40 * len(wanted) + 50):
            dut.ready_i.value = chance.randrange(100) < ready
            await ReadOnly()
            fault = int(dut.fault_o.value) >> 36 & 1
            if dut.valid_o.value and dut.ready_i.value:
                offset, count, last, index = burst(dut)
                assert index == 42
                assert not ended
                assert offset % beat_bytes == 0
                assert offset // beat_bytes % 16 + count <= 16
                assert offset + count * beat_bytes <= window
                seen += range(offset // beat_bytes, offset // beat_bytes + count)
                ended = bool(last)
            idle = dut.idle_o.value and not dut.valid_o.value
            await FallingEdge(dut.clk_i)
            if ended or (fault and not dut.valid_o.value) or idle:
                break
        if fault:
            assert seen == wanted[: len(seen)]
            assert any((position + 1) * beat_bytes > window for position in wanted)
            assert int(dut.fault_o.value) == 1 << 36 | ADDRESS_ERROR << 32 | 42
            dut.clear_i.value = 1
            await FallingEdge(dut.clk_i)
            dut.clear_i.value = 0
        else:
            assert ended
            assert seen == wanted
