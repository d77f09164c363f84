"""Samples of different minutes, compared at one pace of the machine.

Rows say what the reference network of `heterolith.metrics.pace` took while they were measured. Rows
with a clock have no pace: the clock tells it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heterolith.errors import InputError
from heterolith.metrics.models.samples import Floats, Samples

REFERENCE = "reference_ns"
OTHER_MACHINE = 1.5
"""Ratio of paces from which on it is another machine, power mode or number of threads."""
NOTED = 0.05
"""Relative difference of paces that is worth a word."""


def reference_ns(samples: Samples, metric: str) -> Floats:
    """Return what the reference network took, shape (n,); NaN where that is unknown.

    Raises
    ------
    InputError
        If it is 0 somewhere.
    """
    values = samples.states.get(REFERENCE, np.full(len(samples), np.nan))
    if metric != "latency":
        return np.full(len(samples), np.nan)
    if (values == 0).any():
        row = int(np.argmax(values == 0))
        raise InputError(
            f"{samples.where(row)}, column {REFERENCE} is 0; profile again, or leave it empty"
        )
    clocked = np.zeros(len(samples), dtype=bool)
    for column in samples.clocks.values():
        clocked |= np.isfinite(column)
    return np.where(clocked, np.nan, values)


def even_out(samples: Samples, metric: str) -> tuple[Samples, float]:
    """Return samples with times at the median row's pace, and that pace, ns.

    Rows whose pace is unknown stay as they are; where it is of all rows, the pace is NaN.

    Raises
    ------
    InputError
        If the paces differ as those of different machines do.
    """
    own = reference_ns(samples, metric)
    known = np.isfinite(own)
    if not known.any():
        return samples, float("nan")
    least, most = int(np.nanargmin(own)), int(np.nanargmax(own))
    if own[most] > OTHER_MACHINE * own[least]:
        raise InputError(
            f"{samples.where(most)} and {samples.where(least)} were not measured alike: the "
            f"reference network took {own[most] / 1e6:.3g} and {own[least] / 1e6:.3g} ms; fit "
            "machines, power modes and numbers of threads apart"
        )
    common = float(np.median(own[known]))
    factor = np.where(known, common / np.where(known, own, 1.0), 1.0)
    targets = {**samples.targets, metric: samples.targets[metric] * factor}
    return replace(samples, targets=targets), common


def warnings(samples: Samples, metric: str) -> tuple[str, ...]:
    """Say that rows of different paces were brought to one, and of unknown ones not."""
    own = reference_ns(samples, metric)
    known = own[np.isfinite(own)]
    if not known.size:
        return ()
    lines = []
    if known.max() > (1 + NOTED) * known.min():
        lines.append(
            f"the machine's pace differed between files: the reference network took "
            f"{known.min() / 1e6:.3g} to {known.max() / 1e6:.3g} ms; times are brought to "
            f"{np.median(known) / 1e6:.3g} ms"
        )
    if known.size < len(own):
        lines.append(
            f"{len(own) - known.size} rows do not tell the machine's pace ({REFERENCE}) and stay "
            "as they are; profile them again with this version"
        )
    return tuple(lines)


def slower(samples: Samples, metric: str, fitted_ns: float) -> Floats:
    """Return how many times as slow as in the fit the machine was, shape (n,); NaN if unknown."""
    return reference_ns(samples, metric) / fitted_ns
