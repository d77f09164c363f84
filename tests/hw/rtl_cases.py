"""The RTL as a device, made once per configuration and memory."""

from functools import cache

from heterolith.hw.verilated import DramModel, VerilatedDevice

from .accel_cases import TESTED

STEADY = DramModel(bytes_per_cycle=14.2)
UNEVEN = DramModel(
    bytes_per_cycle=6.3, latency_cycles=40, jitter_cycles=90, stall_percent=30, seed=7
)
"""A slow memory with random latency that stalls every channel."""


@cache
def machine(name, dram=STEADY):
    """Return the Verilated core of a tested configuration; it is shared, so leave it idle."""
    return VerilatedDevice(TESTED[name], dram, cycle_limit=3_000_000)
