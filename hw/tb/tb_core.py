"""Testbench of the core: a driver on AXI4-Lite, a memory on AXI4, both with random pauses.

The reference is the functional device; the configuration is read from the environment, its
parameters from the design. Memory stands around the window, and nothing outside it may change.
"""

import os
import random
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam  # type: ignore[import-untyped]

from heterolith.hw.compiler.job import Job
from heterolith.hw.compiler.single import layer_job
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.fixed import Array, Output, Scaling
from heterolith.hw.golden import LinearParameters
from heterolith.hw.regmap import REGISTERS, Access, offset
from heterolith.hw.shapes import ConvShape

CONFIG = ArrayConfig(**eval(os.environ["TB_CONFIG"], {"__builtins__": {}}))
Dut = Any  # a handle has the attributes of its design

BASE = 0x3000
GUARD = 0xA5
START, RESET = 1, 2
DONE = 2


class Bench:
    """Clock, reset, driver and memory of one test."""

    def __init__(self, dut: Dut, pause: int, seed: int) -> None:
        self.dut = dut
        self.chance = random.Random(seed)
        Clock(dut.clk_i, 10, unit="ns").start()
        lite = AxiLiteBus.from_prefix(dut, "s_axil")
        bus = AxiBus.from_prefix(dut, "m_axi")
        active_low = {"reset_active_level": False}
        self.driver = AxiLiteMaster(lite, dut.clk_i, dut.rst_ni, **active_low)
        self.ram = AxiRam(bus, dut.clk_i, dut.rst_ni, size=2**18, **active_low)
        reads, writes = self.ram.read_if, self.ram.write_if
        channels = (reads.ar_channel, reads.r_channel, writes.aw_channel, writes.w_channel)
        for channel in (*channels, writes.b_channel):
            if pause:
                channel.set_pause_generator(self.pauses(pause))
        if pause:
            self.driver.read_if.r_channel.set_pause_generator(self.pauses(pause))
            self.driver.write_if.w_channel.set_pause_generator(self.pauses(pause))

    def pauses(self, percent: int) -> Iterator[bool]:
        """Yield stalls: single cycles, and now and then a long one, as DRAM refreshes."""
        while True:
            long = self.chance.randrange(60) == 0
            stalled = long or self.chance.randrange(100) < percent
            for _ in range(self.chance.randint(20, 150) if long else 1):
                yield stalled

    async def reset(self) -> None:
        """Hold reset for a few cycles."""
        self.dut.rst_ni.value = 0
        await ClockCycles(self.dut.clk_i, 4)
        self.dut.rst_ni.value = 1
        await ClockCycles(self.dut.clk_i, 2)

    async def read(self, name: str) -> int:
        """Return a register."""
        return int(await self.driver.read_dword(offset(name)))

    async def write(self, name: str, value: int) -> None:
        """Write a register."""
        await self.driver.write_dword(offset(name), value)

    async def start(self, job: Job, memory: Array) -> None:
        """Fill the memory and start a job."""
        self.ram.write(0, bytes([GUARD]) * 2**18)
        self.ram.write(BASE, memory.tobytes())
        for name, value in (
            ("INTERRUPT_STATUS", 3),
            ("INTERRUPT_ENABLE", 3),
            ("WINDOW_BASE_LOW", BASE),
            ("WINDOW_BYTES", memory.size),
            ("COMMAND_OFFSET", job.command_offset),
            ("COMMAND_COUNT", len(job.commands)),
            ("CONTROL", START),
        ):
            await self.write(name, value)

    async def run(self, job: Job, memory: Array, expected: Array) -> None:
        """Run a job to its interrupt and compare all memory."""
        await self.start(job, memory)
        if not self.dut.irq_o.value:
            await with_timeout(RisingEdge(self.dut.irq_o), 3, "ms")
        assert await self.read("STATUS") == DONE
        await self.write("INTERRUPT_STATUS", 3)
        assert not self.dut.irq_o.value
        held = np.frombuffer(self.ram.read(0, 2**18), np.uint8)
        assert np.array_equal(held[BASE : BASE + memory.size], expected)
        assert (held[:BASE] == GUARD).all()
        assert (held[BASE + memory.size :] == GUARD).all()


