"""The overlay: manifest and handoff file per board, and its build by Vivado."""

from heterolith.hw.overlay.boards import PYNQ_NAMES, SIMULATED, array, clocking, expected

__all__ = ["PYNQ_NAMES", "SIMULATED", "array", "clocking", "expected"]
