"""How a fitted model does on samples it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heterolith.metrics.models import crossval, paces
from heterolith.metrics.models.costmodel import CostModel, Prediction
from heterolith.metrics.models.crossval import Errors
from heterolith.metrics.models.samples import Floats, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Errors and coverage on held-out rows.

    Attributes
    ----------
    errors
        Of the rows.
    coverage
        Share of rows inside their interval; rows outside the fitted range have none and are left
        out. NaN if there is no other.
    outside
        Rows outside the fitted range.
    networks
        Network -> relative error of the sum over its rows; for layers that is the whole network.
    slower
        How many times as slow as in the fit the machine was, by the reference network: median over
        rows, NaN where fit or samples do not tell.
    paced, paced_networks
        ``errors`` and ``networks`` of predictions times that, row by row; ``None`` and empty where
        it is unknown.
    """

    errors: Errors
    coverage: float
    outside: int
    networks: dict[str, float]
    slower: float
    paced: Errors | None
    paced_networks: dict[str, float]


def evaluate(model: CostModel, samples: Samples) -> tuple[Evaluation, Prediction]:
    """Predict samples and compare with their targets."""
    prediction = model.predict(samples)
    measured = samples.targets[model.metric]
    labels = samples.labels["network"]
    inside = np.array([not reason for reason in prediction.outside], dtype=bool)
    pace = paces.slower(samples, model.metric, model.reference_ns_)
    told = bool(np.isfinite(pace).all())
    paced = prediction.value * pace
    covered = (measured >= prediction.low) & (measured <= prediction.high)
    found = Evaluation(
        errors=crossval.errors(prediction.value, measured, labels, "network"),
        coverage=float(covered[inside].mean()) if inside.any() else float("nan"),
        outside=int((~inside).sum()),
        networks=network_errors(prediction.value, samples, model.metric),
        slower=float(np.median(pace)) if told else float("nan"),
        paced=crossval.errors(paced, measured, labels, "network") if told else None,
        paced_networks=network_errors(paced, samples, model.metric) if told else {},
    )
    return found, prediction


def network_errors(predicted: Floats, samples: Samples, metric: str) -> dict[str, float]:
    """Return network -> predicted over measured - 1, each summed over the rows with a value."""
    known = np.isfinite(predicted)
    labels, measured = samples.labels["network"][known], samples.targets[metric][known]
    sums = {name: labels == name for name in dict.fromkeys(labels.tolist())}
    return {
        name: float(predicted[known][rows].sum() / measured[rows].sum() - 1)
        for name, rows in sums.items()
    }