def layer(seed: int) -> tuple[Job, Array, Array]:
    """Return (job, memory, memory afterwards) of a padded convolution."""
    rng = np.random.default_rng(seed)
    shape = ConvShape(
        in_channels=12, out_channels=20, height=6, width=7, kernel=(3, 3), pads=(1, 1, 1, 1)
    )
    parameters = LinearParameters(
        weights=rng.integers(-127, 128, shape.weight_shape, dtype=np.int8),
        bias=rng.integers(-2000, 2000, shape.out_channels, dtype=np.int32),
        scaling=Scaling.of(rng.uniform(1e-4, 4e-3, shape.out_channels)),
        output=Output(zero_point=-3),
        pad_value=7,
    )
    job = layer_job(CONFIG, shape, parameters)
    memory = job.memory(rng.integers(-128, 128, shape.input_shape, dtype=np.int8))
    expected = memory.copy()
    FunctionalDevice(CONFIG).run_job(job.job, expected)
    return job.job, memory, expected


@cocotb.test()
@cocotb.parametrize(pause=[0, 50])
async def registers_have_their_reset_values(dut: Dut, pause: int) -> None:
    """Each register reads its reset value, keeps what may be written, and no other."""
    bench = Bench(dut, pause, seed=1)
    await bench.reset()
    for register in REGISTERS:
        if not register.name.startswith("CONFIG_HASH"):
            assert await bench.read(register.name) == register.reset, register.name
    for register in REGISTERS:
        if register.access is Access.RO or register.name.startswith("WINDOW_BASE"):
            continue
        mask = sum((1 << field.width) - 1 << field.lsb for field in register.fields) or 0xFFFFFFFF
        if register.access is Access.RW:
            await bench.write(register.name, 0x5A5A5A5A)
            assert await bench.read(register.name) == 0x5A5A5A5A & mask, register.name
            await bench.write(register.name, register.reset)
    for unused in (0x6C, 0xD8, 0xFC):
        await bench.driver.write_dword(unused, 0xFFFFFFFF)
        assert await bench.driver.read_dword(unused) == 0


@cocotb.test()
@cocotb.parametrize(pause=[0, 20, 70])
async def layers_are_exact(dut: Dut, pause: int) -> None:
    """A layer on a memory that stalls all channels; a second one without a reset between."""
    bench = Bench(dut, pause, seed=pause)
    await bench.reset()
    for seed in (1, 2):
        await bench.run(*layer(seed))


@cocotb.test()
async def reset_in_mid_command(dut: Dut) -> None:
    """Hardware reset at random cycles of a job; the next job is exact."""
    bench = Bench(dut, 20, seed=9)
    await bench.reset()
    job, memory, expected = layer(3)
    for cycles in bench.chance.sample(range(1, 900), 5):
        await bench.start(job, memory)
        await ClockCycles(dut.clk_i, cycles)
        await bench.reset()
        assert await bench.read("STATUS") == 0
    await bench.run(job, memory, expected)


@cocotb.test()
async def soft_reset_in_mid_command(dut: Dut) -> None:
    """Soft reset at random cycles of a job finishes open bursts; the next job is exact."""
    bench = Bench(dut, 20, seed=10)
    await bench.reset()
    job, memory, expected = layer(4)
    for cycles in bench.chance.sample(range(1, 900), 5):
        await bench.start(job, memory)
        await First(ClockCycles(dut.clk_i, cycles), RisingEdge(dut.irq_o))
        await bench.write("CONTROL", RESET)
        while await bench.read("STATUS") & 1:
            pass
        await bench.write("INTERRUPT_STATUS", 3)
    await bench.run(job, memory, expected)
