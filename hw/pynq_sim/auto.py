"""Importing this module makes a simulated board PYNQ's active device."""

from heterolith.hw.pynq_sim import enable

enable()
