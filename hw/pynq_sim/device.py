"""A ``pynq.Device`` over the Verilated accelerator.

The real pynq package drives it: overlay, metadata, MMIO, clocks, interrupt controller, buffers and
recorder are PYNQ's own. Simulated are what lies below them: registers, DRAM apart from the host's
buffers, the interrupt's line, the rails' sensors. It imports pynq.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
from pynq.buffer import PynqBuffer
from pynq.interrupt import _InterruptController
from pynq.pl_server.device import Device
from pynqmetadata.frontends import Metadata

from heterolith import bitstreams, boards
from heterolith.errors import InputError
from heterolith.hw.config import CONFIGS
from heterolith.hw.device.core import DramModel
from heterolith.hw.driver.fabric import Fabric
from heterolith.hw.driver.memory import Dram
from heterolith.hw.fixed import Array
from heterolith.hw.overlay import clocking
from heterolith.hw.overlay.handoff import (
    ACCELERATOR_BASE,
    ACCELERATOR_BYTES,
    INTERRUPTS_BASE,
    INTERRUPTS_BYTES,
)
from heterolith.hw.pynq_sim.clocks import BANK_BYTES, CRF_APB, CRL_APB, Clocks
from heterolith.hw.pynq_sim.interrupts import Controller, Uio
from heterolith.hw.pynq_sim.rails import PowerSensor, sensors

CMA_BASE, CMA_BYTES = 0x4000_0000, 512 << 20
"""Contiguous memory, below 2 GiB as on the boards."""

DRAM_LATENCY_NS = 400.0
"""From address to first beat: the 120 cycles at 300 MHz of ``benchmarks/accelerator.py``."""

PL_PS_IRQ0 = 121
"""Number of the first interrupt from the PL, AMD UG1085."""


def _parser(path: Path) -> Any:  # noqa: ANN401
    """Return PYNQ's view of a handoff file; the class moved between 3.1 and 4.0."""
    try:
        from pynqmetadata.views.runtime import RuntimeMetadataParser
    except ImportError:
        from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
    return RuntimeMetadataParser(Metadata(input=str(path)))


class SimulatedBuffer(PynqBuffer):  # type: ignore[misc]
    """A PYNQ buffer whose memory goes back to the simulated DRAM, once."""

    owner: SimulatedDevice | None = None

    def freebuffer(self) -> None:
        """Give the memory back; views of the buffer own none."""
        if self.owner is not None:
            self.owner.dram.free(self.bo)
            self.owner = None


