"""SCALENet's numerical cost: several domain objectives weighed into one number.

Shea and Mohsenin (JETC 2019, 10.1145/3358699) allocate a task to a resource by a numerical cost
over domain objectives; their formula is not public. This is a reconstruction: each objective is
normalised by its range over the choices, summed over the network, or by a budget where one is
given, so that the costs of layers and transfers add up to a figure of the whole plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from heterolith.errors import InputError, unknown_name
from heterolith.metrics.profile import Cost, LinkCost, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights of the domain objectives; they need not add up to one.

    Attributes
    ----------
    latency, energy, memory
        Time in ns, dynamic energy in pJ, bytes at work.
    power
        Dynamic energy over latency of each choice, mW.
    transfer
        Bytes over links; normalised by a budget alone, as layers have none.
    accuracy
        Loss in top-1 fraction.
    """

    latency: float = 0.0
    energy: float = 0.0
    memory: float = 0.0
    power: float = 0.0
    transfer: float = 0.0
    accuracy: float = 0.0


OBJECTIVES = tuple(field.name for field in fields(Weights))
PRESETS = {
    "balanced": Weights(latency=1 / 3, energy=1 / 3, memory=1 / 3),
    "min-latency": Weights(latency=0.8, energy=0.1, memory=0.1),
    "min-energy": Weights(latency=0.1, energy=0.8, memory=0.1),
    "min-power": Weights(latency=0.1, energy=0.1, memory=0.1, power=0.7),
}
Values = tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericalCost:
    """Cost functions of one profile; build it with `numerical_cost`.

    Attributes
    ----------
    weights
        One per objective of `OBJECTIVES`.
    floors
        Layer -> least value of each objective over its choices.
    scales
        Per objective what a cost of one means: the budget, else the sum over layers of (largest -
        smallest) value; 0 where all choices are alike.
    """

    weights: Values
    floors: Mapping[str, Values]
    scales: Values

    def _weigh(self, values: Values) -> float:
        terms = zip(self.weights, values, self.scales, strict=True)
        return sum(weight * value / scale for weight, value, scale in terms if scale)

    def of_layer(self, cost: Cost) -> float:
        """Return the cost of one choice above the best value of each objective for its layer."""
        pairs = zip(_of_layer(cost), self.floors[cost.layer], strict=True)
        return self._weigh(tuple(value - floor for value, floor in pairs))

    def of_transfer(self, cost: LinkCost) -> float:
        """Return the cost of one link crossing; its power is that of the link, paid as energy."""
        values = {
            "latency": float(cost.latency_ns),
            "energy": float(cost.energy_pj),
            "transfer": float(cost.bytes),
        }
        return self._weigh(tuple(values.get(name, 0.0) for name in OBJECTIVES))


def _of_layer(cost: Cost) -> Values:
    energy_pj = float(cost.energy_pj or 0)
    values = {
        "latency": float(cost.latency_ns),
        "energy": energy_pj,
        "memory": float(cost.peak_bytes),
        "power": energy_pj / cost.latency_ns if cost.latency_ns else 0.0,
        "accuracy": cost.accuracy_loss or 0.0,
    }
    return tuple(values.get(name, 0.0) for name in OBJECTIVES)


def numerical_cost(
    profile: Profile, preset: str = "balanced", budgets: Mapping[str, float] | None = None
) -> NumericalCost:
    """Return the cost functions of a profile under a preset of weights.

    Parameters
    ----------
    preset
        A name of `PRESETS`.
    budgets
        Objective -> what the whole plan may take, in the units of `Weights`: normalises that
        objective instead of its range. Layers of power and accuracy add up here as the others do.

    Raises
    ------
    InputError
        If there is no such preset or objective, or a budget is not positive.
    """
    if preset not in PRESETS:
        raise unknown_name("SCALENet preset", preset, PRESETS)
    for name, budget in (budgets or {}).items():
        if name not in OBJECTIVES:
            raise unknown_name("SCALENet objective", name, OBJECTIVES)
        if budget <= 0:
            raise InputError(f"budget of {name} is {budget:g}; it must be above 0")
    rows: dict[str, list[Values]] = {}
    for cost in profile.costs:
        rows.setdefault(cost.layer, []).append(_of_layer(cost))
    floors = {}
    ranges = dict.fromkeys(OBJECTIVES, 0.0)
    for layer, values in rows.items():
        columns = list(zip(*values, strict=True))
        floors[layer] = tuple(min(column) for column in columns)
        for name, column in zip(OBJECTIVES, columns, strict=True):
            ranges[name] += max(column) - min(column)
    return NumericalCost(
        weights=tuple(getattr(PRESETS[preset], name) for name in OBJECTIVES),
        floors=floors,
        scales=tuple((budgets or {}).get(name, ranges[name]) for name in OBJECTIVES),
    )
