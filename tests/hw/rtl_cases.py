"""Devices for the tests of the RTL, made once per configuration and memory."""

from functools import cache

from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.device.verilated import DramModel, VerilatedDevice

from .accel_cases import TESTED

NARROW = ArrayConfig(
    name="narrow",
    n_pe=16,
    pixels=4,
    lanes=8,
    requantizers=2,
    weight_buffer_bytes=64 * 1024,
    activation_buffer_bytes=16 * 1024,
    accumulator_buffer_bytes=128 * 1024,
)
"""Two sub-blocks, four pixels, and few requantizers: most groups wait for them."""

BUILDS = {"small": TESTED["small"], "narrow": NARROW, "ultra96": TESTED["ultra96"]}

STEADY = DramModel(bytes_per_cycle=14.2)
UNEVEN = DramModel(
    bytes_per_cycle=6.3, latency_cycles=40, jitter_cycles=90, stall_percent=30, seed=7
)
"""A slow memory with random latency that stalls every channel."""


@cache
def machine(name, dram=STEADY):
    """Return the Verilated core of a build; it is shared, so leave it idle."""
    return VerilatedDevice(BUILDS[name], dram, cycle_limit=3_000_000)


@cache
def functional(name):
    """Return the functional device of a build."""
    return FunctionalDevice(BUILDS[name])
