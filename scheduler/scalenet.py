"""SCALENet's heterogeneous-aware scheduler: metric models, a numerical cost, a resource per task.

Shea, Page, Mohsenin (GLSVLSI 2018, 10.1145/3194554.3194601); Shea and Mohsenin (JETC 2019,
10.1145/3358699). What is public: a domain-specific metric model per task and resource, a numerical
cost solved for a series of domain objectives, and a scheduler with a coarse and a fine part. The
rest is a reconstruction: the cost of `heterolith.metrics.scalenet`; *static*, each task goes where
its cost is least; *online*, a resource's queue is added to the latency before each decision;
*coarse*, the decision is per layer; *fine*, the number of active processing elements is a choice,
the others being gated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from heterolith import hw
from heterolith.boards import Platform
from heterolith.errors import InputError
from heterolith.metrics import Profile
from heterolith.metrics.scalenet import PRESETS
from heterolith.scheduler.problem import Choice, Problem
from heterolith.scheduler.solvers.heuristics import Baseline, finish, greedy, system_points
from heterolith.scheduler.timeline import Replay, UnreachableError
from heterolith.sw import offload
from heterolith.sw.network import Network


def static(problem: Problem) -> Baseline | None:
    """Place each task where its numerical cost is least, before anything runs."""
    found = greedy(problem)
    return None if found is None else replace(found, name="SCALENet static")


def decide(choices: Sequence[Choice], queue_ns: Sequence[int], preset: str = "balanced") -> int:
    """Return the choice of least numerical cost, each objective normalised by its range.

    Parameters
    ----------
    queue_ns
        Per choice, how long its resource (and its inputs) will keep it waiting.
    preset
        Weights of latency, energy and memory, see `heterolith.metrics.PRESETS`.
    """
    if preset not in PRESETS:
        raise InputError(f"SCALENet preset {preset!r} is not one of {', '.join(PRESETS)}")
    weights = PRESETS[preset]
    columns = (
        (weights.latency, [c.latency_ns + wait for c, wait in zip(choices, queue_ns, strict=True)]),
        (weights.energy, [choice.energy_pj for choice in choices]),
        (weights.memory, [choice.weight_bytes for choice in choices]),
        (weights.power, [choice.power_mw for choice in choices]),
    )
    costs = [0.0] * len(choices)
    for weight, values in columns:
        low, span = min(values), max(values) - min(values)
        for row, value in enumerate(values):
            costs[row] += weight * (value - low) / span if span else 0.0
    return min(range(len(choices)), key=lambda row: (costs[row], row))


def online(
    problem: Problem, preset: str = "balanced", busy_until_ns: Mapping[int, int] | None = None
) -> Baseline | None:
    """Place tasks as they are dispatched, with what waits before each resource in the latency.

    Parameters
    ----------
    busy_until_ns
        Device -> until when other work keeps it busy; the figures returned are those of the
        placement on idle devices.
    """
    offers = system_points(problem)
    if not offers:
        return None
    replay = Replay(problem)
    for device, until_ns in (busy_until_ns or {}).items():
        replay.device_ns[device] = until_ns
    picks: list[int] = []
    for index, own in enumerate(offers[0]):
        task = problem.tasks[index]
        ready_ns = max((next(iter(replay.at[t].values())) for t in task.inputs), default=0)
        open_ones, waits = [], []
        for pick in own:
            trial = replay.copy()
            try:
                trial.dispatch(index, task.choices[pick])
            except UnreachableError:
                continue
            open_ones.append(pick)
            waits.append(max(0, trial.spans[-1][0] - ready_ns))
        if not open_ones:
            return None
        best = open_ones[decide([task.choices[pick] for pick in open_ones], waits, preset)]
        picks.append(best)
        replay.dispatch(index, task.choices[best])
    return finish("SCALENet online", problem, picks)


def with_active_pes(
    profile: Profile, network: Network, platform: Platform, *, gated_share: float
) -> Profile:
    """Return a profile in which FPGA layers may also run on half and a quarter of the PEs.

    Latencies come from the accelerator's cycle model with as many processing elements as are
    active; the clocks of the others are gated. An array that cannot be divided so keeps its rows.

    Parameters
    ----------
    gated_share
        Part of the accelerator's dynamic power that gating all of its elements would save, 0 to 1:
        a declared assumption, since no board was measured.

    Raises
    ------
    InputError
        If the share is not within 0 and 1.
    """
    if not 0 <= gated_share <= 1:
        raise InputError(f"gated share is {gated_share:g}; it must be between 0 and 1")
    layers = {layer.name: layer for layer in network.layers}
    rows = []
    for cost in profile.costs:
        rows.append(cost)
        device = platform.device(cost.device)
        layer = layers[cost.layer]
        if device.kind != "fpga" or layer.op in offload.VIEWS or cost.energy_pj is None:
            continue
        whole = hw.config(device.array)
        bandwidth_gbs = platform.memory_of(device.name).bandwidth_gbs
        for part in (2, 4):
            count = whole.n_pe // part
            active = replace(whole, n_pe=count, requantizers=min(whole.requantizers, count))
            try:
                cycles = offload.layer_cycles(network, layer, active, bandwidth_gbs)
            except InputError:  # the array's geometry has no such part
                continue
            latency_ns = math.ceil(device.launch_us * 1e3 + cycles.total * 1e3 / device.mhz)
            power = 1 - gated_share * (1 - count / whole.n_pe)
            energy_pj = round(device.active_w * 1e3 * power * latency_ns)
            rows.append(
                replace(cost, point=f"{count} PEs", latency_ns=latency_ns, energy_pj=energy_pj)
            )
    return replace(profile, costs=tuple(rows))
