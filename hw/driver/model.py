"""The HLS C++ in this process as a bus: the registers around it, no notion of time.

A job runs inside the write of its doorbell. Registers answer as the RTL's do, except that cycle
counters stay 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.functional import FunctionalDevice
from heterolith.hw.device.protocol import Counters, DeviceError
from heterolith.hw.device.sequence import DONE, ERROR, START
from heterolith.hw.driver.memory import CachedBuffer, Dram
from heterolith.hw.regmap import REGISTERS, Access, offset

DRAM_BASE, DRAM_BYTES = 0x1_0000_0000, 512 << 20

_EVENT_DONE, _EVENT_ERROR = 1, 2
_COUNTED = {
    "loads": "LOADS_DONE",
    "computes": "COMPUTES_DONE",
    "stores": "STORES_DONE",
    "array_steps": "ARRAY_STEPS_LOW",
    "read_beats": "READ_BEATS_LOW",
    "write_beats": "WRITE_BEATS_LOW",
}
_WRITABLE = frozenset(r.offset for r in REGISTERS if r.access is Access.RW)


@dataclass(slots=True)
class ModelBus:
    """The functional device as a `heterolith.hw.driver.bus.Bus`."""

    config: ArrayConfig
    dram: Dram = field(default_factory=lambda: Dram(DRAM_BASE, DRAM_BYTES))
    name: str = "HLS C++"
    _device: FunctionalDevice = field(init=False, repr=False)
    _values: dict[int, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._device = FunctionalDevice(self.config)
        self._values = {register.offset: register.reset for register in REGISTERS}
        digest = int(self.config.fingerprint(), 16)
        self._values[offset("CONFIG_HASH_LOW")] = digest & 0xFFFFFFFF
        self._values[offset("CONFIG_HASH_HIGH")] = digest >> 32

    def read(self, address: int) -> int:
        """Return the value of a register."""
        return self._values.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        if address == offset("CONTROL") and value & START:
            self._run()
        elif address == offset("INTERRUPT_STATUS"):
            self._values[address] &= ~value
        elif address in _WRITABLE:
            self._values[address] = value

    def allocate(self, size: int) -> CachedBuffer:
        """Return a buffer of the simulated DRAM."""
        return CachedBuffer(self.dram, size)

    def wait(self, timeout_s: float) -> bool:
        """Return whether the interrupt is there; a job has ended when its doorbell returns."""
        del timeout_s
        enabled = self._values[offset("INTERRUPT_ENABLE")]
        return bool(self._values[offset("INTERRUPT_STATUS")] & enabled)

    def close(self) -> None:
        """Give the model back."""
        self._device.close()

    def _run(self) -> None:
        value = {r.name: self._values[r.offset] for r in REGISTERS}
        base = value["WINDOW_BASE_HIGH"] << 32 | value["WINDOW_BASE_LOW"]
        window = self.dram.view(base, value["WINDOW_BYTES"])
        counters: Counters | None = None
        try:
            counters = self._device.run(window, value["COMMAND_OFFSET"], value["COMMAND_COUNT"])
        except DeviceError as error:
            self._set("ERROR_CODE", int(error.code))
            self._set("ERROR_INDEX", error.index)
        for field_name, register in _COUNTED.items():
            count = getattr(counters, field_name) if counters else 0
            self._set(register, count & 0xFFFFFFFF)
            if register.endswith("_LOW"):
                self._set(register.replace("_LOW", "_HIGH"), count >> 32)
        self._set("STATUS", DONE if counters else ERROR)
        self._values[offset("INTERRUPT_STATUS")] |= _EVENT_DONE if counters else _EVENT_ERROR

    def _set(self, name: str, value: int) -> None:
        self._values[offset(name)] = value
