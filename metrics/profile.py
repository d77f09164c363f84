"""The Profile: what every layer costs on every resource, and what every transfer costs.

Each row says where its figure comes from (`SOURCES`) and, where one is known, the interval in which
the true value lies. A profile is data: made by `estimate` (models), by `measure` (this machine) or
read from CSV.
"""

from __future__ import annotations

import csv
import fnmatch
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from io import StringIO
from typing import Any

from heterolith.errors import InputError, unknown_name

SOURCES = ("measured", "simulated", "fitted", "data-sheet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of one layer on one resource at one operating point in one variant.

    Attributes
    ----------
    latency_ns, latency_low_ns, latency_high_ns
        Expected latency and the interval that holds it; the interval is 0 to infinity where the
        model makes no such claim.
    energy_pj
        Dynamic energy above the platform's idle power; ``None`` (an empty CSV cell) where it is not
        known, as for layers timed on a machine without power rails.
    peak_bytes
        Weights, inputs and outputs at the variant's element width.
    accuracy_loss
        Loss in top-1 fraction against float32; ``None`` where it was not measured.
    source
        ``measured``, ``simulated``, ``fitted`` or ``data-sheet``.
    """

    layer: str
    op: str
    device: str
    point: str
    variant: str
    latency_ns: int
    energy_pj: int | None
    peak_bytes: int
    weight_bytes: int
    source: str
    latency_low_ns: float = 0.0
    latency_high_ns: float = math.inf
    accuracy_loss: float | None = None

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise InputError(f"source {self.source!r} is not one of {', '.join(SOURCES)}")
        if self.latency_ns < 0 or (self.energy_pj or 0) < 0:
            raise InputError(f"cost of {self.layer!r} on {self.device!r} is below zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCost:
    """Cost of moving one tensor over one link, as part of a transfer ``origin`` -> ``target``."""

    tensor: str
    origin: str
    target: str
    link: str
    bytes: int
    latency_ns: int
    energy_pj: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Costs of one network on one platform.

    ``unsupported`` lists (layer, device, reason) for pairs that cannot be computed.
    """

    network: str
    fingerprint: str
    platform: str
    costs: tuple[Cost, ...]
    transfers: tuple[LinkCost, ...] = ()
    unsupported: tuple[tuple[str, str, str], ...] = ()

    def costs_of(self, layer: str) -> tuple[Cost, ...]:
        """Return every cost of one layer."""
        return tuple(cost for cost in self.costs if cost.layer == layer)


def pin(profile: Profile, pins: Mapping[str, str]) -> Profile:
    """Return a profile in which some layers can only go to the device they are pinned to.

    Parameters
    ----------
    pins
        Layer name or shell pattern -> device name; the first pattern that matches counts.

    Raises
    ------
    InputError
        If a pattern matches no layer, or the device cannot compute a layer it gets.
    """
    layers = tuple(dict.fromkeys(cost.layer for cost in profile.costs))
    place: dict[str, str] = {}
    for pattern, device in pins.items():
        matched = fnmatch.filter(layers, pattern)
        if not matched:
            raise unknown_name("layer to pin", pattern, layers)
        for layer in matched:
            place.setdefault(layer, device)
    possible = {(cost.layer, cost.device) for cost in profile.costs}
    reasons = {(layer, device): why for layer, device, why in profile.unsupported}
    for layer, device in place.items():
        if (layer, device) not in possible:
            why = reasons.get((layer, device), f"{profile.platform} has no such device")
            raise InputError(f"layer {layer!r} cannot be pinned to {device!r}: {why}")
    kept = tuple(c for c in profile.costs if place.get(c.layer, c.device) == c.device)
    return replace(profile, costs=kept)


def to_csv(costs: Sequence[Cost]) -> str:
    """Return costs as CSV text with a header line."""
    text = StringIO()
    names = [column.name for column in fields(Cost)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[getattr(cost, name) for name in names] for cost in costs])
    return text.getvalue()


def from_csv(text: str) -> tuple[Cost, ...]:
    """Read costs from CSV text.

    Raises
    ------
    InputError
        If a column is missing or a value has the wrong type; the message names the line.
    """
    columns = {column.name: column.type for column in fields(Cost)}
    converters: dict[str, Callable[[str], object]] = {
        "int": int,
        "float": float,
        "str": str,
        "int | None": lambda cell: int(cell) if cell else None,
        "float | None": lambda cell: float(cell) if cell else None,
    }
    costs = []
    for line, row in enumerate(csv.DictReader(StringIO(text)), start=2):
        try:
            values: dict[str, Any] = {n: converters[str(t)](row[n]) for n, t in columns.items()}
            costs.append(Cost(**values))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"profile CSV, line {line}: {error}") from error
    return tuple(costs)
