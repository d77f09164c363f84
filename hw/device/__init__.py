"""What runs a command stream. Door: `FunctionalDevice` (HLS C++), `VerilatedDevice` (RTL)."""

from heterolith.hw.device.functional import Counters, DeviceError, FunctionalDevice
from heterolith.hw.device.verilated import DramModel, VerilatedDevice

__all__ = ["Counters", "DeviceError", "DramModel", "FunctionalDevice", "VerilatedDevice"]
