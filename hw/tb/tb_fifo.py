"""Testbench of ``fifo``: order, fill level, show-ahead, clear in mid-stream."""

import random
from collections import deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly, RisingEdge

Dut = Any  # a handle has the attributes of its design


async def reset(dut: Dut) -> None:
    """Start the clock and leave reset with an idle, empty FIFO."""
    Clock(dut.clk_i, 10, unit="ns").start()
    for name in ("clear_i", "valid_i", "ready_i", "data_i"):
        getattr(dut, name).value = 0
    dut.rst_ni.value = 0
    await RisingEdge(dut.clk_i)
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1


@cocotb.test()
@cocotb.parametrize(push=[10, 50, 100], pop=[10, 50, 100])
async def behaves_like_a_queue(dut: Dut, push: int, pop: int) -> None:
    """At any mix of pushes and pops the output is the queue's oldest entry; clear empties it."""
    chance = random.Random(push * 101 + pop)
    depth, width = int(dut.Depth.value), int(dut.Width.value)
    model: deque[int] = deque()
    await reset(dut)
    for _ in range(1500):
        await FallingEdge(dut.clk_i)
        dut.valid_i.value = chance.randrange(100) < push
        dut.ready_i.value = chance.randrange(100) < pop
        dut.clear_i.value = chance.randrange(200) == 0
        dut.data_i.value = chance.getrandbits(width)
        await ReadOnly()
        assert int(dut.count_o.value) == len(model)
        assert bool(dut.valid_o.value) == bool(model)
        assert bool(dut.ready_o.value) == (len(model) < depth)
        if model:
            assert int(dut.data_o.value) == model[0]
        taken = dut.valid_o.value and dut.ready_i.value
        given = dut.valid_i.value and dut.ready_o.value
        if taken:
            model.popleft()
        if given:
            model.append(int(dut.data_i.value))
        if dut.clear_i.value:
            model.clear()
