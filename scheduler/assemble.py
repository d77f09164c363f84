"""From a solver's selection to the plan that is stored, shown and carried out."""

from __future__ import annotations

from collections.abc import Mapping

from heterolith.scheduler.explain import alternatives
from heterolith.scheduler.objective import UNITS, period_ns
from heterolith.scheduler.plan import Assignment, Certificate, Metrics, Plan, Transfer
from heterolith.scheduler.problem import Problem
from heterolith.scheduler.solve import Solution
from heterolith.scheduler.timeline import Timeline, evaluate

LIMITS = ("deadline_ns", "average_power_mw", "peak_power_mw", "memory_bytes")


def to_plan(
    problem: Problem,
    solution: Solution,
    *,
    fingerprint: str,
    platform: str,
    ops: Mapping[str, str],
    sources: Mapping[tuple[str, str], str],
) -> Plan:
    """Return the plan of a solution, with what every alternative would have cost.

    Parameters
    ----------
    fingerprint, platform
        Of the network and what it is placed on.
    ops
        Layer name -> operator.
    sources
        (layer, device) -> source of its figures.
    """
    timeline = evaluate(problem, solution.selection)
    given = ((name, getattr(problem.limits, name)) for name in LIMITS)
    return Plan(
        network=problem.name,
        fingerprint=fingerprint,
        platform=platform,
        objective=problem.objective,
        limits=tuple((name, value) for name, value in given if value is not None),
        metrics=_metrics(problem, timeline),
        certificate=_certificate(problem, solution),
        assignments=_assignments(problem, solution, timeline, ops, sources),
        transfers=_transfers(problem, timeline),
    )


def _metrics(problem: Problem, timeline: Timeline) -> Metrics:
    period = period_ns(problem, timeline)
    idle_pj = problem.idle_mw * period
    energy_pj = idle_pj + timeline.energy_pj
    return Metrics(
        latency_ns=timeline.latency_ns,
        period_ns=period,
        energy_pj=energy_pj,
        idle_energy_pj=idle_pj,
        average_power_mw=energy_pj / period if period else float(problem.idle_mw),
        peak_power_mw=timeline.peak_power_mw,
        memory_bytes=tuple(zip(problem.memories, timeline.memory_bytes, strict=True)),
    )


def _certificate(problem: Problem, solution: Solution) -> Certificate:
    unit, scale = UNITS[problem.objective]
    return Certificate(
        objective=solution.objective / scale,
        lower_bound=solution.lower_bound / scale,
        gap=solution.gap,
        unit=unit,
        method=solution.method,
        runtime_s=solution.runtime_s,
    )


def _assignments(
    problem: Problem,
    solution: Solution,
    timeline: Timeline,
    ops: Mapping[str, str],
    sources: Mapping[tuple[str, str], str],
) -> tuple[Assignment, ...]:
    rows = []
    others = alternatives(problem, solution.selection)
    for index, (task, pick) in enumerate(zip(problem.tasks, solution.selection, strict=True)):
        choice = task.choices[pick]
        device = problem.devices[choice.device]
        rows.append(
            Assignment(
                layer=task.name,
                op=ops[task.name],
                device=device,
                point=choice.point,
                variant=choice.variant,
                start_ns=timeline.start_ns[index],
                end_ns=timeline.end_ns[index],
                energy_pj=choice.energy_pj,
                source=sources[task.name, device],
                alternatives=others[index],
            )
        )
    return tuple(rows)


def _transfers(problem: Problem, timeline: Timeline) -> tuple[Transfer, ...]:
    return tuple(
        Transfer(
            tensor=problem.tensors[row.tensor].name,
            link=problem.links[row.hop.link],
            origin=problem.devices[row.origin],
            target=problem.devices[row.target],
            bytes=row.hop.bytes,
            start_ns=row.start_ns,
            end_ns=row.end_ns,
            energy_pj=row.hop.energy_pj,
        )
        for row in timeline.crossings
    )
