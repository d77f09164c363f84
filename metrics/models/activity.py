"""Power of known workloads over operating points: measured in one, predicted in the others.

    P(workload, point) = static(point) + activity(workload) x swing(point)

Static power and swing are non-negative sums over the clocks f and f^3 (f V^2 with V ~ f), shared by
all workloads; a workload has one number, its activity, which one measurement gives. This needs no
idea of what the workload does, and serves where `terms.power_terms` would have to extrapolate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heterolith.metrics.models.regress import nonnegative
from heterolith.metrics.models.samples import Floats, Samples, Strings

ROUNDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Fitted static power and swing.

    Attributes
    ----------
    static, swing
        Coefficients, W, of the columns `_columns` at clocks relative to ``reference``.
    reference
        Highest clock of each domain, MHz.
    """

    static: Floats
    swing: Floats
    reference: dict[str, float]

    def activity(self, samples: Samples) -> Floats:
        """Return what each row says about its workload's activity, shape (n,)."""
        columns = _columns(samples, self.reference)
        above = samples.targets["power"] - columns @ self.static
        return np.asarray(np.maximum(above, 0) / (columns @ self.swing))

    def predict(self, activity: Floats, samples: Samples) -> Floats:
        """Return power, W, of workloads of a known activity at the rows' clocks, shape (n,)."""
        columns = _columns(samples, self.reference)
        return np.asarray(columns @ self.static + activity * (columns @ self.swing))


def workloads(samples: Samples) -> Strings:
    """Return a name for each row's network, variant and batch."""
    images = samples.total("images").tolist()
    names = (samples.labels["network"].tolist(), samples.labels["variant"].tolist(), images)
    return np.array([f"{n}/{v}/{i:g}" for n, v, i in zip(*names, strict=True)], dtype=np.str_)


def fit(samples: Samples) -> Activity:
    """Fit static power and swing, and every workload's activity, in turns."""
    reference = {name: float(np.nanmax(column)) for name, column in samples.clocks.items()}
    columns, power = _columns(samples, reference), samples.targets["power"]
    _, member, sizes = np.unique(workloads(samples), return_inverse=True, return_counts=True)
    kinds = np.array(["overhead"] * (2 * columns.shape[1]))
    activity = np.bincount(member, power) / sizes
    activity = activity / activity.mean()
    for _ in range(ROUNDS):
        matrix = np.hstack([columns, activity[member][:, None] * columns])
        solution = nonnegative(matrix, power, kinds)
        static, swing = np.split(solution, 2)
        slope, above = columns @ swing, power - columns @ static
        activity = np.bincount(member, above * slope / power**2) / np.bincount(
            member, (slope / power) ** 2
        )
        activity = np.maximum(activity, 0)
        activity = activity / activity.mean()
    return Activity(static=static, swing=swing, reference=reference)


def _columns(samples: Samples, reference: dict[str, float]) -> Floats:
    columns = [np.ones(len(samples))]
    for name, highest in reference.items():
        share = samples.clocks[name] / highest
        columns += [share, share**3]
    return np.stack(columns, axis=1)
