"""Power rails of the simulated board: what ``pynq.get_rails`` and ``DataRecorder`` read.

A rail shows the idle power of the board's file; the accelerator's adds the board's ``active_w``
while a job runs, scaled by the PL clock. That is the power model of plans (docs/decisions/0007),
not a measurement: it knows nothing of the data or of the layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from heterolith.boards.platform import Platform

PARENTS: tuple[()] = ()


@dataclass(frozen=True, eq=False, slots=True)
class PowerSensor:
    """A sensor as PYNQ has them; ``watts`` computes its value."""

    name: str
    watts: Callable[[], float]
    parents: tuple[()] = PARENTS

    @property
    def value(self) -> float:
        """Watts now."""
        return self.watts()

    def get_value(self, parents: Any = None) -> float:  # noqa: ANN401
        """Return watts now."""
        del parents
        return self.watts()

    def __repr__(self) -> str:
        return f"Sensor {{name={self.name}, value={self.value}W}}"


def sensors(platform: Platform, load: Callable[[], float]) -> dict[str, PowerSensor]:
    """Return the power sensor of each rail.

    Parameters
    ----------
    load
        Share of the accelerator's ``active_w`` drawn now: 0 if idle, 1 at the nominal clock.
    """
    active_w = platform.device("fpga").active_w
    loaded = [rail.name for rail in platform.rails if rail.device == "fpga"]
    carrier = (loaded or [rail.name for rail in platform.rails])[0]

    def watts(name: str, idle_w: float) -> Callable[[], float]:
        if name != carrier:
            return lambda: idle_w
        return lambda: idle_w + active_w * load()

    return {
        rail.name: PowerSensor(f"{rail.name}_power", watts(rail.name, rail.idle_w))
        for rail in platform.rails
    }
