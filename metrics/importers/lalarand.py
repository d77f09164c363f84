"""Per-layer times that were published with LaLaRAND's development code, as profile rows.

Layers are known by their index in the darknet configuration, not by shape: the rows serve tables
and schedules, not fits. Times are those of an NVIDIA Jetson; which clocks it ran at is not
published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heterolith.errors import InputError
from heterolith.metrics.profile import Cost, LinkCost

UNIT_NS = {"V1": 10_000, "V2": 10_000, "V3": 1_000}
"""Unit of each table; that of V3 is inferred from its totals."""
TRANSFER_UNIT_NS = 1_000


def read(path: Path, table: str = "V2") -> dict[str, tuple[Cost, ...]]:
    """Return network -> rows of its layers on ``cpu`` and ``gpu``.

    Parameters
    ----------
    path
        A JSON file with the object ``lalarand_dev_profiles``.
    table
        ``V1``, ``V2`` or ``V3``.

    Raises
    ------
    InputError
        If the file or the table is missing.
    """
    return {
        network: tuple(
            _cost(f"{index}", device, value * UNIT_NS[table])
            for device, times in sorted(devices.items())
            for index, value in enumerate(times)
        )
        for network, devices in _table(path, table).items()
    }


def read_transfers(path: Path) -> dict[str, tuple[LinkCost, ...]]:
    """Return network -> time to move each layer's output between GPU and CPU, both ways."""
    found: dict[str, list[LinkCost]] = {}
    for name, origin, target in (("G2C", "gpu", "cpu"), ("C2G", "cpu", "gpu")):
        for network, times in _table(path, name).items():
            found.setdefault(network, []).extend(
                LinkCost(
                    tensor=f"{index}",
                    origin=origin,
                    target=target,
                    link="gpu-cpu",
                    bytes=0,
                    latency_ns=value * TRANSFER_UNIT_NS,
                    energy_pj=0,
                    source="measured",
                )
                for index, value in enumerate(times)
            )
    return {network: tuple(costs) for network, costs in found.items()}


def _table(path: Path, name: str) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}") from error
    tables: Mapping[str, Any] = data.get("lalarand_dev_profiles", {})
    if name not in tables:
        raise InputError(f"{path} has no table {name!r} under lalarand_dev_profiles")
    found: Mapping[str, Any] = tables[name]
    return found


def _cost(layer: str, device: str, latency_ns: int) -> Cost:
    return Cost(
        layer=layer,
        op="",
        device=device,
        point="nominal",
        variant="fp32",
        latency_ns=latency_ns,
        energy_pj=None,
        peak_bytes=0,
        weight_bytes=0,
        source="measured",
    )
