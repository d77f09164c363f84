"""All policies on one scenario: the same requests, images and recorded answers. Simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from heterolith.errors import InfeasibleError, InputError, unknown_name
from heterolith.scheduler.adaptive.apnet import ApNet
from heterolith.scheduler.adaptive.imprecise_policy import Imprecise, LeastConfidence, RoundRobin
from heterolith.scheduler.adaptive.joint import heterolith
from heterolith.scheduler.adaptive.model import KnobNetwork, Scenario, place, placed
from heterolith.scheduler.adaptive.neuos import MaxFrequency, NeuOS, PredJoule
from heterolith.scheduler.adaptive.policy import AdaptivePolicy
from heterolith.scheduler.adaptive.run import PolicyRow, evaluate
from heterolith.scheduler.adaptive.scenarios import on_first

Factory = Callable[[Scenario], AdaptivePolicy]


def _first(factory: Factory) -> Factory:
    """Give a policy the scenario with all blocks on the first device."""
    return lambda scenario: factory(on_first(scenario))


def heft(scenario: Scenario) -> Scenario:
    """Place blocks by earliest finish, all tasks released at once, the longest first.

    HEFT (Topcuoglu, Hariri and Wu, 2002) for chains: ranks are the mean times over the devices.
    """
    board, free = scenario.board, [0] * len(scenario.board.resources)

    def rank(network: KnobNetwork) -> float:
        total = 0.0
        for layer in network.layers:
            times = [layer.degrees[0].wcet_ns, *(p.degrees[0].wcet_ns for p in layer.places)]
            total += sum(times) / len(times)
        return total

    order = sorted(range(len(scenario.tasks)), key=lambda i: -rank(scenario.tasks[i].network))
    tasks = list(scenario.tasks)
    for index in order:
        here, end, chosen = board.home, 0, []
        for layer in tasks[index].network.layers:
            best: tuple[int, int] | None = None
            for resource in (layer.resource, *(p.resource for p in layer.places)):
                moved = layer.move_ns[here][resource] if layer.move_ns else 0
                begin = max(end, free[resource])
                finish = begin + moved + placed(layer, resource).degrees[0].wcet_ns
                if best is None or finish < best[0]:
                    best = (finish, resource)
            assert best is not None
            end, here = best
            free[here] = end
            chosen.append(here)
        network = place(tasks[index].network, chosen, board.home)
        tasks[index] = replace(tasks[index], network=network)
    return replace(scenario, tasks=tuple(tasks))


POLICIES: dict[str, Factory] = {
    "edf": _first(AdaptivePolicy),
    "max-frequency": _first(MaxFrequency),
    "heft-placed": lambda scenario: AdaptivePolicy(heft(scenario)),
    "apnet": _first(ApNet),
    "neuos-min-energy": _first(lambda scenario: NeuOS(scenario, "min-energy")),
    "neuos-balanced": _first(lambda scenario: NeuOS(scenario, "balanced")),
    "neuos-max-accuracy": _first(lambda scenario: NeuOS(scenario, "max-accuracy")),
    "predjoule": _first(PredJoule),
    "imprecise-exp": _first(lambda scenario: Imprecise(scenario, "exp")),
    "imprecise-max": _first(lambda scenario: Imprecise(scenario, "max")),
    "imprecise-linear": _first(lambda scenario: Imprecise(scenario, "linear")),
    "imprecise-oracle": _first(lambda scenario: Imprecise(scenario, "oracle")),
    "imprecise-exp-edf": _first(lambda scenario: Imprecise(scenario, "exp", dispatch="edf")),
    "rr": _first(RoundRobin),
    "lcf": _first(LeastConfidence),
    "heterolith": heterolith,
}
"""Name -> policy on a scenario. `heterolith` and `heft-placed` place; the others use one device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A policy that does not take a scenario, and why."""

    policy: str
    scenario: str
    reason: str


def run(scenario: Scenario, policies: Sequence[str] = ()) -> tuple[PolicyRow | Refusal, ...]:
    """Run policies, all if none is named, on a scenario.

    Raises
    ------
    InputError
        If a policy is unknown.
    """
    for name in policies:
        if name not in POLICIES:
            raise unknown_name("policy", name, POLICIES)
    rows: list[PolicyRow | Refusal] = []
    for name in policies or POLICIES:
        try:
            rows.append(evaluate(name, POLICIES[name](scenario)))
        except (InfeasibleError, InputError) as error:
            rows.append(Refusal(policy=name, scenario=scenario.name, reason=str(error)))
    return tuple(rows)
