"""SCALENet's numerical cost: several domain objectives weighed into one number.

Shea and Mohsenin (JETC 2019, 10.1145/3358699) allocate a task to a resource by a numerical cost
over domain objectives; their formula is not public. This is a reconstruction: each objective is
normalised by its range over the choices, summed over the network, so that the costs of layers and
transfers add up to a figure of the whole plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from heterolith.errors import unknown_name
from heterolith.metrics.profile import Cost, LinkCost, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights of the domain objectives; they need not add up to one."""

    latency: float
    energy: float
    memory: float


PRESETS = {
    "balanced": Weights(latency=1 / 3, energy=1 / 3, memory=1 / 3),
    "min-latency": Weights(latency=0.8, energy=0.1, memory=0.1),
    "min-energy": Weights(latency=0.1, energy=0.8, memory=0.1),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericalCost:
    """Cost functions of one profile; build it with `numerical_cost`.

    ``ranges`` holds, per objective, the sum over layers of (largest - smallest) value.
    """

    weights: Weights
    floors: Mapping[str, tuple[float, float, float]]
    ranges: tuple[float, float, float]

    def _weigh(self, latency: float, energy: float, memory: float) -> float:
        terms = zip(
            (self.weights.latency, self.weights.energy, self.weights.memory),
            (latency, energy, memory),
            self.ranges,
            strict=True,
        )
        return sum(weight * value / spread for weight, value, spread in terms if spread)

    def of_layer(self, cost: Cost) -> float:
        """Return the cost of one choice above the best value of each objective for its layer."""
        values = _objectives(cost)
        above = (v - f for v, f in zip(values, self.floors[cost.layer], strict=True))
        return self._weigh(*above)

    def of_transfer(self, cost: LinkCost) -> float:
        """Return the cost of one link crossing."""
        return self._weigh(cost.latency_ns, cost.energy_pj, 0.0)


def _objectives(cost: Cost) -> tuple[float, float, float]:
    return (float(cost.latency_ns), float(cost.energy_pj or 0), float(cost.peak_bytes))


def numerical_cost(profile: Profile, preset: str = "balanced") -> NumericalCost:
    """Return the cost functions of a profile under a preset of weights.

    Raises
    ------
    InputError
        If there is no such preset.
    """
    if preset not in PRESETS:
        raise unknown_name("SCALENet preset", preset, PRESETS)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for cost in profile.costs:
        rows.setdefault(cost.layer, []).append(_objectives(cost))
    floors, ranges = {}, [0.0, 0.0, 0.0]
    for layer, values in rows.items():
        columns = list(zip(*values, strict=True))
        floors[layer] = (min(columns[0]), min(columns[1]), min(columns[2]))
        for index, column in enumerate(columns):
            ranges[index] += max(column) - min(column)
    return NumericalCost(
        weights=PRESETS[preset], floors=floors, ranges=(ranges[0], ranges[1], ranges[2])
    )
