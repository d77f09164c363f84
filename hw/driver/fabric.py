"""The programmable logic of a simulation: the Verilated core, clocked while a job runs.

A thread clocks it from the doorbell until it is idle, so the host sees what it would see on a
board: registers answer while a job runs, the interrupt comes by itself, and a host that waits can
be interrupted. Cycle counters do not depend on the host's timing: they count from start to done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from heterolith.hw.config import ArrayConfig
from heterolith.hw.device.core import DramModel, VerilatedCore
from heterolith.hw.device.sequence import BUSY
from heterolith.hw.driver.memory import CachedBuffer, Dram

DRAM_BASE, DRAM_BYTES = 0x1_0000_0000, 512 << 20

STEP_CYCLES = 2000
"""Cycles between looks at the host: some 15 ms of a running core."""

YIELD_S = 2e-5
"""Pause between two steps, in which a host that waits for the lock gets it."""


@dataclass(slots=True)
class Fabric:
    """A core, its DRAM and the thread that clocks it.

    Attributes
    ----------
    on_interrupt
        Called with the interrupt's level when that changes, maybe from the thread.
    """

    config: ArrayConfig
    timing: DramModel = field(default_factory=DramModel)
    dram: Dram = field(default_factory=lambda: Dram(DRAM_BASE, DRAM_BYTES), repr=False)
    on_interrupt: Callable[[bool], None] = lambda level: None
    core: VerilatedCore = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _risen: threading.Event = field(default_factory=threading.Event, repr=False)
    _thread: threading.Thread | None = None
    _closing: bool = False

    def __post_init__(self) -> None:
        self.core = VerilatedCore(self.config, self.timing)
        self.core.attach(self.dram.data, self.dram.base)

    @property
    def busy(self) -> bool:
        """Whether a job runs, or bursts are open."""
        return self._thread is not None

    def read(self, offset: int) -> int:
        """Return the value of the register at a byte offset."""
        with self._lock:
            return self.core.read_at(offset)

    def write(self, offset: int, value: int) -> None:
        """Write the register at a byte offset; the clock runs from the doorbell on."""
        with self._lock:
            self.core.write_at(offset, value)
            self._look()
            if not self.busy and self._working():
                thread = threading.Thread(target=self._clock, name="fabric", daemon=True)
                thread.start()
                self._thread = thread

    def wait(self, timeout_s: float) -> bool:
        """Wait for the interrupt; returns whether it came in time."""
        return self._risen.wait(timeout_s)

    def retime(self, timing: DramModel) -> None:
        """Change the DRAM's figures, as a change of the core's clock does."""
        with self._lock:
            self.core.retime(timing)

    def close(self) -> None:
        """Stop the clock and give the core back."""
        self._closing = True
        thread = self._thread
        if thread is not None:
            thread.join()
        self.core.close()

    def _working(self) -> bool:
        return bool(self.core.read("STATUS") & BUSY)

    def _look(self) -> bool:
        """Sample the level of the interrupt."""
        high = self.core.clock(1, until_interrupt=True) == 0
        if high != self._risen.is_set():
            (self._risen.set if high else self._risen.clear)()
            self.on_interrupt(high)
        return high

    def _clock(self) -> None:
        while not self._closing:
            with self._lock:
                self.core.clock(STEP_CYCLES, until_interrupt=not self._look())
                # A job may end while STATUS is read, which takes cycles: look afterwards.
                working = self._working()
                self._look()
                if not working:
                    # Inside the lock: a doorbell after this finds no thread and starts one.
                    self._thread = None
                    return
            time.sleep(YIELD_S)


@dataclass(slots=True)
class RtlBus:
    """The RTL in this process as a `heterolith.hw.driver.bus.Bus`."""

    fabric: Fabric
    name: str = "RTL in Verilator"

    def read(self, offset: int) -> int:
        """Return the value of a register."""
        return self.fabric.read(offset)

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        self.fabric.write(offset, value)

    def allocate(self, size: int) -> CachedBuffer:
        """Return a buffer of the simulated DRAM."""
        return CachedBuffer(self.fabric.dram, size)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the interrupt."""
        return self.fabric.wait(timeout_s)

    def close(self) -> None:
        """Stop the clock."""
        self.fabric.close()
