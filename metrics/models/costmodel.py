"""`CostModel`: fit, predict with intervals, refuse what lies outside the fitted range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from heterolith.errors import InputError
from heterolith.metrics.models import crossval, diagnose, intervals, paces, physics
from heterolith.metrics.models.crossval import Errors
from heterolith.metrics.models.intervals import Spread
from heterolith.metrics.models.physics import Form, Physics
from heterolith.metrics.models.samples import Floats, Samples, column_of

RANGED = (
    "images",
    "input_elements",
    "macs",
    "steps",
    "activation_elements",
    "weight_elements",
    "gather_elements",
    "output_elements",
)
"""Work that bounds what a model may be asked; how it is computed follows from it."""
UNKNOWN = "was never fitted"
SLACK = 1e-6
"""Relative distance beyond the fitted range that still counts as inside: rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Expected values, their interval, and why a row lies outside the fitted range.

    Attributes
    ----------
    value, low, high
        In the metric's unit, shape (n,); the interval is 0 to infinity outside the range.
    outside
        One reason per row, ``""`` inside the range.
    """

    value: Floats
    low: Floats
    high: Floats
    outside: tuple[str, ...]


class CostModel:
    """A physical cost model with validated errors and intervals.

    Parameters
    ----------
    metric
        ``latency``, ``power`` or ``energy``.
    level
        Share of new rows that the interval should hold.
    residual
        Allow a residual learner where cross-validation proves that it pays.
    form
        Form to fit; cross-validation chooses by default.

    Attributes
    ----------
    physics_
        Terms, coefficients, reference clocks, residual.
    spread_
        The interval.
    ranges_
        Feature or clock -> (least, largest) value in the fitted rows.
    labels_
        Label -> values that were fitted: variants.
    reference_ns_
        Pace of the machine that predictions are for: what the reference network took, ns; NaN where
        the samples do not tell. Samples of other paces are brought to it.
    errors_
        Errors with whole networks, and whole shape families, left out; one entry where there are at
        least two of them.
    tried_
        Form -> error that the choice was made by.
    warnings_
        What is wrong with the samples, with remedies.

    Examples
    --------
    >>> from heterolith.metrics.models import CostModel, make_samples
    >>> rows = [
    ...     {"network": f"n{i % 3}", "family": "fc", "macs": m, "latency_ns": 2 * m}
    ...     for i, m in enumerate(range(100, 1300, 100))
    ... ]
    >>> model = CostModel().fit(make_samples(rows))
    >>> float(model.predict(make_samples([{"family": "fc", "macs": 450}])).value[0].round(-1))
    900.0
    """

    physics_: Physics
    spread_: Spread
    ranges_: Mapping[str, tuple[float, float]]
    labels_: Mapping[str, tuple[str, ...]]
    reference_ns_: float
    errors_: tuple[Errors, ...]
    tried_: Mapping[Form, float]
    warnings_: tuple[str, ...]

    def __init__(
        self,
        *,
        metric: str = "latency",
        level: float = 0.9,
        residual: bool = True,
        form: Form | None = None,
    ) -> None:
        column_of(metric)
        if not 0 < level < 1:
            raise InputError(f"level {level} is not between 0 and 1; 0.9 holds 90 % of new rows")
        self.metric, self.level, self.residual, self.form = metric, level, residual, form

    def fit(self, samples: Samples) -> CostModel:
        """Fit to samples with this metric as target.

        Raises
        ------
        InputError
            If there are too few rows, or one is in another unit or of another machine than the
            rest.
        """
        if self.metric not in samples.targets:
            raise InputError(f"samples have no {column_of(self.metric)}")
        if self.metric != "latency" and "latency" not in samples.targets:
            raise InputError(
                f"{self.metric} is energy per operation times its rate: samples need latency_ns too"
            )
        diagnose.refuse_too_few(samples, self.metric)
        notes = paces.warnings(samples, self.metric)
        samples, self.reference_ns_ = paces.even_out(samples, self.metric)
        # many small systems: threads would cost more than they give
        with threadpool_limits(1):
            return self._fit(samples, notes)

    def _fit(self, samples: Samples, notes: tuple[str, ...]) -> CostModel:
        first = physics.fit(samples, self.metric, physics.forms(samples, self.metric)[0])
        rough = first.predict(samples)
        far = diagnose.outliers(samples, rough, self.metric)
        diagnose.refuse_other_unit(samples, rough, far, self.metric)
        if self.form is None:
            form, self.tried_ = crossval.choose(samples, self.metric, self.residual)
        else:
            form, self.tried_ = self.form, {}
        self.physics_ = physics.fit(samples, self.metric, form)
        far = diagnose.outliers(samples, self.physics_.predict(samples), self.metric)
        self.warnings_ = (*notes, *diagnose.warnings(samples, self.physics_, far))
        self._validate(crossval.thin(samples), form)
        self.ranges_, self.labels_ = _ranges(samples), _labels(samples)
        return self

    def _validate(self, samples: Samples, form: Form) -> None:
        target = samples.targets[self.metric]
        by, labels = crossval.groups(samples)
        found = []
        for group in dict.fromkeys((by, "network", "shape")):
            names = labels if group == by else samples.labels[group]
            if len(set(names.tolist())) < 2:
                continue
            predicted = crossval.out_of_fold(samples, self.metric, form, names)
            found.append(crossval.errors(predicted, target, names, group))
            if group == by:
                families = samples.labels["family"]
                layers = bool((samples.labels["layer"] != "").all())
                self.spread_ = intervals.fit(
                    predicted, target, families, labels, self.level, layers
                )
        self.errors_ = tuple(found)

    def predict(self, samples: Samples) -> Prediction:
        """Return expected values and intervals; the model does not change.

        Rows outside the fitted range get a value, an interval from 0 to infinity and the reason in
        ``outside``; `refuse_outside` turns that into an error. Work of a kind that was never fitted
        has no value: NaN.
        """
        value = self.physics_.predict(samples)
        low, high = self.spread_.bounds(value, samples.labels["family"])
        outside = self.outside(samples)
        flagged = np.array([bool(reason) for reason in outside], dtype=bool)
        value[[UNKNOWN in reason for reason in outside]] = np.nan
        return Prediction(
            value=value,
            low=np.where(flagged, 0.0, low),
            high=np.where(flagged, np.inf, high),
            outside=outside,
        )

    def outside(self, samples: Samples) -> tuple[str, ...]:
        """Return for each row why it lies outside the fitted range, ``""`` if it does not."""
        reasons = np.full(len(samples), "", dtype=object)
        for name, known in self.labels_.items():
            column = samples.labels[name]
            for value in set(column.tolist()) - set(known):
                _note(reasons, column == value, f"{name} {value or '(none)'} {UNKNOWN}")
        for name, values in _columns(samples).items():
            work = name not in samples.clocks
            if name not in self.ranges_:
                _note(reasons, values > 0 if work else values < 0, f"{name} {UNKNOWN}")
                continue
            low, high = self.ranges_[name]
            for row in np.flatnonzero((values > high * (1 + SLACK)) & np.isfinite(values)):
                _note(reasons, row, f"{name} {values[row]:.6g} is above {high:.6g}")
            below = (values < low * (1 - SLACK)) & ((values > 0) if work else np.isfinite(values))
            for row in np.flatnonzero(below):
                _note(reasons, row, f"{name} {values[row]:.6g} is below {low:.6g}")
        return tuple(str(reason) for reason in reasons)


def refuse_outside(prediction: Prediction, samples: Samples) -> None:
    """Raise `InputError` naming the first row outside the fitted range."""
    for row, reason in enumerate(prediction.outside):
        if reason:
            count = sum(map(bool, prediction.outside))
            raise InputError(
                f"{samples.where(row)}: {reason}, the fitted range ({count} of "
                f"{len(prediction.outside)} rows are outside); add such samples to the fit, or "
                "take flagged values without an interval: --extrapolate"
            )


def _note(reasons: NDArray[np.object_], rows: Any, text: str) -> None:  # noqa: ANN401
    """Set a reason where there is none yet."""
    for row in np.atleast_1d(np.arange(len(reasons))[rows]):
        reasons[row] = reasons[row] or text


def _columns(samples: Samples) -> dict[str, Floats]:
    """Return the columns whose range counts: work by family, and clocks."""
    work = {n: c for n, c in samples.work.items() if n.partition(".")[0] in RANGED}
    return {**work, **samples.clocks}


def _ranges(samples: Samples) -> dict[str, tuple[float, float]]:
    result = {}
    for name, values in _columns(samples).items():
        known = values[np.isfinite(values) & ((values > 0) | (name in samples.clocks))]
        if known.size:
            result[name] = (float(known.min()), float(known.max()))
    return result


def _labels(samples: Samples) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted(set(samples.labels[name].tolist()))) for name in ("variant",)}
