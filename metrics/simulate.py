"""Rows of the accelerator without a board: the timing model, checked against the RTL.

The clock and the DRAM are those of the board that carries the configuration; how far the model lies
from the RTL is measured by ``benchmarks/cycle_model.py``.
"""

from __future__ import annotations

from dataclasses import replace

from heterolith import boards
from heterolith.boards import Device, Platform
from heterolith.errors import unknown_name
from heterolith.metrics.estimate import layer_cost
from heterolith.metrics.profile import Cost
from heterolith.sw import offload
from heterolith.sw.network import Network


def carrier(config: str) -> tuple[Platform, Device]:
    """Return the first board whose fabric carries a named configuration, and its FPGA.

    Raises
    ------
    InputError
        If no board does.
    """
    found: dict[str, tuple[Platform, Device]] = {}
    for name in boards.names():
        platform = boards.load(name)
        for device in platform.devices:
            if device.kind == "fpga":
                found.setdefault(device.array, (platform, device))
    if config not in found:
        raise unknown_name("configuration of a board", config, found)
    return found[config]


def simulate_fpga(
    network: Network, config: str
) -> tuple[tuple[Cost, ...], tuple[tuple[str, str], ...]]:
    """Return simulated rows of the layers that the accelerator computes, and (layer, why not).

    Raises
    ------
    InputError
        If no board carries the configuration.
    """
    platform, device = carrier(config)
    rows, refused = [], []
    for layer in network.layers:
        reason = offload.support(network, layer)
        if reason:
            refused.append((layer.name, reason))
            continue
        cost = layer_cost(network, layer, platform, device)
        rows.append(replace(cost, source="simulated", point=f"{device.mhz:g} MHz"))
    return tuple(rows), tuple(refused)
