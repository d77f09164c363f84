"""Validation: what a model says of networks and shapes it has not seen, and which form is best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heterolith.metrics.models import physics
from heterolith.metrics.models.physics import Form
from heterolith.metrics.models.samples import Floats, Samples, Strings

MOST_FOLDS = 20
MOST_ROWS = 2000
"""Rows that forms are compared on; more are thinned evenly within each network."""
FEWEST_FOR_RESIDUAL = 50
WORTH = 0.95
"""A form must have less than this share of the simpler one's error to be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Relative errors of predictions on rows that the model has not seen.

    Attributes
    ----------
    by
        What each fold left out whole: ``network``, ``shape`` or ``row``.
    folds
        Number of folds.
    rows
        Number of rows predicted.
    mape
        Mean of |prediction / measured - 1|.
    median
        Median of it.
    within_10pct
        Share of rows within +-10 %.
    bias
        Mean of prediction / measured - 1.
    worst
        Group with the largest mean error, and that error.
    """

    by: str
    folds: int
    rows: int
    mape: float
    median: float
    within_10pct: float
    bias: float
    worst: tuple[str, float]


def groups(samples: Samples) -> tuple[str, Strings]:
    """Return what folds keep whole, and each row's group: networks, else shapes, else rows."""
    for by in ("network", "shape"):
        labels = samples.labels[by]
        if len(set(labels.tolist())) >= 3:
            return by, labels
    return "row", np.array([str(index % 10) for index in range(len(samples))])


def folds(labels: Strings) -> Iterator[NDArray[np.bool_]]:
    """Yield the rows of each fold that keeps groups whole, at most `MOST_FOLDS`."""
    names = sorted(set(labels.tolist()))
    count = min(len(names), MOST_FOLDS)
    for fold in range(count):
        yield np.isin(labels, names[fold::count])


def out_of_fold(samples: Samples, metric: str, form: Form, labels: Strings) -> Floats:
    """Return for each row the prediction of a model fitted without its group, shape (n,)."""
    predicted = np.full(len(samples), np.nan)
    for held in folds(labels):
        if held.all():
            continue
        model = physics.fit(samples.take(~held), metric, form)
        predicted[held] = model.predict(samples.take(held))
    return predicted


def errors(predicted: Floats, measured: Floats, labels: Strings, by: str) -> Errors:
    """Summarise predictions against measurements; rows without a prediction are left out."""
    known = np.isfinite(predicted)
    ratio = predicted[known] / measured[known] - 1
    if not ratio.size:
        return Errors(
            by=by, folds=0, rows=0, mape=np.nan, median=np.nan, within_10pct=np.nan, bias=np.nan,
            worst=("", np.nan),
        )  # fmt: skip
    error, names = np.abs(ratio), labels[known]
    means = {name: float(error[names == name].mean()) for name in dict.fromkeys(names.tolist())}
    worst = max(means, key=means.__getitem__)
    return Errors(
        by=by,
        folds=min(len(means), MOST_FOLDS),
        rows=int(known.sum()),
        mape=float(error.mean()),
        median=float(np.median(error)),
        within_10pct=float((error <= 0.10).mean()),
        bias=float(ratio.mean()),
        worst=(worst, means[worst]),
    )


def thin(samples: Samples, most: int = MOST_ROWS) -> Samples:
    """Return every k-th row of each network so that about ``most`` are left."""
    step = -(-len(samples) // most)
    if step == 1:
        return samples
    order = np.argsort(samples.labels["network"], kind="stable")
    return samples.take(np.sort(order[::step]))


def choose(samples: Samples, metric: str, residual: bool) -> tuple[Form, Mapping[Form, float]]:
    """Return the form with the least error on groups not seen, and every form's error.

    A form with more freedom is taken only if it is better by `WORTH`; the residual learner is tried
    on the best physical form alone, and on layers only: it works within an operator family.
    """
    part = thin(samples)
    _, labels = groups(part)
    tried: dict[Form, float] = {}

    def error_of(form: Form) -> float:
        predicted = out_of_fold(part, metric, form, labels)
        return errors(predicted, part.targets[metric], labels, "").mape

    best: Form | None = None
    for form in physics.forms(part, metric):
        tried[form] = error_of(form)
        if best is None or tried[form] < WORTH * tried[best]:
            best = form
    assert best is not None
    layers = bool((part.labels["layer"] != "").all())
    if residual and metric == "latency" and layers and len(part) >= FEWEST_FOR_RESIDUAL:
        corrected = replace(best, residual=True)
        tried[corrected] = error_of(corrected)
        if tried[corrected] < WORTH * tried[best]:
            best = corrected
    return best, tried


def summary(form: Form) -> Mapping[str, Any]:
    """Return a form's name and choices in words."""
    return {
        "by_family": form.by_family,
        "stepwise": form.stepwise,
        "order": form.order,
        "beta": form.beta,
        "residual": form.residual,
    }
