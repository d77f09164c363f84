"""The PYNQ driver of the accelerator: what ``overlay.accelerator`` is.

PYNQ imports this module through the entry point ``pynq.lib`` and binds it by the core's name; it
imports pynq, so nothing else of this package imports it at module level.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pynq

from heterolith import bitstreams
from heterolith.errors import InputError
from heterolith.hw.config import CONFIGS, ArrayConfig
from heterolith.hw.driver.driver import Driver, check_config, identify
from heterolith.hw.driver.pynq_bus import PynqBus
from heterolith.hw.export import command_set
from heterolith.hw.overlay.handoff import VLNV, registers
from heterolith.hw.regmap import offset


class Accelerator(pynq.DefaultIP):  # type: ignore[misc]
    """Registers and jobs of one accelerator.

    ``register_map``, ``read``, ``write`` and ``irq`` are those of every PYNQ core; `open` gives the
    driver.
    """

    bindto = (VLNV,)

    def __init__(self, description: dict[str, Any]) -> None:
        # A packaged core without a register description has none in Vivado's handoff file.
        super().__init__({**description, "registers": registers()})
        self._driver: Driver | None = None
        self._bus: PynqBus | None = None

    def open(self, config: ArrayConfig | None = None) -> Driver:
        """Return the driver; the accelerator is this process's until it is closed.

        Parameters
        ----------
        config
            What the accelerator must be; by default the configuration that it names.

        Raises
        ------
        InputError
            If the bitstream was built from another configuration or command set, or another
            process uses the accelerator.
        """
        if self._driver is not None and self._bus is not None and not self._bus.closed:
            check_config(self._driver.config.fingerprint(), config or self._driver.config)
            return self._driver
        bus = self._bus = PynqBus(self)
        try:
            there = identify(self)
            wanted = config or _known(there)
            manifest = bitstreams.beside(Path(str(self.device.bitfile_name)))
            if manifest is not None:
                manifest.check(wanted.fingerprint(), command_set())
            self._driver = Driver(bus, wanted)
        except BaseException:
            bus.close()
            raise
        return self._driver

    def close(self) -> None:
        """Let other processes in."""
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def read(self, address: int | str = 0) -> int:
        """Return the value of a register, by its offset or its name."""
        return int(self.mmio.read(offset(address) if isinstance(address, str) else address))

    def write(self, address: int | str, value: int) -> None:
        """Write a register, by its offset or its name."""
        self.mmio.write(offset(address) if isinstance(address, str) else address, value)


def _known(config_hash: str) -> ArrayConfig:
    for config in CONFIGS.values():
        if config.fingerprint() == config_hash:
            return config
    raise InputError(
        f"the bitstream was built from configuration {config_hash}, this program knows "
        f"{', '.join(f'{c.fingerprint()} ({c.name})' for c in CONFIGS.values())}; "
        "give its ArrayConfig to open, or build it again: heterolith bitstream build"
    )
