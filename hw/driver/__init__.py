"""The driver of the accelerator: `Driver` over a `Bus`; RTL and HLS model are buses in process."""

from heterolith.hw.driver.bus import Buffer, Bus
from heterolith.hw.driver.driver import Driver, PlacedJob, identify
from heterolith.hw.driver.fabric import Fabric, RtlBus
from heterolith.hw.driver.model import ModelBus

__all__ = ["Buffer", "Bus", "Driver", "Fabric", "ModelBus", "PlacedJob", "RtlBus", "identify"]
