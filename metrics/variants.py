"""What variants of layers cost, as further rows of a Profile: two factors stand for one layer.

A low rank costs the sum of its two layers, float16 a roofline at the device's float16 rate and half
the bytes. A row is made only for a variant that is offered, on a device that has its precision, and
only if it is faster there than the layer itself: small layers are launch-bound, and two launches
undo what fewer multiplications save.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from heterolith.boards import Device, Platform
from heterolith.metrics.estimate import base_variant, layer_cost
from heterolith.metrics.profile import Cost
from heterolith.sw.network import Layer, Network
from heterolith.sw.offload import support
from heterolith.sw.variants import Realized, Variant, parse_variant, shapes, why_not


def variant_costs(
    network: Network,
    platform: Platform,
    variants: Sequence[str],
    losses: Mapping[tuple[str, str], float] | None = None,
) -> tuple[Cost, ...]:
    """Return modelled rows of every layer, on every device, in every variant that pays there.

    The layer itself, in the device's own precision, is among them where a loss of it is known: int8
    on the FPGA.

    Parameters
    ----------
    variants
        Names; a low rank means int8 factors on the FPGA, float ones elsewhere.
    losses
        (layer, variant name) -> measured loss. A variant without one has ``accuracy_loss`` None;
        with ``losses`` given only variants that were measured are returned.

    Raises
    ------
    InputError
        If a name is no variant.
    """
    kinds = list(dict.fromkeys(parse_variant(name) for name in variants))
    made = {variant: shapes(network, _offering(network, variant)) for variant in kinds}
    rows = []
    for layer in network.layers:
        for device in platform.devices:
            if device.kind == "fpga" and support(network, layer):
                continue
            exact = layer_cost(network, layer, platform, device)
            if losses is not None and (layer.name, exact.variant) in losses:
                rows.append(replace(exact, accuracy_loss=losses[layer.name, exact.variant]))
            found: dict[str, Cost] = {}
            for variant in kinds:
                row = _row(layer, made[variant], platform, device, variant)
                if row is None or row.latency_ns >= exact.latency_ns:
                    continue
                if losses is None:
                    found[row.variant] = row
                elif (layer.name, row.variant) in losses:
                    loss = losses[layer.name, row.variant]
                    found[row.variant] = replace(row, accuracy_loss=loss)
            rows += found.values()
    return tuple(rows)


def _offering(network: Network, variant: Variant) -> dict[str, Variant]:
    """Return the layers that have a low rank of this share, in float32: shapes are the same."""
    shape = Variant(share=variant.share)
    return {x.name: shape for x in network.layers if not why_not(network, x, shape)}


def _row(
    layer: Layer, shape: Realized, platform: Platform, device: Device, variant: Variant
) -> Cost | None:
    """Return the cost of a layer in a variant on a device, ``None`` if it has none there."""
    precision = base_variant(device) if variant.precision == "fp32" else variant.precision
    if precision == "fp16" and not (device.fp16_gmacs and layer.macs):
        return None
    if precision == "int8" and device.kind != "fpga":
        return None
    if device.kind == "fpga" and precision != "int8":
        return None
    name = Variant(precision=precision, share=variant.share).name
    parts = [x for x in shape.network.layers if shape.origin[x.name] == layer.name]
    if name == base_variant(device) or (variant.share != 1.0 and len(parts) != 2):
        return None
    if device.kind == "fpga" and any(support(shape.network, part) for part in parts):
        return None
    half = precision == "fp16"
    costs = [layer_cost(shape.network, part, platform, device, half=half) for part in parts]
    return replace(
        costs[0],
        layer=layer.name,
        op=layer.op,
        variant=name,
        latency_ns=sum(cost.latency_ns for cost in costs),
        energy_pj=sum(cost.energy_pj or 0 for cost in costs),
        peak_bytes=max(cost.peak_bytes for cost in costs),
        weight_bytes=sum(cost.weight_bytes for cost in costs),
    )
