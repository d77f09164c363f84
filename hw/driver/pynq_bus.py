"""PYNQ as a bus: an IP core of a loaded overlay and its buffers.

Written for pynq 3.1 to 4.0, on a board as on the simulated device: nothing here tells the two
apart. It polls the interrupt's register and leaves the line, ``irq`` of the core, to those who
await it: PYNQ's interrupts live in an event loop, which another thread has not got, a notebook runs
already, and Ctrl-C can leave without a step that the next wait then misses.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.driver.lock import Lock
from heterolith.hw.fixed import Array
from heterolith.hw.regmap import offset

SHORTEST_S, LONGEST_S = 2e-5, 5e-4
"""First and last pause between two looks at the interrupt's register."""


@dataclass(slots=True)
class PynqBuffer:
    """A contiguous buffer; keeps `heterolith.hw.driver.bus.Buffer`."""

    buffer: Any
    array: Array = field(init=False, repr=False)
    address: int = field(init=False)

    def __post_init__(self) -> None:
        self.array = self.buffer.view(np.ndarray)
        self.address = int(self.buffer.device_address)

    def flush(self, span: slice) -> None:
        """Write back the host's cache."""
        self.buffer[span].flush()

    def invalidate(self, span: slice) -> None:
        """Drop the host's cache."""
        self.buffer[span].invalidate()

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self.buffer is not None:
            self.buffer.freebuffer()
            self.buffer, self.array = None, np.zeros(0, dtype=np.uint8)


@dataclass(slots=True)
class PynqBus:
    """An accelerator of an overlay as a `heterolith.hw.driver.bus.Bus`.

    Parameters
    ----------
    ip
        The ``pynq.DefaultIP`` of the core.

    Raises
    ------
    InputError
        If another process uses the accelerator.
    """

    ip: Any
    name: str = field(init=False)
    _lock: Lock = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.name = str(getattr(self.ip.device, "name", None) or self.ip.device.tag)
        self._lock = Lock(self.name)

    @property
    def closed(self) -> bool:
        """Whether the accelerator was given back."""
        return not self._lock.held

    def read(self, address: int) -> int:
        """Return the value of a register."""
        return int(self.ip.mmio.read(address))

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        self.ip.mmio.write(address, int(value))

    def allocate(self, size: int) -> PynqBuffer:
        """Return a buffer of contiguous memory."""
        import pynq

        try:
            buffer = pynq.allocate(shape=(size,), dtype="u1", target=self.ip.device)
        except (MemoryError, RuntimeError) as error:
            raise InputError(
                f"no contiguous memory for {size} bytes ({error}); free buffers, or raise cma= in "
                "the kernel's command line"
            ) from error
        return PynqBuffer(buffer)

    def wait(self, timeout_s: float) -> bool:
        """Poll the interrupt's register, ever more slowly."""
        end, pause_s = time.monotonic() + timeout_s, SHORTEST_S
        while not self.read(offset("INTERRUPT_STATUS")):
            if time.monotonic() > end:
                return False
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_S)
        return True

    def close(self) -> None:
        """Let other processes in."""
        self._lock.release()
