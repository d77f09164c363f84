"""Power and energy: rails, sampling, integration. Door: `find`, `Recorder`, `measure_energy`."""

from heterolith.metrics.power.energy import (
    Energy,
    Recording,
    by_rail,
    idle_power,
    integrate,
    until_deadline,
    window_energy,
)
from heterolith.metrics.power.rails import (
    PynqRails,
    Rails,
    RaplRails,
    SimulatedRails,
    SysfsRails,
    find,
    hwmon,
    jetson,
)
from heterolith.metrics.power.sampling import Recorder, Schedule, measure_energy

__all__ = [
    "Energy",
    "PynqRails",
    "Rails",
    "RaplRails",
    "Recorder",
    "Recording",
    "Schedule",
    "SimulatedRails",
    "SysfsRails",
    "by_rail",
    "find",
    "hwmon",
    "idle_power",
    "integrate",
    "jetson",
    "measure_energy",
    "until_deadline",
    "window_energy",
]
