"""The checker recomputes every alternative."""

from dataclasses import replace
from random import Random

import pytest

from heterolith.scheduler.check import check
from heterolith.scheduler.plan import Alternative, Plan

from .test_check import plans


def changed(plan: Plan, rng: Random) -> Plan | None:
    """Return the plan with one alternative changed or missing, or None if it has none."""
    layers = [k for k, row in enumerate(plan.assignments) if row.alternatives]
    if not layers:
        return None
    rows = list(plan.assignments)
    at = rng.choice(layers)
    others = list(rows[at].alternatives)
    which = rng.randrange(len(others))
    kind = rng.choice(("drop", "latency_ns", "energy_pj", "objective", "blocked", "device"))
    if kind == "drop":
        del others[which]
    else:
        others[which] = replace(others[which], **{kind: _other(others[which], kind)})
    rows[at] = replace(rows[at], alternatives=tuple(others))
    return replace(plan, assignments=tuple(rows))


def _other(row: Alternative, kind: str) -> object:
    if kind == "blocked":
        return "" if row.blocked else "deadline_ns"
    if kind == "device":
        return {"cpu": "gpu", "gpu": "fpga", "fpga": "cpu"}[row.device]
    if kind == "objective":
        return 1.0 if row.objective is None else row.objective * 1.001 + 1e-9
    return getattr(row, kind) + 1


@pytest.mark.parametrize("seed", range(4))
def test_every_changed_alternative_is_caught(seed: int) -> None:
    """A figure, a name or a limit that is not so is found, and a missing row too."""
    rng = Random(seed)
    caught = 0
    for problem, plan in plans():
        for _ in range(6):
            mutant = changed(plan, rng)
            if mutant is not None:
                assert any("alternative" in line for line in check(problem, mutant))
                caught += 1
    assert caught > 100
