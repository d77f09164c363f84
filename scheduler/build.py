"""From network, profile and platform to the plain numbers of a placement problem."""

from __future__ import annotations

from dataclasses import dataclass, field

from heterolith.boards import Platform
from heterolith.errors import InfeasibleError
from heterolith.metrics import (
    Cost,
    LinkCost,
    NumericalCost,
    Profile,
    activation_bytes,
    numerical_cost,
)
from heterolith.metrics.estimate import picojoules
from heterolith.scheduler.problem import (
    HOME,
    Choice,
    Domain,
    Hop,
    Limits,
    Problem,
    Task,
    Tensor,
)
from heterolith.sw.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of a plan: objective, hard limits, weights of the SCALENet cost.

    ``domains`` tie the operating points of devices (indices in the platform's order) together;
    without them every layer may be at a point of its own.
    """

    objective: str = "energy"
    limits: Limits = field(default_factory=Limits)
    preset: str = "balanced"
    domains: tuple[Domain, ...] = ()


def _choice(cost: Cost, platform: Platform, index: int, numerical: NumericalCost) -> Choice:
    energy_pj = cost.energy_pj
    if energy_pj is None:
        energy_pj = picojoules(platform.device(cost.device).active_w, cost.latency_ns)
    return Choice(
        device=index,
        latency_ns=cost.latency_ns,
        energy_pj=energy_pj,
        weight_bytes=cost.weight_bytes,
        cost=numerical.of_layer(cost),
        point=cost.point,
        variant=cost.variant,
        accuracy_loss_ppm=round((cost.accuracy_loss or 0.0) * 1e6),
    )


def _tasks(
    network: Network, profile: Profile, platform: Platform, numerical: NumericalCost
) -> tuple[Task, ...]:
    devices = {device.name: index for index, device in enumerate(platform.devices)}
    tensors = {name: index for index, name in enumerate(network.tensors)}
    costs: dict[str, list[Cost]] = {}
    for cost in profile.costs:
        costs.setdefault(cost.layer, []).append(cost)
    tasks = []
    for layer in network.layers:
        if layer.name not in costs:
            reasons = "; ".join(
                f"{d}: {why}" for name, d, why in profile.unsupported if name == layer.name
            )
            raise InfeasibleError(
                f"layer {layer.name!r} ({layer.op}, opset {network.opset}) runs on no device of "
                f"{platform.name} ({reasons}); add a board with a CPU, e.g. "
                f"--platform {platform.name}+ultra96-v2"
            )
        tasks.append(
            Task(
                name=layer.name,
                inputs=tuple(tensors[name] for name in network.activations(layer)),
                outputs=tuple(tensors[name] for name in layer.outputs if name),
                choices=tuple(
                    _choice(cost, platform, devices[cost.device], numerical)
                    for cost in costs[layer.name]
                ),
            )
        )
    return tuple(tasks)


def _tensors(
    network: Network, profile: Profile, platform: Platform, numerical: NumericalCost
) -> tuple[Tensor, ...]:
    devices = {device.name: index for index, device in enumerate(platform.devices)}
    links = {link.name: index for index, link in enumerate(platform.links)}
    producers = {
        name: index for index, layer in enumerate(network.layers) for name in layer.outputs
    }
    rows: dict[str, dict[tuple[int, int], list[LinkCost]]] = {}
    for row in profile.transfers:
        ends = (devices[row.origin], devices[row.target])
        rows.setdefault(row.tensor, {}).setdefault(ends, []).append(row)
    return tuple(
        Tensor(
            name=name,
            producer=producers.get(name, HOME),
            routes={
                ends: tuple(
                    Hop(
                        link=links[row.link],
                        latency_ns=row.latency_ns,
                        energy_pj=row.energy_pj,
                        bytes=row.bytes,
                        cost=numerical.of_transfer(row),
                    )
                    for row in hops
                )
                for ends, hops in rows.get(name, {}).items()
            },
        )
        for name in network.tensors
    )


def build_problem(
    network: Network, profile: Profile, platform: Platform, request: Request
) -> Problem:
    """Return the placement problem of a network on a platform.

    Raises
    ------
    InfeasibleError
        If no device computes some layer.
    InputError
        If the request is malformed (`Problem`).
    """
    numerical = numerical_cost(profile, request.preset)
    memories = {memory.name: index for index, memory in enumerate(platform.memories)}
    tensors = {name: index for index, name in enumerate(network.tensors)}
    names = tuple(device.name for device in platform.devices)
    return Problem(
        name=network.name,
        devices=names,
        links=tuple(link.name for link in platform.links),
        memories=tuple(memories),
        memory_of=tuple(memories[device.memory] for device in platform.devices),
        memory_capacity_bytes=tuple(memory.bytes for memory in platform.memories),
        home=names.index(platform.home),
        tasks=_tasks(network, profile, platform, numerical),
        tensors=_tensors(network, profile, platform, numerical),
        outputs=tuple(tensors[name] for name in network.outputs),
        idle_mw=round(platform.idle_w * 1e3),
        activation_bytes=activation_bytes(network),
        objective=request.objective,
        limits=request.limits,
        domains=request.domains,
    )
