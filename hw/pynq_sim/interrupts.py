"""The way of an interrupt on a Zynq: AXI interrupt controller, then a UIO file.

The controller has the registers of AMD PG099 that PYNQ drives, for one level input. The UIO end
takes the place of an opened ``/dev/uio``: PYNQ adds events to it, and they are set once when its
interrupt comes.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

PENDING, ACKNOWLEDGE, SET_ENABLE, CLEAR_ENABLE, MASTER = 0x04, 0x0C, 0x10, 0x14, 0x1C
STATUS, ENABLE = 0x00, 0x08


class Uio:
    """Events that wait for an interrupt of the processing system."""

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.AbstractEventLoop, Any]] = []
        self._lock = threading.Lock()
        self.controller: Controller | None = None

    def add_event(self, event: Any, number: int) -> None:  # noqa: ANN401
        """Set ``event`` when the interrupt comes; called by PYNQ inside its event loop."""
        del number
        with self._lock:
            self._waiting.append((asyncio.get_running_loop(), event))
        if self.controller is not None:
            self.controller.sample()

    def fire(self) -> None:
        """Set the events that wait, each in its loop."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)


class Controller:
    """An AXI interrupt controller with one level input."""

    def __init__(self, uio: Uio) -> None:
        self._uio, uio.controller = uio, self
        self._registers = {STATUS: 0, ENABLE: 0, MASTER: 0}
        self._level = False

    def drive(self, level: bool) -> None:
        """Put a level on the input."""
        self._level = level
        self.sample()

    def sample(self) -> None:
        """Take the input over and pass the interrupt on if it is enabled."""
        if self._level:
            self._registers[STATUS] = 1
        if self._registers[STATUS] & self._registers[ENABLE] and self._registers[MASTER] & 1:
            self._uio.fire()

    def read(self, offset: int) -> int:
        """Return a register."""
        if offset == PENDING:
            return self._registers[STATUS] & self._registers[ENABLE]
        return self._registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        if offset == ACKNOWLEDGE:
            self._registers[STATUS] &= ~value
        elif offset == SET_ENABLE:
            self._registers[ENABLE] |= value
        elif offset == CLEAR_ENABLE:
            self._registers[ENABLE] &= ~value
        elif offset in self._registers:
            self._registers[offset] = value
        self.sample()
