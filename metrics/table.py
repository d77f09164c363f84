"""Costs of a whole network: layer x device x operating point, in arrays.

A device with a fitted model gets the model's figures; the rest keep `estimate`'s, which hold at the
nominal point alone. Domains of a platform are matched to clocks by name: ``gpu`` drives the GPU,
``emc`` the DRAM, the first other one the CPU, which also starts kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heterolith import boards
from heterolith.boards import Device, OperatingPoint, Platform
from heterolith.metrics.estimate import layer_cost
from heterolith.metrics.models import Samples, Stored, network_samples
from heterolith.metrics.models.costmodel import UNKNOWN
from heterolith.metrics.models.samples import CLOCKS
from heterolith.sw import offload
from heterolith.sw.network import Network

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTable:
    """Latency, its interval and energy of L layers on D devices at P points.

    Attributes
    ----------
    layers, devices
        Names, L and D of them.
    points
        The operating points; ``None`` is the nominal one.
    latency_ns, low_ns, high_ns, energy_pj
        Float64 arrays of shape (L, D, P); NaN where a device cannot compute a layer, or nothing is
        known at a point. Energy is dynamic, above the platform's idle power.
    sources
        Source of each device's figures.
    outside
        Why a figure lies outside its model's fitted range, or is missing: object array of str of
        shape (L, D, P), ``""`` where all is well.
    """

    layers: tuple[str, ...]
    devices: tuple[str, ...]
    points: tuple[OperatingPoint | None, ...]
    latency_ns: Floats
    low_ns: Floats
    high_ns: Floats
    energy_pj: Floats
    sources: tuple[str, ...]
    outside: NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One device's part of a table, shapes (L, P)."""

    latency_ns: Floats
    low_ns: Floats
    high_ns: Floats
    energy_pj: Floats
    source: str
    outside: NDArray[np.object_]


def cost_table(
    network: Network,
    platform: Platform,
    models: Mapping[str, Stored],
    points: Sequence[OperatingPoint | None] = (None,),
    work: Samples | None = None,
) -> CostTable:
    """Cost every layer on every device at some operating points.

    Parameters
    ----------
    models
        Device name, or device name and metric as ``gpu.power`` -> fitted model.
    points
        Of ``platform.operating_points()``; ``None`` is the nominal point.
    work
        `network_samples` of the network, to save making it again.
    """
    work = network_samples(network) if work is None else work
    columns = []
    for device in platform.devices:
        latency, power = models.get(device.name), models.get(f"{device.name}.power")
        if latency is None:
            columns.append(_data_sheet(network, platform, device, points))
        else:
            columns.append(_fitted(work, platform, device, points, (latency, power)))

    def stack(name: str) -> NDArray[Any]:
        return np.stack([getattr(column, name) for column in columns], axis=1)

    return CostTable(
        layers=tuple(layer.name for layer in network.layers),
        devices=tuple(device.name for device in platform.devices),
        points=tuple(points),
        latency_ns=stack("latency_ns"),
        low_ns=stack("low_ns"),
        high_ns=stack("high_ns"),
        energy_pj=stack("energy_pj"),
        sources=tuple(column.source for column in columns),
        outside=stack("outside"),
    )


def clocks_of(
    platform: Platform, device: Device, points: Sequence[OperatingPoint | None]
) -> dict[str, Floats]:
    """Return core, memory and host clock, MHz, of a device at each point; NaN where not known."""
    owners = _owners(platform.boards)
    own = [domain for domain in platform.dvfs if owners.get(domain.name) == device.board]
    kinds = {domain.name: _kind(domain.name) for domain in own}
    cpu = next((d.name for d in own if kinds[d.name] == "cpu"), "")
    drives = {"core_mhz": cpu if device.kind == "cpu" else "", "host_mhz": cpu, "memory_mhz": ""}
    for name, kind in kinds.items():
        if kind == "memory":
            drives["memory_mhz"] = name
        elif kind == device.kind == "gpu":
            drives["core_mhz"] = name
    index = {domain.name: position for position, domain in enumerate(platform.dvfs)}
    highest = {domain.name: domain.mhz[-1] for domain in own}
    clocks = {}
    for clock, domain in drives.items():
        nominal = device.mhz if clock == "core_mhz" else highest.get(domain, np.nan)
        clocks[clock] = np.array(
            [nominal if p is None or not domain else p.mhz[index[domain]] for p in points]
        )
    return clocks


@cache
def _owners(names: tuple[str, ...]) -> dict[str, str]:
    """Return domain -> board, of boards joined in this order (`heterolith.boards.join`)."""
    owners: dict[str, str] = {}
    for board in names:
        for domain in boards.load(board).dvfs:
            owners[f"{board}.{domain.name}" if domain.name in owners else domain.name] = board
    return owners


