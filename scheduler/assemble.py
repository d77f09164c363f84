"""From a solver's selection to the plan that is stored, shown and carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from heterolith.scheduler.explain import alternatives
from heterolith.scheduler.objective import UNITS, period_ns
from heterolith.scheduler.plan import (
    Assignment,
    Certificate,
    Metrics,
    Plan,
    PointChange,
    Transfer,
)
from heterolith.scheduler.problem import Limits, Problem, reordered
from heterolith.scheduler.solve import Solution
from heterolith.scheduler.timeline import Timeline, evaluate

LIMITS = tuple(field.name for field in fields(Limits))


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
    selection = solution.selection
    if solution.order:
        problem = reordered(problem, solution.order)
        selection = tuple(selection[task] for task in solution.order)
    timeline = evaluate(problem, selection)
    given = ((name, getattr(problem.limits, name)) for name in LIMITS)
    return Plan(
        network=problem.name,
        fingerprint=fingerprint,
        platform=platform,
        objective=problem.objective,
        limits=tuple((name, value) for name, value in given if value is not None),
        metrics=_metrics(problem, timeline),
        certificate=_certificate(problem, solution),
        assignments=_assignments(problem, selection, timeline, ops, sources),
        transfers=_transfers(problem, timeline),
        changes=_changes(problem, timeline),
        members=tuple(
            (member.name, end_ns)
            for member, end_ns in zip(problem.members, timeline.finish_ns, strict=True)
        ),
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
        busiest_ns=max(timeline.loads_ns, default=0),
        accuracy_loss_ppm=timeline.accuracy_loss_ppm,
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
    selection: tuple[int, ...],
    timeline: Timeline,
    ops: Mapping[str, str],
    sources: Mapping[tuple[str, str], str],
) -> tuple[Assignment, ...]:
    rows = []
    others = alternatives(problem, selection)
    for index, (task, pick) in enumerate(zip(problem.tasks, selection, strict=True)):
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


def _changes(problem: Problem, timeline: Timeline) -> tuple[PointChange, ...]:
    return tuple(
        PointChange(
            domain=problem.domains[row.domain].name,
            layer=problem.tasks[row.task].name,
            origin=row.origin,
            target=row.target,
            start_ns=row.start_ns,
            end_ns=row.end_ns,
            energy_pj=problem.domains[row.domain].switch_pj,
        )
        for row in timeline.changes
    )


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
