"""A Profile from models: the accelerator's cycle model, rooflines, link bandwidths.

Nothing here is fitted. CPU and GPU rows are rooflines (Williams, Waterman, Patterson, CACM 2009) at
data-sheet peaks, that is lower bounds of what silicon needs. FPGA rows are simulated: cycles of the
layer's commands, compiled and replayed by `heterolith.hw.timing.timeline` at the board's clock and
DRAM bandwidth. Rows measured on a device replace its modelled ones. Energy is dynamic power at full
load times busy time, a bound as far as the load is partial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from heterolith import hw
from heterolith.boards import Device, Link, Platform
from heterolith.errors import InputError, unknown_name
from heterolith.metrics.profile import Cost, LinkCost, Profile
from heterolith.metrics.work import moved_bytes, operations
from heterolith.sw import offload
from heterolith.sw.network import Layer, Network

ELEMENT_BYTES = {"fpga": 1, "cpu": 4, "gpu": 4}
"""Width of an activation in a device's DRAM: int8 codes on the FPGA, float32 elsewhere."""


HALF_BYTES = 2
"""Width of an activation in float16."""


def base_variant(device: Device) -> str:
    """Return the variant in which a device computes what is left unchanged."""
    return "int8" if device.kind == "fpga" else "fp32"


def picojoules(active_w: float, latency_ns: float) -> int:
    """Return the dynamic energy of a busy interval (1 W x 1 ns = 1000 pJ)."""
    return round(active_w * 1e3 * latency_ns)


def _roofline_ns(
    network: Network, layer: Layer, device: Device, bandwidth_gbs: float, width: int
) -> int:
    work, traffic = operations(network, layer), moved_bytes(network, layer, width)
    if not traffic:
        return 0
    peak = device.fp16_gmacs if width == HALF_BYTES else device.fp32_gmacs
    return math.ceil(device.launch_us * 1e3 + max(work / peak, traffic / bandwidth_gbs))


def _fpga_ns(
    network: Network, layer: Layer, device: Device, bandwidth_gbs: float, width: int
) -> int:
    del width
    if layer.op in offload.VIEWS:
        return 0
    config = replace(hw.config(device.array), clock_mhz=device.mhz)
    cycles = offload.layer_cycles(network, layer, config, bandwidth_gbs)
    return math.ceil(device.launch_us * 1e3 + cycles.total * 1e3 / device.mhz)


def layer_cost(
    network: Network, layer: Layer, platform: Platform, device: Device, *, half: bool = False
) -> Cost:
    """Return the modelled cost of one layer on one device at its nominal point.

    Parameters
    ----------
    half
        In float16, on a device that has it.
    """
    bandwidth_gbs = platform.memory_of(device.name).bandwidth_gbs
    model = _fpga_ns if device.kind == "fpga" else _roofline_ns
    width = HALF_BYTES if half else ELEMENT_BYTES[device.kind]
    latency_ns = model(network, layer, device, bandwidth_gbs, width)
    return Cost(
        layer=layer.name,
        op=layer.op,
        device=device.name,
        point="nominal",
        variant=base_variant(device) if not half else "fp16",
        latency_ns=latency_ns,
        energy_pj=picojoules(device.active_w, latency_ns),
        peak_bytes=moved_bytes(network, layer, width),
        weight_bytes=network.weight_bytes(layer, width),
        source="simulated" if device.kind == "fpga" else "data-sheet",
    )


def _hop(tensor: str, hop: tuple[str, str], link: Link, size: int, convert_ns: float) -> LinkCost:
    moving_ns = size * 1e3 / link.bandwidth_mbs + convert_ns
    return LinkCost(
        tensor=tensor,
        origin=hop[0],
        target=hop[1],
        link=link.name,
        bytes=size,
        latency_ns=math.ceil(link.latency_us * 1e3 + moving_ns),
        energy_pj=picojoules(link.active_w, moving_ns),
        source="data-sheet",
    )


def transfer_costs(
    network: Network, platform: Platform, tensor: str, ends: tuple[str, str]
) -> tuple[LinkCost, ...]:
    """Return the cost of each hop of moving one activation between two devices.

    Float32 becomes int8 codes (or back) at the FPGA's end: one byte per element travels, and the
    hop that touches the FPGA also pays for reading and writing the tensor once in DRAM.
    """
    origin, target = (platform.device(name) for name in ends)
    elements, size = network.tensors[tensor].elements, network.tensors[tensor].bytes
    converted = "fpga" in {origin.kind, target.kind}
    if converted:
        size = elements
    costs = []
    for link in platform.route(*ends):
        at_fpga = any(platform.device(name).kind == "fpga" for name in link.ends)
        memory = platform.memory_of(link.ends[0])
        convert_ns = elements * 5 / memory.bandwidth_gbs if converted and at_fpga else 0.0
        costs.append(_hop(tensor, ends, link, size, convert_ns))
    return tuple(costs)


def _measured(
    rows: Sequence[Cost], platform: Platform, network: Network
) -> Mapping[tuple[str, str], tuple[Cost, ...]]:
    """Return the rows of each layer on each device, one per variant, the last that is given."""
    layers = {layer.name for layer in network.layers}
    devices = {device.name for device in platform.devices}
    found: dict[tuple[str, str], dict[str, Cost]] = {}
    for row in rows:
        if row.device not in devices:
            raise unknown_name("device in the profile", row.device, devices)
        if row.layer not in layers:
            raise InputError(
                f"profile row {row.layer!r} is no layer of {network.name}; profile this model again"
            )
        found.setdefault((row.layer, row.device), {})[row.variant] = row
    return {key: tuple(variants.values()) for key, variants in found.items()}


def estimate(network: Network, platform: Platform, measured: Sequence[Cost] = ()) -> Profile:
    """Cost every layer on every device and every transfer on every link.

    Parameters
    ----------
    measured
        Rows that replace modelled ones, one per variant of a layer on a device. Where a row has no
        energy, data-sheet power times its latency stands in.

    Raises
    ------
    InputError
        If a measured row names a device or a layer that does not exist.
    """
    replaced = _measured(measured, platform, network)
    costs: list[Cost] = []
    unsupported = []
    for layer in network.layers:
        for device in platform.devices:
            reason = offload.support(network, layer) if device.kind == "fpga" else ""
            if reason:
                unsupported.append((layer.name, device.name, reason))
                continue
            given = replaced.get((layer.name, device.name), ())
            if base_variant(device) not in {row.variant for row in given}:
                costs.append(layer_cost(network, layer, platform, device))
            costs += given
    names = [device.name for device in platform.devices]
    transfers = [
        cost
        for tensor in network.tensors
        for origin in names
        for target in names
        if origin != target
        for cost in transfer_costs(network, platform, tensor, (origin, target))
    ]
    return Profile(
        network=network.name,
        fingerprint=network.fingerprint(),
        platform=platform.name,
        costs=tuple(costs),
        transfers=tuple(transfers),
        unsupported=tuple(unsupported),
    )
