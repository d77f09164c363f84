"""Plans that place low ranks: the rows a plan may choose from, and the network it then runs.

A row of a Profile in a low rank is one choice of one layer, so that the solvers know nothing of it;
only what carries the plan out needs both factors (`realized`). Float16 rows are prices alone: no
plan takes them, since the casts around a layer would have to be placed too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from heterolith.boards import Platform
from heterolith.metrics import Cost
from heterolith.metrics.estimate import base_variant
from heterolith.scheduler.plan import Assignment, Plan
from heterolith.sw.network import Array, Network
from heterolith.sw.variants import Variant, moments_of, parse_variant, rewrite


def plannable(rows: Sequence[Cost], platform: Platform, variants: bool) -> tuple[Cost, ...]:
    """Return the rows that a plan may choose: layers as they are and, if asked for, low ranks."""
    own = {device.name: base_variant(device) for device in platform.devices}
    kept = []
    for row in rows:
        base = own.get(row.device, row.variant)  # an unknown device is refused elsewhere
        low = variants and row.variant != base and parse_variant(row.variant).share != 1.0
        if row.variant == base or (low and parse_variant(row.variant).precision in (base, "fp32")):
            kept.append(row)
    return tuple(kept)


def realized(
    plan: Plan, network: Network, samples: Sequence[Mapping[str, Array]] | None = None
) -> tuple[Plan, Network]:
    """Return plan and network with two layers for each that is planned in a low rank.

    Parameters
    ----------
    samples
        Calibration inputs, by which factors are near; without them they are near in the weights.

    Returns
    -------
    plan, network
        Those given if no layer is planned so, or the plan was made for another network.

    Raises
    ------
    InputError
        If a layer has no such rank.
    """
    low = {
        row.layer: Variant(share=parse_variant(row.variant).share)
        for row in plan.assignments
        if "lowrank" in row.variant
    }
    if not low or plan.fingerprint != network.fingerprint():
        return plan, network
    made = rewrite(network, low, moments_of(network, low, samples) if samples else None)
    rows: list[Assignment] = []
    for row in plan.assignments:
        if row.layer not in low:
            rows.append(row)
            continue
        first, second = (x for x in made.network.layers if made.origin[x.name] == row.layer)
        share = first.macs / (first.macs + second.macs)
        between_ns = row.start_ns + round(share * (row.end_ns - row.start_ns))
        part_pj = round(share * row.energy_pj)
        rows += [
            replace(row, layer=first.name, end_ns=between_ns, energy_pj=part_pj, alternatives=()),
            replace(
                row,
                layer=second.name,
                start_ns=between_ns,
                energy_pj=row.energy_pj - part_pj,
                alternatives=(),
            ),
        ]
    fingerprint = made.network.fingerprint()
    return replace(plan, fingerprint=fingerprint, assignments=tuple(rows)), made.network