class SimulatedDevice(Device):  # type: ignore[misc]
    """One simulated board."""

    def __init__(self, board: str) -> None:
        super().__init__(board)
        self.name = board
        self.arch = "aarch64"
        self.capabilities = {"REGISTER_RW": True}
        self.platform = boards.load(board)
        self.clocks = Clocks(clocking(board))
        self.dram = Dram(CMA_BASE, CMA_BYTES)
        self.bitfile_name = ""
        self.fabric: Fabric | None = None
        self._uio = Uio()
        self._controller = Controller(self._uio)
        self._clocked_mhz = 0.0
        _InterruptController._uio_devices[PL_PS_IRQ0] = self._uio

    # What PYNQ asks of a device that has buffers.

    def allocate(self, shape: Any, dtype: Any, **_: Any) -> SimulatedBuffer:  # noqa: ANN401
        """Return a zeroed buffer; the DRAM behind it changes when it is flushed."""
        host = np.zeros(shape, dtype)
        address = self.dram.allocate(host.nbytes)
        buffer = SimulatedBuffer(
            host.shape, host.dtype, buffer=host, device=self, device_address=address, bo=address
        )
        buffer.owner = self
        return buffer

    def flush(self, bo: int, offset: int, address: int, size: int) -> None:
        """Copy the host's bytes to the DRAM."""
        self.dram.view(bo + offset, size)[:] = _host(address, size)

    def invalidate(self, bo: int, offset: int, address: int, size: int) -> None:
        """Copy the DRAM's bytes to the host."""
        _host(address, size)[:] = self.dram.view(bo + offset, size)

    # What PYNQ asks of a device that has registers.

    def read_registers(self, address: int, length: int) -> bytes:
        """Return 32-bit words from an address on."""
        words = [self._read(address + 4 * index) for index in range(-(-length // 4))]
        return np.array(words, dtype="<u4").tobytes()[:length]

    def write_registers(self, address: int, data: bytes) -> None:
        """Write 32-bit words from an address on."""
        for index, word in enumerate(np.frombuffer(bytes(data), dtype="<u4").tolist()):
            self._write(address + 4 * index, word)

    # What PYNQ asks of a device that is programmed.

    def get_bitfile_metadata(self, path: str, partial: bool = False) -> Any:  # noqa: ANN401
        """Return the handoff beside a bitstream, or the generated one of a simulated overlay."""
        del partial
        beside = Path(path).with_suffix(".hwh")
        if not beside.is_file():
            manifest = self._manifest(path)
            beside = bitstreams.folder() / manifest.board / "heterolith.hwh"
        parser = _parser(beside)
        parser.refresh_hierarchy_dict()
        return parser

    def download(self, bitstream: Any, parser: Any = None) -> None:  # noqa: ANN401
        """Take the configuration that a bitstream names into the fabric."""
        manifest = self._manifest(bitstream.bitfile_name)
        found = [c for c in CONFIGS.values() if c.fingerprint() == manifest.config_hash]
        if not found:
            raise InputError(
                f"{bitstream.bitfile_name} is of configuration {manifest.config_hash}, which no "
                "simulated device knows; build it again: heterolith bitstream build"
            )
        self.close()
        self._controller = Controller(self._uio)
        self.fabric = Fabric(found[0], self._timing(), self.dram, self._interrupt)
        self._clocked_mhz = self.clocks.mhz
        super().post_download(bitstream, parser, self.name)

    def gen_cache(self, bitstream: Any, parser: Any = None) -> None:  # noqa: ANN401
        """Keep no cache of metadata."""

    def shutdown(self) -> None:
        """Do nothing: there is no traffic between downloads."""

    def close(self) -> None:
        """Stop the clock of the fabric."""
        if self.fabric is not None:
            self.fabric.close()
            self.fabric = None

    def sensors(self) -> dict[str, PowerSensor]:
        """Return the power sensor of each rail."""
        nominal_mhz = self.platform.device("fpga").mhz

        def load() -> float:
            busy = self.fabric is not None and self.fabric.busy
            return self.clocks.mhz / nominal_mhz if busy else 0.0

        return sensors(self.platform, load)

    def _manifest(self, path: str) -> bitstreams.Manifest:
        manifest = bitstreams.beside(Path(path))
        if manifest is None:
            raise InputError(
                f"{path} has no {bitstreams.NAME} beside it, so what it holds is not known; "
                'load the simulated overlay: Overlay("heterolith.bit")'
            )
        return manifest

    def _timing(self) -> DramModel:
        """Return the DRAM as the fabric's clock sees it."""
        mhz, memory = self.clocks.mhz, self.platform.memory_of("fpga")
        return DramModel(
            bytes_per_cycle=min(memory.bandwidth_gbs * 1e3 / mhz, 64.0),
            latency_cycles=round(DRAM_LATENCY_NS * mhz / 1e3),
        )

    def _interrupt(self, level: bool) -> None:
        self._controller.drive(level)

    def _read(self, address: int) -> int:
        if ACCELERATOR_BASE <= address < ACCELERATOR_BASE + ACCELERATOR_BYTES:
            return self._loaded().read(address - ACCELERATOR_BASE)
        if INTERRUPTS_BASE <= address < INTERRUPTS_BASE + INTERRUPTS_BYTES:
            return self._controller.read(address - INTERRUPTS_BASE)
        return self.clocks.read(address)

    def _write(self, address: int, value: int) -> None:
        if ACCELERATOR_BASE <= address < ACCELERATOR_BASE + ACCELERATOR_BYTES:
            self._loaded().write(address - ACCELERATOR_BASE, value)
        elif INTERRUPTS_BASE <= address < INTERRUPTS_BASE + INTERRUPTS_BYTES:
            self._controller.write(address - INTERRUPTS_BASE, value)
        elif any(bank <= address < bank + BANK_BYTES for bank in (CRL_APB, CRF_APB)):
            self.clocks.write(address, value)

    def _loaded(self) -> Fabric:
        if self.fabric is None:
            raise InputError("nothing is loaded; load an overlay first")
        if self.clocks.mhz != self._clocked_mhz:
            self._clocked_mhz = self.clocks.mhz
            self.fabric.retime(self._timing())
        return self.fabric


def _host(address: int, size: int) -> Array:
    """Return the bytes of a host buffer at a virtual address, as a cache sees them."""
    memory = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(memoryview(memory), dtype=np.uint8)
