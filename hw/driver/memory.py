"""A DRAM beside the host's memory: what the accelerator of a simulation reads and writes.

Host buffers are copies, as a cache would hold them: what is not flushed does not reach the
accelerator, what is not invalidated does not reach the host.
"""

from __future__ import annotations

import mmap
import threading
from dataclasses import dataclass, field

import numpy as np

from heterolith.errors import InputError
from heterolith.hw.fixed import Array

PAGE = 4096


@dataclass(slots=True)
class Dram:
    """Bytes at addresses from ``base`` on, handed out in pages, first fit.

    Memory of the host is taken page by page as it is touched.
    """

    base: int
    size: int
    data: Array = field(init=False, repr=False)
    _free: list[tuple[int, int]] = field(init=False)
    _used: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.base % PAGE or self.size % PAGE or self.size <= 0:
            raise InputError(f"a DRAM of {self.size} bytes at {self.base:#x} is no run of pages")
        self.data = np.frombuffer(mmap.mmap(-1, self.size), dtype=np.uint8)
        self._free = [(self.base, self.size)]

    @property
    def buffers(self) -> int:
        """Number of buffers handed out and not given back."""
        return len(self._used)

    def allocate(self, size: int) -> int:
        """Return the address of ``size`` bytes.

        Raises
        ------
        InputError
            If no gap is large enough.
        """
        want = -(-max(size, 1) // PAGE) * PAGE
        with self._lock:
            for index, (address, gap) in enumerate(self._free):
                if gap >= want:
                    self._free[index] = (address + want, gap - want)
                    self._used[address] = want
                    return address
        largest = max((gap for _, gap in self._free), default=0)
        raise InputError(
            f"a buffer of {size} bytes does not fit: the largest gap of {self.size} bytes is "
            f"{largest}; free buffers first"
        )

    def free(self, address: int) -> None:
        """Give the buffer at an address back; an address that is none is left alone."""
        with self._lock:
            size = self._used.pop(address, 0)
            gaps = sorted([*self._free, (address, size)])
            self._free = []
            for begin, gap in gaps:
                if self._free and sum(self._free[-1]) == begin:
                    self._free[-1] = (self._free[-1][0], self._free[-1][1] + gap)
                elif gap:
                    self._free.append((begin, gap))

    def view(self, address: int, size: int) -> Array:
        """Return the bytes at an address, to read and write.

        Raises
        ------
        InputError
            If they are not all in the DRAM.
        """
        begin = address - self.base
        if not 0 <= begin <= begin + size <= self.size:
            raise InputError(
                f"{size} bytes at {address:#x} are outside the DRAM, {self.size} at {self.base:#x}"
            )
        return self.data[begin : begin + size]


@dataclass(slots=True)
class CachedBuffer:
    """A buffer of a `Dram` with the host's copy; keeps `heterolith.hw.driver.bus.Buffer`."""

    dram: Dram
    size: int
    address: int = field(init=False)
    array: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.size = max(self.size, 1)
        self.address = self.dram.allocate(self.size)
        self.array = np.zeros(self.size, dtype=np.uint8)

    def flush(self, span: slice) -> None:
        """Copy the host's bytes to the DRAM."""
        self.dram.view(self.address, self.size)[span] = self.array[span]

    def invalidate(self, span: slice) -> None:
        """Copy the DRAM's bytes to the host."""
        self.array[span] = self.dram.view(self.address, self.size)[span]

    def free(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self.array.size:
            self.dram.free(self.address)
            self.array = np.zeros(0, dtype=np.uint8)
