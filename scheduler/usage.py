"""A plan as spans on its resources, for occupancy, queueing delay and peak power.

A layer is ready when the last of what it reads has arrived on its device, a transfer when its
tensor is where it leaves from. Without the network nothing is known of who waits for whom: every
span is then ready as it starts.
"""

from __future__ import annotations

from heterolith.metrics.occupancy import Span
from heterolith.scheduler.plan import Plan
from heterolith.sw.network import Network


def spans(plan: Plan, network: Network | None = None) -> list[Span]:
    """Return every layer on its device and every transfer on its link, in order of start.

    Parameters
    ----------
    network
        The plan's, for ready times.
    """
    reads = {layer.name: layer for layer in network.layers} if network is not None else {}
    arrived: dict[str, dict[str, int]] = {}
    items = [(row.start_ns, row.end_ns, row, None) for row in plan.assignments]
    hops = [(hop.start_ns, hop.end_ns, None, hop) for hop in plan.transfers]
    found = []
    for start_ns, end_ns, row, hop in sorted([*items, *hops], key=lambda item: item[:2]):
        ready_ns = start_ns
        if row is not None:
            name, resource, energy_pj = row.layer, row.device, row.energy_pj
            if network is not None:
                times = [arrived.get(x, {}) for x in network.activations(reads[name])]
                ready_ns = max((at.get(resource, 0) for at in times), default=0)
                for output in reads[name].outputs:
                    arrived.setdefault(output, {})[resource] = end_ns
        elif hop is not None:
            name, resource, energy_pj = hop.tensor, hop.link, hop.energy_pj
            if network is not None:
                ready_ns = arrived.get(name, {}).get(hop.origin, 0)
                arrived.setdefault(name, {})[hop.target] = end_ns
        length_ns = end_ns - start_ns
        found.append(
            Span(
                name=name,
                resource=resource,
                ready_ns=min(ready_ns, start_ns),
                start_ns=start_ns,
                end_ns=end_ns,
                power_w=energy_pj / length_ns / 1e3 if length_ns else 0.0,
            )
        )
    return found
