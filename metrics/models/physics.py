"""One fit of the physical model at a given form, and its prediction: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from heterolith.metrics.models import regress, terms
from heterolith.metrics.models.residual import Residual
from heterolith.metrics.models.residual import fit as fit_residual
from heterolith.metrics.models.samples import Floats, Samples
from heterolith.metrics.models.terms import Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What cross-validation chooses between.

    Attributes
    ----------
    by_family
        Coefficients per operator family (latency).
    stepwise
        With ``by_family``: a family has its call; the steps of a layer cost the same in all.
    order
        p of `terms`: how far arithmetic and traffic overlap (latency).
    beta
        Exponent of V ~ f^beta (power, energy).
    residual
        Whether a residual learner corrects the physical model.
    """

    by_family: bool = False
    stepwise: bool = False
    order: float = 1.0
    beta: float = 0.0
    residual: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Physics:
    """A fitted physical model; ``coefficients`` belong to ``terms`` at ``reference`` clocks."""

    metric: str
    form: Form
    terms: tuple[Term, ...]
    coefficients: tuple[float, ...]
    reference: Mapping[str, float]
    residual: Residual | None = None
    dropped: tuple[tuple[str, str], ...] = ()

    def predict(self, samples: Samples) -> Floats:
        """Return the expected metric in its unit, shape (n,)."""
        matrix = terms.design(self.terms, samples, self.reference, self.metric)
        kinds = np.array([term.kind for term in self.terms])
        value = regress.combine(matrix, kinds, np.array(self.coefficients), self.form.order)
        if self.residual is not None:
            value = value * np.exp(self.residual.predict(samples))
        return value


def forms(samples: Samples, metric: str) -> list[Form]:
    """Return the forms worth comparing, the simplest first."""
    if metric != "latency":
        clocked = any(len(set(column.tolist())) > 1 for column in samples.clocks.values())
        return [Form(beta=beta) for beta in ((0.0, 0.35, 0.7, 1.0) if clocked else (0.0,))]
    # only where work says how a layer is computed can it be a sum of steps
    detailed = bool(samples.total("array_calls").any())
    freedoms = ((False, False), *(((True, True),) if detailed else ()), (True, False))
    return [
        Form(by_family=own, stepwise=stepwise, order=order)
        for own, stepwise in freedoms
        for order in (1.0, 3.0)
    ]


def fit(samples: Samples, metric: str, form: Form) -> Physics:
    """Fit the physical model, and its residual if the form has one."""
    target = samples.targets[metric]
    candidates = (
        terms.latency_terms(samples, form.by_family, form.stepwise)
        if metric == "latency"
        else terms.power_terms(samples, form.beta)
    )
    reference = terms.references(samples)
    matrix = terms.design(candidates, samples, reference, metric)
    kept, dropped = terms.independent(candidates, matrix)
    chosen = tuple(candidates[index] for index in kept)
    kinds = np.array([term.kind for term in chosen])
    solution = regress.nonnegative(matrix[:, kept], target, kinds, form.order)
    fitted = Physics(
        metric=metric,
        form=form,
        terms=chosen,
        coefficients=tuple(float(value) for value in solution),
        reference=reference,
        dropped=tuple(dropped),
    )
    if not form.residual:
        return fitted
    left = np.log(target / np.maximum(fitted.predict(samples), target * 1e-3))
    return Physics(
        metric=metric,
        form=form,
        terms=fitted.terms,
        coefficients=fitted.coefficients,
        reference=reference,
        residual=fit_residual(samples, left),
        dropped=fitted.dropped,
    )
