"""Objective, window and limits of a placement, from its timeline.

Values are in the scheduler's own units: latency in ns, energy in pJ, average power in mW, SCALENet
cost without unit. `UNITS` turns them into those of the certificate (ms, mJ, W, 1).
"""

from __future__ import annotations

from typing import Final

from heterolith.scheduler.problem import Problem
from heterolith.scheduler.timeline import Totals

UNITS: Final = {
    "latency": ("ms", 1e6),
    "period": ("ms", 1e6),
    "energy": ("mJ", 1e9),
    "power": ("W", 1e3),
    "scalenet": ("1", 1.0),
}
"""Objective -> unit of the certificate and how many of the scheduler's units make one of it."""


def window_ns(problem: Problem, latency_ns: int) -> int:
    """Return the length of the energy window of the objectives ``energy`` and ``power``."""
    fixed_ns = problem.fixed_window_ns
    return latency_ns if fixed_ns is None else fixed_ns


def value(problem: Problem, figures: Totals) -> int | float:
    """Return the objective: ns, pJ, mW or the SCALENet cost."""
    if problem.objective == "latency":
        return figures.latency_ns
    if problem.objective == "period":
        return max(figures.loads_ns, default=0)
    if problem.objective == "scalenet":
        return figures.cost
    span_ns = window_ns(problem, figures.latency_ns)
    energy_pj = problem.idle_mw * span_ns + figures.energy_pj
    if problem.objective == "power":
        return energy_pj / span_ns if span_ns else float(problem.idle_mw)
    return energy_pj


def period_ns(problem: Problem, figures: Totals) -> int:
    """Return the shortest period that keeps the average-power limit.

    The deadline if there is one, else the latency, stretched by idling where the limit needs it.
    """
    cap_mw = problem.limits.average_power_mw
    span_ns = window_ns(problem, figures.latency_ns)
    if problem.fixed_window_ns is not None or cap_mw is None or cap_mw <= problem.idle_mw:
        return span_ns
    return max(span_ns, -(-figures.energy_pj // (cap_mw - problem.idle_mw)))


def broken_limits(problem: Problem, figures: Totals) -> tuple[str, ...]:
    """Return the names of the limits that a placement breaks.

    Names are the fields of `Limits`, and ``memory_capacity_bytes`` where a domain itself is too
    small.
    """
    limits = problem.limits
    broken = []
    if limits.deadline_ns is not None and figures.latency_ns > limits.deadline_ns:
        broken.append("deadline_ns")
    finishes = zip(figures.finish_ns, problem.members, strict=bool(figures.finish_ns))
    if any(m.deadline_ns is not None and end_ns > m.deadline_ns for end_ns, m in finishes):
        broken.append("member deadline")
    if limits.period_ns is not None and max(figures.loads_ns, default=0) > limits.period_ns:
        broken.append("period_ns")
    if limits.energy_pj is not None:
        window = window_ns(problem, figures.latency_ns)
        if problem.idle_mw * window + figures.energy_pj > limits.energy_pj:
            broken.append("energy_pj")
    loss_limit = limits.accuracy_loss_ppm
    if loss_limit is not None and figures.accuracy_loss_ppm > loss_limit:
        broken.append("accuracy_loss_ppm")
    if limits.average_power_mw is not None:
        span_ns = period_ns(problem, figures)
        energy_pj = problem.idle_mw * span_ns + figures.energy_pj
        over = energy_pj > limits.average_power_mw * span_ns
        if over or problem.idle_mw > limits.average_power_mw:
            broken.append("average_power_mw")
    if limits.peak_power_mw is not None and figures.peak_power_mw > limits.peak_power_mw:
        broken.append("peak_power_mw")
    if (
        limits.memory_bytes is not None
        and max(figures.memory_bytes, default=0) > limits.memory_bytes
    ):
        broken.append("memory_bytes")
    domains = zip(figures.memory_bytes, problem.memory_capacity_bytes, strict=True)
    if any(use > capacity for use, capacity in domains):
        broken.append("memory_capacity_bytes")
    return tuple(broken)
