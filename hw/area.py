"""What a configuration takes of an FPGA: LUT, FF, DSP and block RAM, without synthesis.

DSP slices and block RAMs are counted: multipliers by module, memories by the shapes a 36 Kb block
has (AMD UG473 table 1-11, UG573 table 1-12). Processing elements are counted too, at the LUTs and
flip-flops that synthesis gives one. What stands around them is linear in structural counts
(`features`) with coefficients that are not negative, fitted to synthesis with Yosys by
``benchmarks/area_model.py``; ``area_model.json`` has them with their errors on configurations that
were left out. As Yosys' own, LUTs are an upper bound: no place and route.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from heterolith.boards.platform import Fabric
from heterolith.hw.config import REQUANTIZER_DSP, ArrayConfig
from heterolith.hw.geometry import OUTPUT_WORDS, Geometry, geometry

COEFFICIENTS = Path(__file__).parent / "area_model.json"
FAMILIES = ("xc7", "xcup")
FIELDS = ("lut", "ff", "dsp", "bram36")

BLOCK_SHAPES = ((512, 72), (1024, 36), (2048, 18), (4096, 9), (8192, 4), (16384, 2), (32768, 1))
"""Words and bits of a 36 Kb block with one write and one read port; a half has half the bits."""

HALF_BITS = 18
"""Narrowest block whose half is used for what is left of a width."""

WALKER_DSP = 9
"""Products of sizes in the address walkers."""

SUB_BLOCK_DSP = 2
"""More of them where a pass computes several channel blocks, again where no shift does it."""


@dataclass(frozen=True, slots=True)
class Area:
    """Resources of a build; ``bram36`` counts 36 Kb blocks, a half is an 18 Kb one."""

    lut: float
    ff: float
    dsp: int
    bram36: float

    def shares(self, fabric: Fabric) -> dict[str, float]:
        """Return the share of a part that each resource takes, by field."""
        return {name: getattr(self, name) / getattr(fabric, name) for name in FIELDS}


def family(fabric: Fabric) -> str:
    """Return the family of a part as Yosys names it."""
    return "xc7" if fabric.part.startswith("xc7") else "xcup"


def block_rams(width: int, words: int) -> float:
    """Return the 36 Kb blocks of a memory of ``words`` words of ``width`` bits."""
    return min(
        math.ceil(words / depth) * (width // bits + _rest(width % bits, bits))
        for depth, bits in BLOCK_SHAPES
    )


def _rest(left: int, bits: int) -> float:
    if not left:
        return 0.0
    return 0.5 if bits >= HALF_BITS and left <= bits // 2 else 1.0


def bram36(g: Geometry) -> float:
    """Return the block RAMs of a build; parameters, windows and queues are distributed memory."""
    word = 8 * g.lanes
    return (
        g.pixels * block_rams(word, g.activation_words)
        + g.n_pe * block_rams(word, g.weight_words)
        + block_rams(32 * g.n_pe * g.pixels, g.accumulator_words)
        + block_rams(word, OUTPUT_WORDS)
    )


def elements(g: Geometry) -> int:
    """Return how many times the array has the module ``pe``: one for two pixels."""
    return g.n_pe * g.pixels // 2


def dsp(g: Geometry) -> int:
    """Return the DSP slices of a build."""
    blocks = g.sub_blocks
    walkers = WALKER_DSP + SUB_BLOCK_DSP * ((blocks > 1) + (blocks & (blocks - 1) > 0))
    return elements(g) * g.lanes + REQUANTIZER_DSP * g.requantizers + walkers


def features(g: Geometry, target: str) -> dict[str, float]:
    """Return the counts that LUTs and flip-flops around the elements are linear in.

    The families differ in one: on xcup Yosys leaves the registers of a product outside its slice.
    """
    return {
        "build": 1.0,
        "bus_lanes": g.lanes,
        "slot_lanes": g.pixels * g.lanes,
        "sums": g.n_pe * g.pixels,
        "requantizers": g.requantizers,
        "requantizers_xcup": g.requantizers * (target == "xcup"),
    }


@cache
def _model() -> dict[str, Any]:
    model: dict[str, Any] = json.loads(COEFFICIENTS.read_text(encoding="utf-8"))
    return model


def area(config: ArrayConfig, target: str) -> Area:
    """Return the area of a configuration in a family, one of `FAMILIES`.

    Raises
    ------
    InputError
        If the command set has no form for the configuration (`geometry`).
    """
    g, model = geometry(config), _model()
    counts, per_element = features(g, target), model["element"][target][str(g.lanes)]
    fabric = {
        name: elements(g) * per_element[name]
        + sum(model[name][key] * count for key, count in counts.items())
        for name in ("lut", "ff")
    }
    return Area(lut=fabric["lut"], ff=fabric["ff"], dsp=dsp(g), bram36=bram36(g))
