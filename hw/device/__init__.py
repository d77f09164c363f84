"""What runs a command stream: `FunctionalDevice` (HLS C++), `VerilatedDevice` (RTL)."""

from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.device.protocol import Counters, Device, DeviceError, Placed, RtlCounters
from heterolith.hw.device.verilated import DramModel, VerilatedDevice

__all__ = [
    "Counters",
    "Device",
    "DeviceError",
    "DramModel",
    "FunctionalDevice",
    "Placed",
    "RtlCounters",
    "VerilatedDevice",
]
