"""How many cycles the accelerator takes. Door: `simulate` a command stream, or `job_cycles`."""

from heterolith.hw.timing.events import Dram, dram_of
from heterolith.hw.timing.timeline import Program, Run, compute_cycles, job_cycles, simulate

__all__ = ["Dram", "Program", "Run", "compute_cycles", "dram_of", "job_cycles", "simulate"]
