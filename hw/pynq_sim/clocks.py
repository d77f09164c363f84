"""The clock registers of a Zynq UltraScale+: what ``pynq.Clocks`` reads and writes.

Register addresses and fields are those of AMD UG1087 as PYNQ uses them: PLL multipliers in
CRL_APB and CRF_APB, and two 6-bit divisors for each PL clock, which therefore takes discrete steps.
"""

from __future__ import annotations

from heterolith.hw.overlay.handoff import REFERENCE_MHZ, Clocking

CRL_APB, CRF_APB = 0xFF5E_0000, 0xFD1A_0000
BANK_BYTES = 0x100

IOPLL_CTRL, RPLL_CTRL, PL0_REF_CTRL = 0x20, 0x30, 0xC0
APLL_CTRL, DPLL_CTRL, VPLL_CTRL, ACPU_CTRL = 0x20, 0x2C, 0x38, 0x60

_MULTIPLIER_LSB, _DIVISOR0_LSB, _DIVISOR1_LSB = 8, 8, 16
_SIX_BITS = 0x3F
_SOURCES = {"IOPLL": (IOPLL_CTRL, 0), "RPLL": (RPLL_CTRL, 2)}
"""Control register of a PLL, and its number in a PL clock's SRCSEL."""


class Clocks:
    """Two banks of registers that hold what is written."""

    def __init__(self, clocking: Clocking) -> None:
        pl_pll, cpu_pll = clocking.pl_pll << _MULTIPLIER_LSB, clocking.cpu_pll << _MULTIPLIER_LSB
        register, selected = _SOURCES[clocking.source]
        divisors = clocking.divisor << _DIVISOR0_LSB | 1 << _DIVISOR1_LSB
        self._values = {CRL_APB + PL0_REF_CTRL + 4 * n: divisors | selected for n in range(4)}
        self._values[CRL_APB + register] = pl_pll
        self._values |= {CRF_APB + pll: cpu_pll for pll in (APLL_CTRL, DPLL_CTRL, VPLL_CTRL)}
        self._values[CRF_APB + ACPU_CTRL] = 2 << _DIVISOR0_LSB
        self._pll_mhz = REFERENCE_MHZ * clocking.pl_pll

    @property
    def mhz(self) -> float:
        """PL clock 0; a divisor of 0 divides by 1, as the hardware does."""
        value = self._values[CRL_APB + PL0_REF_CTRL]
        divisors = (value >> lsb & _SIX_BITS for lsb in (_DIVISOR0_LSB, _DIVISOR1_LSB))
        first, second = (max(divisor, 1) for divisor in divisors)
        return self._pll_mhz / (first * second)

    def read(self, address: int) -> int:
        """Return a register; 0 where none stands."""
        return self._values.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """Write a register."""
        self._values[address] = value
