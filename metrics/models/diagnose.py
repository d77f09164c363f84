"""What is wrong with samples, in one line each with a remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from heterolith.errors import InputError
from heterolith.metrics.models.physics import Physics
from heterolith.metrics.models.samples import TARGETS, Floats, Samples

FEWEST = 8
"""Rows below which no model is fitted."""
OUTLIER = 8.0
"""Robust standard deviations of log(measured / predicted) that make an outlier."""
LEAST_OUTLIER = math.log(1.5)
NAMED = 5
"""Outliers named one by one; further ones are counted."""


def refuse_too_few(samples: Samples, metric: str) -> None:
    """Raise `InputError` if there are too few rows to fit."""
    if len(samples) < FEWEST:
        raise InputError(
            f"{len(samples)} samples of {metric} are too few to fit, {FEWEST} is the least; add "
            "networks, or: heterolith profile --sweep conv,fc,pool,elementwise"
        )


def outliers(samples: Samples, predicted: Floats, metric: str) -> list[int]:
    """Return rows that lie far from what all others say, the farthest first."""
    ratio = np.log(samples.targets[metric] / np.maximum(predicted, 1e-300))
    centre = float(np.median(ratio))
    spread = 1.4826 * float(np.median(np.abs(ratio - centre)))
    far = np.abs(ratio - centre)
    limit = max(OUTLIER * spread, LEAST_OUTLIER)
    return [int(row) for row in np.argsort(-far) if far[row] > limit]


def refuse_other_unit(
    samples: Samples, predicted: Floats, rows: Sequence[int], metric: str
) -> None:
    """Raise `InputError` if an outlier is about 10^3, 10^6 or 10^9 times off: another unit."""
    for row in rows:
        decades = math.log10(samples.targets[metric][row] / predicted[row])
        power = 3 * round(decades / 3)
        if power and abs(decades - power) < 0.5:
            raise InputError(
                f"{samples.where(row)}: {metric} {samples.targets[metric][row]:.6g} "
                f"{TARGETS[metric]} is 1e{power} times what the other rows say; another unit? "
                "correct or remove the row"
            )


def warnings(samples: Samples, fitted: Physics, far: Sequence[int]) -> tuple[str, ...]:
    """Return outliers, collinear terms and thin groups, each with its remedy."""
    lines = []
    predicted = fitted.predict(samples)
    for row in far[:NAMED]:
        factor = samples.targets[fitted.metric][row] / predicted[row]
        lines.append(
            f"outlier: {samples.where(row)} is {factor:.2f} times the model; measure it again"
        )
    if len(far) > NAMED:
        lines.append(f"{len(far) - NAMED} more outliers; is the machine idle while it measures?")
    if fitted.dropped:
        pairs = "; ".join(f"{lost} with {kept}" for lost, kept in fitted.dropped[:NAMED])
        more = f" and {len(fitted.dropped) - NAMED} more" if len(fitted.dropped) > NAMED else ""
        lines.append(
            f"collinear, so that one stands for both: {pairs}{more}; to tell them apart vary them, "
            "e.g. with profile --sweep"
        )
    networks = len(set(samples.labels["network"].tolist()))
    if networks < 3:
        lines.append(
            f"{networks} network(s): how well the model does on others is not known; profile at "
            "least 3, better 10"
        )
    if len(samples) < 4 * len(fitted.terms):
        lines.append(
            f"{len(samples)} samples for {len(fitted.terms)} terms are few; 4 per term steady it"
        )
    return tuple(lines)
