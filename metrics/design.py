"""Costs of a network on an accelerator that is itself a choice: any `ArrayConfig` and clock.

A board's file gives the dynamic power of one build at one clock. Power of another is taken in
proportion to its clock and to the mean of the LUT, FF, DSP and block RAM it has of that build's
(`heterolith.hw.area`): capacitance that switches, at the supply voltage that stays. Assumed, not
measured. Latency is `estimate`'s cycle model; `Screen` has its closed form for many clocks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from heterolith import hw
from heterolith.boards import Device, Platform
from heterolith.errors import InputError
from heterolith.hw.area import FIELDS, area, family
from heterolith.hw.compiler.screen import screened_cycles
from heterolith.metrics.estimate import estimate, picojoules
from heterolith.metrics.profile import Cost, Profile
from heterolith.sw import offload
from heterolith.sw.network import Network

Floats = npt.NDArray[np.float64]
Key = tuple[hw.Shape, bool]


def build_power_w(config: hw.ArrayConfig, device: Device, mhz: float) -> float:
    """Return the dynamic power of a build at a clock, by the proportion of the module docstring."""
    if device.fabric is None:
        raise InputError(f"device {device.name} has no fabric to build an accelerator in")
    target = family(device.fabric)
    own, known = area(config, target), area(hw.config(device.array), target)
    parts = [getattr(own, name) / getattr(known, name) for name in FIELDS]
    return float(device.active_w * mhz / device.mhz * sum(parts) / len(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A network's costs on a platform with the board's own accelerator, ready to be changed.

    ``keys`` has shape and residual of each row in ``rows``: the layers that take FPGA time.
    ``corrections`` is replayed over closed-form cycles of each row on the board's own build.
    """

    network: Network
    platform: Platform
    device: Device
    profile: Profile
    rows: tuple[Cost, ...]
    keys: tuple[Key, ...]
    corrections: Floats

    @property
    def dram_gbs(self) -> float:
        """Bandwidth of the FPGA's DRAM, 1e9 bytes per second."""
        return self.platform.memory_of(self.device.name).bandwidth_gbs

    def with_latencies(self, latencies_ns: Sequence[int], power_w: float) -> Profile:
        """Return the profile with other latencies of ``rows`` and energies at a power."""
        changed = {
            row.layer: replace(row, latency_ns=ns, energy_pj=picojoules(power_w, ns))
            for row, ns in zip(self.rows, latencies_ns, strict=True)
        }
        costs = tuple(
            changed.get(cost.layer, cost) if cost.device == self.device.name else cost
            for cost in self.profile.costs
        )
        return replace(self.profile, costs=costs)

    def build(self, config: hw.ArrayConfig) -> Profile:
        """Return the profile with a configuration at its clock in place of the board's own.

        A layer that no cut of its buffers holds is taken out of the FPGA's.
        """
        latencies, unfit = [], set()
        for row, (shape, residual) in zip(self.rows, self.keys, strict=True):
            try:
                cycles = hw.shape_cycles(shape, config, self.dram_gbs, residual=residual).total
            except InputError:
                unfit.add(row.layer)
                cycles = 0
            latencies.append(self.latency_ns(cycles, config.clock_mhz))
        power_w = build_power_w(config, self.device, config.clock_mhz)
        made = self.with_latencies(latencies, power_w)
        kept = (c for c in made.costs if c.device != self.device.name or c.layer not in unfit)
        gone = ((name, self.device.name, f"no cut fits {config.name}") for name in sorted(unfit))
        return replace(made, costs=tuple(kept), unsupported=(*made.unsupported, *gone))

    def latency_ns(self, cycles: float, mhz: float) -> int:
        """Return the latency of a layer of so many cycles."""
        return math.ceil(self.device.launch_us * 1e3 + cycles * 1e3 / mhz)

    def screened_ns(self, config: hw.ArrayConfig, clocks_mhz: Sequence[float]) -> Floats:
        """Return latencies by the corrected closed form, shape (clocks, rows).

        Infinite where no cut of a layer fits the buffers.
        """
        cycles = _closed_form(self.keys, config, self.dram_gbs, clocks_mhz) * self.corrections
        per_cycle = 1e3 / np.array(clocks_mhz)[:, None]
        found: Floats = self.device.launch_us * 1e3 + cycles * per_cycle
        return found


def _closed_form(
    keys: Sequence[Key], config: hw.ArrayConfig, dram_gbs: float, clocks_mhz: Sequence[float]
) -> Floats:
    """Return the closed-form cycles, shape (clocks, rows)."""
    seen = {
        key: screened_cycles(key[0], config, dram_gbs, clocks_mhz, key[1])
        for key in dict.fromkeys(keys)
    }
    return np.stack([seen[key] for key in keys], axis=1)


def offer(network: Network, platform: Platform, device: Device) -> Offer:
    """Return the costs of a network on a platform, open to other builds of one FPGA.

    Raises
    ------
    InputError
        If the FPGA computes no layer of the network.
    """
    profile = estimate(network, platform)
    layers = {layer.name: layer for layer in network.layers}
    rows, keys = [], []
    for cost in profile.costs:
        if cost.device != device.name or cost.op in offload.VIEWS:
            continue
        layer = layers[cost.layer]
        rows.append(cost)
        keys.append((offload.shape_of(network, layer), bool(layer.residual)))
    if not rows:
        raise InputError(f"the FPGA computes no layer of {network.name}; there is nothing to build")
    config, gbs = hw.config(device.array), platform.memory_of(device.name).bandwidth_gbs
    closed = _closed_form(keys, config, gbs, (device.mhz,))[0]
    launch_ns = device.launch_us * 1e3
    replayed = np.array([row.latency_ns - launch_ns for row in rows]) * device.mhz / 1e3
    return Offer(
        network=network,
        platform=platform,
        device=device,
        profile=profile,
        rows=tuple(rows),
        keys=tuple(keys),
        corrections=replayed / closed,
    )
