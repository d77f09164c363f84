"""From profile to a checked plan: build the problem, solve it, assemble and verify the plan."""

from __future__ import annotations

from dataclasses import replace

from heterolith.boards import Platform
from heterolith.errors import HeterolithError, InfeasibleError
from heterolith.metrics import Profile
from heterolith.scheduler.assemble import to_plan
from heterolith.scheduler.build import Request, build_problem
from heterolith.scheduler.check import check
from heterolith.scheduler.explain import explain_infeasible
from heterolith.scheduler.plan import Plan
from heterolith.scheduler.solve import solve
from heterolith.sw.network import Network


class UnsoundPlanError(HeterolithError):
    """The independent checker rejects a solver's plan: a defect of this package."""


def make_plan(
    network: Network,
    profile: Profile,
    platform: Platform,
    request: Request,
    time_limit_s: float = 60.0,
) -> Plan:
    """Return the best plan that was found, verified by the independent checker.

    Raises
    ------
    InfeasibleError
        If no plan meets the limits.
    InputError
        If the request is malformed.
    """
    problem = build_problem(network, profile, platform, request)
    solution = solve(problem, time_limit_s=time_limit_s)
    if solution is None:
        raise InfeasibleError(explain_infeasible(problem).message)
    plan = to_plan(
        problem,
        solution,
        fingerprint=profile.fingerprint,
        platform=platform.name,
        ops={layer.name: layer.op for layer in network.layers},
        sources={(cost.layer, cost.device): cost.source for cost in profile.costs},
    )
    plan = replace(plan, model=network.path)
    violations = check(problem, plan)
    if violations:
        raise UnsoundPlanError(f"the checker rejects this plan: {violations[0]}; please report it")
    return plan
