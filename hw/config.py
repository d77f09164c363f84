"""Sizes and widths of the accelerator: the one source that RTL, HLS and models read.

An `ArrayConfig` is a point in the design space of the processing-element array: ``n_pe`` output
channels times ``pixels`` output pixels times ``lanes`` reduction lanes work at once. Two int8
products that share an operand take one DSP slice: ``(a1 * 2**16 + a0) * b`` fits the 25 x 18
multiplier of a DSP48E1 as well as the 27 x 18 one of a DSP48E2 (Xilinx WP486 packs the same pair at
18 bits). Invariant: a config that exists is valid; what part it fits is a question to `misfit`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from hashlib import sha256

from heterolith.boards.platform import Fabric
from heterolith.errors import InputError, unknown_name

BRAM36_WORDS = 512
"""Depth of a 36 Kb block RAM in simple dual-port mode, 64 data bits wide."""

BRAM36_WORD_BYTES = 8
"""Data bytes of such a word."""

REQUANTIZER_DSP = 3
"""DSP slices of one requantizer: two for the 32 x 17 bit product, one for the residual's 9 x 17."""

_CIRCUIT_FREE = ("name", "clock_mhz")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayConfig:
    """One build of the accelerator.

    Attributes
    ----------
    n_pe
        Processing elements: output channels in parallel.
    pixels
        Output pixels in parallel per processing element; even, since two share a DSP slice.
    lanes
        Reduction lanes: multiply-accumulates per processing element, pixel and cycle. A power of
        two, the fan-in of the adder tree.
    requantizers
        Results scaled to int8 per cycle; elementwise layers run at this rate too.
    weight_buffer_bytes, activation_buffer_bytes, accumulator_buffer_bytes
        On-chip buffers, both halves of the double buffer together.
    axi_data_bits
        Width of the AXI4 master to DRAM, 64 or 128.
    accumulator_bits
        Width of a sum of products; 32 is what `heterolith.hw.fixed` defines.
    clock_mhz
        Clock that the build is meant for.
    """

    name: str
    n_pe: int
    pixels: int
    lanes: int
    requantizers: int
    weight_buffer_bytes: int
    activation_buffer_bytes: int
    accumulator_buffer_bytes: int
    axi_data_bits: int = 64
    accumulator_bits: int = 32
    clock_mhz: float = 100.0

    def __post_init__(self) -> None:
        limits = {
            "n_pe": (1, 256),
            "pixels": (2, 16),
            "lanes": (1, 64),
            "requantizers": (1, self.n_pe * self.pixels),
        }
        for field, (low, high) in limits.items():
            value = getattr(self, field)
            if not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"{field} is {value!r}; it must be an integer in {low}..{high}")
        if self.pixels % 2:
            raise InputError(f"pixels is {self.pixels}; it must be even, two share a DSP slice")
        if self.lanes & (self.lanes - 1):
            raise InputError(f"lanes is {self.lanes}; it must be a power of two")
        if self.axi_data_bits not in (64, 128):
            raise InputError(f"axi_data_bits is {self.axi_data_bits}; it must be 64 or 128")
        if self.accumulator_bits != 32:
            raise InputError(f"accumulator_bits is {self.accumulator_bits}; it must be 32")
        if not 0 < self.clock_mhz < math.inf:
            raise InputError(f"clock_mhz is {self.clock_mhz}; it must be above 0 and finite")
        for buffer, width in self.port_bytes().items():
            size, unit = getattr(self, buffer), width * BRAM36_WORDS
            if not isinstance(size, int) or size <= 0 or size % unit:
                raise InputError(
                    f"{buffer} is {size!r}; it must be a positive multiple of {unit}, "
                    f"{BRAM36_WORDS} words of its {width}-byte port"
                )

    def port_bytes(self) -> dict[str, int]:
        """Return bytes that the array reads per cycle from each buffer, by field name."""
        return {
            "weight_buffer_bytes": self.n_pe * self.lanes,
            "activation_buffer_bytes": self.pixels * self.lanes,
            "accumulator_buffer_bytes": self.n_pe * self.pixels * self.accumulator_bits // 8,
        }

    @property
    def macs_per_cycle(self) -> int:
        """Peak multiply-accumulates per cycle."""
        return self.n_pe * self.pixels * self.lanes

    @property
    def array_dsp(self) -> int:
        """DSP slices of the array alone."""
        return self.macs_per_cycle // 2

    @property
    def dsp(self) -> int:
        """DSP slices of array and requantizers."""
        return self.array_dsp + REQUANTIZER_DSP * self.requantizers

    @property
    def bram36(self) -> int:
        """36 Kb block RAMs of the three buffers, each banked to its port width."""
        blocks = 0
        for buffer, width in self.port_bytes().items():
            words = getattr(self, buffer) // width
            blocks += math.ceil(width / BRAM36_WORD_BYTES) * math.ceil(words / BRAM36_WORDS)
        return blocks

    def misfit(self, fabric: Fabric) -> str:
        """Return why the config does not fit a fabric, or ``""`` if DSP and block RAM suffice.

        Logic and the block RAM of the DMA engines are not counted: they need synthesis.
        """
        for what, need, there in (
            ("DSP slices", self.dsp, fabric.dsp),
            ("36 Kb block RAMs", self.bram36, fabric.bram36),
        ):
            if need > there:
                part = fabric.part or "the part"
                return f"{self.name} needs {need} {what}, {part} has {there}"
        return ""

    def fingerprint(self) -> str:
        """Return a hash over everything that changes the circuit: not the name, not the clock."""
        fields = {k: v for k, v in asdict(self).items() if k not in _CIRCUIT_FREE}
        return sha256(repr(sorted(fields.items())).encode()).hexdigest()[:16]