def _kind(domain: str) -> str:
    name = domain.rpartition(".")[2]
    return {"gpu": "gpu", "emc": "memory"}.get(name, "cpu")


def _data_sheet(
    network: Network,
    platform: Platform,
    device: Device,
    points: Sequence[OperatingPoint | None],
) -> _Column:
    shape = (len(network.layers), len(points))
    latency, energy = np.full(shape, np.nan), np.full(shape, np.nan)
    outside = np.full(shape, "", dtype=object)
    nominal = np.array([point is None for point in points])
    outside[:, ~nominal] = "no fitted model: a data sheet holds at the nominal point alone"
    source = "data-sheet"
    for row, layer in enumerate(network.layers):
        reason = offload.support(network, layer) if device.kind == "fpga" else ""
        if reason:
            outside[row] = reason
            continue
        cost = layer_cost(network, layer, platform, device)
        latency[row, nominal], energy[row, nominal] = cost.latency_ns, cost.energy_pj
        source = cost.source
    return _Column(
        latency_ns=latency,
        low_ns=np.where(np.isnan(latency), np.nan, 0.0),
        high_ns=np.where(np.isnan(latency), np.nan, np.inf),
        energy_pj=energy,
        source=source,
        outside=outside,
    )


def _fitted(
    work: Samples,
    platform: Platform,
    device: Device,
    points: Sequence[OperatingPoint | None],
    models: tuple[Stored, Stored | None],
) -> _Column:
    latency, power = models
    variants = latency.model.labels_.get("variant", ())
    if variants and "fp32" not in variants:
        work = replace(work, labels={**work.labels, "variant": np.full(len(work), variants[0])})
    clocks = clocks_of(platform, device, points)
    known = {n: column for n, column in clocks.items() if n in latency.model.physics_.reference}
    keys = np.stack([clocks[name] for name in CLOCKS], axis=1)
    distinct, first, member = np.unique(
        np.nan_to_num(keys), axis=0, return_index=True, return_inverse=True
    )
    member = member.reshape(-1)
    rows = np.repeat(np.arange(len(work)), len(distinct))
    query = replace(
        work.take(rows), clocks={n: np.tile(c[first], len(work)) for n, c in known.items()}
    )
    shape = (len(work), len(distinct))
    value = latency.model.physics_.predict(query)
    low, high = latency.model.spread_.bounds(value, query.labels["family"])
    busy = work.total("calls") > 0  # a view starts nothing
    at = {"value": value, "low": low, "high": high}
    tables = {
        name: np.where(busy[:, None], array.reshape(shape), 0.0) for name, array in at.items()
    }
    outside = _outside(work, latency, clocks, first)
    flagged = (outside != "") & busy[:, None]
    unknown = np.array([[UNKNOWN in reason for reason in row] for row in outside]) & busy[:, None]
    tables["value"] = np.where(unknown, np.nan, tables["value"])
    tables["low"] = np.where(flagged, 0.0, tables["low"])
    tables["high"] = np.where(flagged, np.inf, tables["high"])
    energy = _energy(query, tables["value"], power, platform, device)
    nominal = np.array([point is None for point in points])
    full = energy[:, member]
    if power is None:
        full = np.where(nominal, full, np.nan)
    return _Column(
        latency_ns=tables["value"][:, member],
        low_ns=tables["low"][:, member],
        high_ns=tables["high"][:, member],
        energy_pj=full,
        source="fitted",
        outside=np.where(busy[:, None], outside, "")[:, member],
    )


def _energy(
    query: Samples, value: Floats, power: Stored | None, platform: Platform, device: Device
) -> Floats:
    """Return dynamic energy, pJ: fitted power less idle, else the data sheet's, times latency."""
    if power is None:
        return np.asarray(device.active_w * 1e3 * value)
    timed = replace(query, targets={"latency": np.maximum(value.reshape(-1), 1e-9)})
    watts = power.model.physics_.predict(timed).reshape(value.shape)
    return np.asarray(np.maximum(watts - platform.idle_w, 0.0) * 1e3 * value)


def _outside(
    work: Samples, stored: Stored, clocks: Mapping[str, Floats], first: NDArray[np.intp]
) -> NDArray[np.object_]:
    """Return why each (layer, distinct clocks) lies outside the fitted range, shape (L, U)."""
    model = stored.model
    by_layer = np.array(model.outside(work), dtype=object)
    by_point = np.full(len(first), "", dtype=object)
    for name, column in clocks.items():
        values = column[first]
        if name not in model.ranges_:
            changes = np.isfinite(values) & (values != np.nanmax(np.append(column, -np.inf)))
            by_point[changes] = f"{name} was never varied in the fit"
            continue
        low, high = model.ranges_[name]
        far = (values < low) | (values > high)
        by_point[far] = f"{name} is beyond the fitted {low:g} to {high:g}"
    return np.where(by_layer[:, None] != "", by_layer[:, None], by_point[None, :])
