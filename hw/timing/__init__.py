"""How many cycles the accelerator takes. Door: `simulate` a command stream, `shape_cycles`."""

from heterolith.hw.timing.cycles import Cycles, shape_cycles
from heterolith.hw.timing.timeline import Dram, Run, compute_cycles, simulate

__all__ = ["Cycles", "Dram", "Run", "compute_cycles", "shape_cycles", "simulate"]