_KIB = 1024

_ZYNQ7 = {
    "n_pe": 16,
    "pixels": 2,
    "lanes": 8,
    "requantizers": 8,
    "weight_buffer_bytes": 128 * _KIB,
    "activation_buffer_bytes": 128 * _KIB,
    "accumulator_buffer_bytes": 64 * _KIB,
}

CONFIGS = {
    entry.name: entry
    for entry in (
        ArrayConfig(name="pynq-z2", **_ZYNQ7),
        ArrayConfig(name="arty-a7-100t", **_ZYNQ7),
        ArrayConfig(
            name="arty-a7-35t",
            n_pe=8,
            pixels=2,
            lanes=8,
            requantizers=2,
            weight_buffer_bytes=64 * _KIB,
            activation_buffer_bytes=64 * _KIB,
            accumulator_buffer_bytes=32 * _KIB,
        ),
        ArrayConfig(
            name="ultra96",
            n_pe=16,
            pixels=2,
            lanes=16,
            requantizers=16,
            weight_buffer_bytes=256 * _KIB,
            activation_buffer_bytes=256 * _KIB,
            accumulator_buffer_bytes=64 * _KIB,
            axi_data_bits=128,
            clock_mhz=200.0,
        ),
        ArrayConfig(
            name="kv260",
            n_pe=32,
            pixels=2,
            lanes=16,
            requantizers=16,
            weight_buffer_bytes=256 * _KIB,
            activation_buffer_bytes=128 * _KIB,
            accumulator_buffer_bytes=128 * _KIB,
            axi_data_bits=128,
            clock_mhz=200.0,
        ),
        ArrayConfig(
            name="zcu104",
            n_pe=32,
            pixels=4,
            lanes=16,
            requantizers=16,
            weight_buffer_bytes=256 * _KIB,
            activation_buffer_bytes=512 * _KIB,
            accumulator_buffer_bytes=256 * _KIB,
            axi_data_bits=128,
            clock_mhz=200.0,
        ),
    )
}
"""Named configurations; each fits the part of the board it is named after."""


def config(name: str) -> ArrayConfig:
    """Return a named configuration.

    Raises
    ------
    InputError
        If there is none of that name; near matches are in the message.
    """
    if name not in CONFIGS:
        raise unknown_name("accelerator configuration", name, CONFIGS)
    return CONFIGS[name]
