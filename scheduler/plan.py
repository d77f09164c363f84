"""The plan: who computes which layer, when, and the proof. One JSON file.

Needs the standard library alone, so that a board reads it. The schema is versioned by
`SCHEMA`; a file of another version is refused.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from heterolith.errors import InputError

SCHEMA = "heterolith-plan/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """What another choice of one layer would have cost, everything else as planned.

    ``objective`` is the whole plan's objective with it, in the certificate's unit, or ``None``
    where a tensor has no route; ``blocked`` names the limits it would break, or is empty.
    """

    device: str
    point: str
    variant: str
    latency_ns: int
    energy_pj: int
    objective: float | None
    blocked: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One layer at its place and time; energies are dynamic (above idle)."""

    layer: str
    op: str
    device: str
    point: str
    variant: str
    start_ns: int
    end_ns: int
    energy_pj: int
    source: str = ""
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One link crossing of a tensor."""

    tensor: str
    link: str
    origin: str
    target: str
    bytes: int
    start_ns: int
    end_ns: int
    energy_pj: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointChange:
    """A domain changes its operating point before a layer, with the platform idle."""

    domain: str
    layer: str
    origin: str
    target: str
    start_ns: int
    end_ns: int
    energy_pj: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How good the plan is: no plan of the same problem has an objective below ``lower_bound``.

    ``unit`` is the objective's unit (``mJ``, ``ms``, ``W`` or ``1``); ``gap`` is
    (objective - lower_bound) / objective, 0 for a proved optimum.
    """

    objective: float
    lower_bound: float
    gap: float
    unit: str
    method: str
    runtime_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures of a whole plan; every one can be recomputed from assignments and transfers.

    ``busiest_ns`` is the work of the busiest device or link on one input: the shortest period at
    which inputs can arrive.
    """

    latency_ns: int
    period_ns: int
    energy_pj: int
    idle_energy_pj: int
    average_power_mw: float
    peak_power_mw: int
    memory_bytes: tuple[tuple[str, int], ...]
    busiest_ns: int = 0
    accuracy_loss_ppm: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A feasible placement with its certificate; see the module docstring.

    ``model`` is the path of the ONNX file it was made from, ``fingerprint`` the hash of the
    imported network: a run refuses a network with another one. ``members`` are name and latency in
    ns of each of several networks.
    """

    network: str
    fingerprint: str
    platform: str
    objective: str
    limits: tuple[tuple[str, int], ...]
    metrics: Metrics
    certificate: Certificate
    assignments: tuple[Assignment, ...]
    transfers: tuple[Transfer, ...]
    model: str = ""
    notes: tuple[str, ...] = ()
    changes: tuple[PointChange, ...] = ()
    members: tuple[tuple[str, int], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON data, with the headline figures in user units first."""
        metrics, certificate = self.metrics, self.certificate
        return {
            "schema": SCHEMA,
            "feasible": True,
            "network": self.network,
            "fingerprint": self.fingerprint,
            "model": self.model,
            "platform": self.platform,
            "objective": self.objective,
            "limits": dict(self.limits),
            "latency_ms": metrics.latency_ns / 1e6,
            "energy_mj": metrics.energy_pj / 1e9,
            "average_power_w": metrics.average_power_mw / 1e3,
            "peak_power_w": metrics.peak_power_mw / 1e3,
            "devices_used": list(dict.fromkeys(row.device for row in self.assignments)),
            "certificate": asdict(certificate),
            "metrics": {**asdict(metrics), "memory_bytes": dict(metrics.memory_bytes)},
            "notes": list(self.notes),
            "assignment": [asdict(row) for row in self.assignments],
            "transfers": [asdict(row) for row in self.transfers],
            "changes": [asdict(row) for row in self.changes],
            "members": dict(self.members),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """Rebuild a plan from `to_json` data.

        Raises
        ------
        InputError
            If the data is not a plan of this schema.
        """
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            found = data.get("schema") if isinstance(data, dict) else type(data).__name__
            raise InputError(f"plan schema is {found!r}, this version reads {SCHEMA!r}; plan again")
        try:
            metrics = dict(data["metrics"])
            metrics["memory_bytes"] = tuple(metrics["memory_bytes"].items())
            rows = [
                {**row, "alternatives": tuple(Alternative(**a) for a in row["alternatives"])}
                for row in data["assignment"]
            ]
            return cls(
                network=data["network"],
                fingerprint=data["fingerprint"],
                platform=data["platform"],
                objective=data["objective"],
                limits=tuple(data["limits"].items()),
                metrics=Metrics(**metrics),
                certificate=Certificate(**data["certificate"]),
                assignments=tuple(Assignment(**row) for row in rows),
                transfers=tuple(Transfer(**row) for row in data["transfers"]),
                model=data["model"],
                notes=tuple(data["notes"]),
                changes=tuple(PointChange(**row) for row in data.get("changes", ())),
                members=tuple(data.get("members", {}).items()),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"plan is damaged ({error!r}); plan again") from error

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a plan file; raises `InputError` if it is missing, no JSON or no plan."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"cannot read plan {path}: {error.strerror}") from error
        except ValueError as error:
            raise InputError(f"{path} is not a plan: {error}") from error
        return cls.from_json(data)
