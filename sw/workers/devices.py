"""What can stand in for the accelerator, by name: golden model, HLS C++, RTL, a board."""

from __future__ import annotations

from heterolith.errors import unknown_name
from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.protocol import Device
from heterolith.hw.timing.timeline import Dram

DEVICES = {
    "golden": "golden model of the accelerator (numpy, bit-exact int8)",
    "functional": "HLS C++ of the accelerator (bit-exact int8)",
    "rtl": "RTL of the accelerator in Verilator (bit-exact int8, cycle-accurate)",
    "board": "accelerator on this board, through PYNQ",
}
"""Name -> what a result says of it."""


def open_device(name: str, config: ArrayConfig, dram: Dram) -> Device | None:
    """Return a device that runs jobs; ``None`` for the golden model, which runs layers.

    Parameters
    ----------
    dram
        What the RTL's memory gives; the others have a memory of their own, or none.

    Raises
    ------
    InputError
        If there is no such device, or a tool or board that it needs is missing.
    """
    if name not in DEVICES:
        raise unknown_name("accelerator device", name, DEVICES)
    if name == "functional":
        from heterolith.hw.device.functional import FunctionalDevice

        return FunctionalDevice(config)
    if name == "rtl":
        from heterolith.hw.device.core import DramModel
        from heterolith.hw.driver import Driver, Fabric, RtlBus

        timing = DramModel(bytes_per_cycle=dram.bytes_per_cycle, latency_cycles=dram.latency_cycles)
        return Driver(RtlBus(Fabric(config, timing)), config)
    if name == "board":
        from heterolith.hw.driver.board import open_board

        return open_board(config)
    return None
