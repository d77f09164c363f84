"""Terms of the physical model: what a sample's cost is a non-negative sum of.

A term is work over a rate. Its rate scales with the clock that drives it, so that one fit serves
all operating points: arithmetic with the core's clock, DRAM traffic with the memory's, starting
kernels with the host's. Latency is

    overhead + (arithmetic^p + traffic^p)^(1/p),

with p = 1 where the two never overlap and p -> infinity for the roofline of Williams, Waterman and
Patterson (CACM 2009); cross-validation chooses p. Every coefficient is non-negative, so that more
work never costs less.

Mean power is static power plus energy per operation times its rate, work / latency. A clock f draws
f V^2; where no voltage is known V follows f^beta with a beta that cross-validation chooses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from heterolith.metrics.models.samples import Floats, Samples

OVERHEAD, ARITHMETIC, TRAFFIC = "overhead", "arithmetic", "traffic"
KINDS = (OVERHEAD, ARITHMETIC, TRAFFIC)
FEATURES = (
    "calls",
    "steps",
    "gather_elements",
    "output_elements",
    "activation_elements",
    "weight_elements",
    "parts",
    "left_elements",
    "right_elements",
    "cold_calls",
    "cold_kernels",
    "rare_kernels",
)
"""Features with a term of their own, beside multiply-accumulates."""
STEPWISE = (
    "array_calls",
    "copied_elements",
    "gather_elements",
    "copied_runs",
    "runs",
    "short_runs",
    "picked_elements",
    "passed_elements",
    "buffered_elements",
    "loops",
    "strided_elements",
    "slow_elements",
    "parts",
    "product_rows",
    "left_elements",
    "right_elements",
    "block_elements",
    "vectors",
    "vector_elements",
    "streamed_elements",
    "far_elements",
    "cold_elements",
    "cold_copied_elements",
    "cold_calls",
    "cold_kernels",
    "rare_kernels",
)
"""Features of a model of steps, beside products: each costs the same in every family."""
ALIKE = ("cold_calls", "cold_kernels", "rare_kernels")
"""Features that cost the same in every family: caches know of none."""
COUNTED = ("calls", "array_calls", "parts", "vectors", *ALIKE)
"""Features that are counted, not moved: each costs the host some time."""
MOVED = (
    "activation_elements",
    "weight_elements",
    "streamed_elements",
    "far_elements",
    "cold_elements",
    "cold_copied_elements",
)
"""Features that memory moves."""
FEWEST_ROWS = 6
"""Rows that must have a family's work before the family gets coefficients of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One column of the model.

    Attributes
    ----------
    feature
        A feature of `samples.WORK`, or ``one``.
    family, variant
        Which work and which rows it counts; ``""`` for all.
    clock
        Column of `samples.CLOCKS` that its rate scales with, or ``""``.
    kind
        One of `KINDS`.
    in_bytes
        Count elements at the variant's width.
    per_image
        Count calls once per image of the batch.
    voltage
        Exponent beta of V ~ f^beta: the term is multiplied by V squared (power only).
    """

    feature: str
    kind: str
    clock: str = ""
    family: str = ""
    variant: str = ""
    in_bytes: bool = False
    per_image: bool = False
    voltage: float = 0.0

    @property
    def name(self) -> str:
        """The term in words, e.g. ``macs conv fp16``."""
        name = self.feature.replace("_elements", " bytes" if self.in_bytes else " elements")
        per = "x images" if self.per_image else ""
        return " ".join(filter(None, (name, per, self.family, self.variant)))

    def to_json(self) -> dict[str, object]:
        """Return the fields as JSON types."""
        return asdict(self)


def column(term: Term, samples: Samples) -> Floats:
    """Return what the term counts in each row, before any clock; shape (n,)."""
    size = len(samples)
    if term.feature == "one":
        values = np.ones(size)
    else:
        values = samples.total(term.feature, term.family or None)
    if term.in_bytes:
        values = values * samples.element_bytes()
    if term.per_image:
        values = values * np.maximum(samples.total("images"), 1)
    if term.variant:
        values = values * (samples.labels["variant"] == term.variant)
    return values


def slowdown(term: Term, clocks: Mapping[str, Floats], reference: Mapping[str, float]) -> Floats:
    """Return reference clock over clock of a term, 1 where the clock is not known."""
    if not term.clock or term.clock not in clocks or term.clock not in reference:
        return np.ones(1)
    ratio = reference[term.clock] / clocks[term.clock]
    return np.where(np.isfinite(ratio), ratio, 1.0)


def design(
    terms: Iterable[Term], samples: Samples, reference: Mapping[str, float], metric: str
) -> Floats:
    """Return the matrix of the model, shape (n, terms).

    Power needs a latency in every row (``samples.targets['latency']``, ns): rates are work per ns.
    """
    columns = []
    for term in terms:
        values, slower = column(term, samples), slowdown(term, samples.clocks, reference)
        if metric == "latency":
            columns.append(values * slower)
            continue
        # a static term draws with its clock; a rate already has the clock in its latency
        rate = values / slower if term.kind == OVERHEAD else values / samples.targets["latency"]
        columns.append(rate * slower ** (-2 * term.voltage))
    matrix = np.stack(columns, axis=1) if columns else np.zeros((len(samples), 0))
    return matrix * samples.targets["latency"][:, None] if metric == "energy" else matrix


def references(samples: Samples) -> dict[str, float]:
    """Return the highest clock of each domain, which coefficients refer to."""
    return {
        name: float(np.nanmax(column))
        for name, column in samples.clocks.items()
        if np.isfinite(column).any()
    }


def latency_terms(samples: Samples, by_family: bool, stepwise: bool = False) -> list[Term]:
    """Return candidate terms of latency, those that some row has.

    Parameters
    ----------
    by_family
        Give elements, steps and calls a coefficient per operator family that enough rows have;
        otherwise only multiply-accumulates have one, per variant.
    stepwise
        Take a layer as a call of its family and the steps it is made of, whatever the family.
    """
    variants = sorted(set(samples.labels["variant"].tolist()))
    features = samples.features()
    terms = [
        Term(feature="one", kind=OVERHEAD, clock="host_mhz"),
        Term(feature="images", kind=OVERHEAD, clock="host_mhz"),
        Term(feature="input_elements", kind=OVERHEAD, clock="memory_mhz", in_bytes=True),
    ]
    multiplied = (
        [("product_macs", "")] if stepwise else [("macs", f) for f in features.get("macs", ())]
    )
    for feature, family in multiplied:
        terms += [
            Term(feature=feature, kind=ARITHMETIC, clock="core_mhz", family=family, variant=v)
            for v in variants
        ]
    for feature in ("calls", *STEPWISE) if stepwise else FEATURES:
        own = by_family and feature not in ALIKE and (feature == "calls" or not stepwise)
        for family in _families(samples, feature, own, 1 if stepwise else FEWEST_ROWS):
            terms += _of_feature(feature, family, samples)
    return _present(terms, samples)


def _families(samples: Samples, feature: str, by_family: bool, fewest: int) -> tuple[str, ...]:
    """Return the families with a coefficient of their own, and ``""`` where others are left."""
    families = samples.features().get(feature, ())
    if not by_family:
        return ("",) if families else ()
    rows = {f: int(np.count_nonzero(samples.total(feature, f))) for f in families}
    own = [family for family in families if family and rows[family] >= fewest]
    return tuple(own) if len(own) == len(families) else (*own, "")


def _of_feature(feature: str, family: str, samples: Samples) -> list[Term]:
    """Return a feature's terms; those that only batches, widths or clocks tell apart if they do."""
    if feature in COUNTED:
        call = Term(feature=feature, kind=OVERHEAD, clock="host_mhz", family=family)
        batched = feature == "calls" and bool((samples.total("images") > 1).any())
        return [call, *([replace(call, per_image=True)] if batched else [])]
    core = Term(feature=feature, kind=ARITHMETIC, clock="core_mhz", family=family)
    if feature not in MOVED:
        return [core]
    dram = Term(feature=feature, kind=TRAFFIC, clock="memory_mhz", family=family, in_bytes=True)
    widths = len(set(samples.element_bytes().tolist())) > 1
    return [dram, *([core] if widths or samples.clocks else [])]


def power_terms(samples: Samples, beta: float) -> list[Term]:
    """Return candidate terms of mean power with V ~ f^beta, those that some row has."""
    variants = sorted(set(samples.labels["variant"].tolist()))
    terms = [Term(feature="one", kind=OVERHEAD)]
    for clock in samples.clocks:
        terms.append(Term(feature="one", kind=OVERHEAD, clock=clock, voltage=beta))
    # an operation takes the same energy in whatever layer it stands
    terms += [
        Term(feature="macs", kind=ARITHMETIC, clock="core_mhz", variant=variant, voltage=beta)
        for variant in variants
    ]
    terms += [
        Term(feature="steps", kind=ARITHMETIC, clock="core_mhz", voltage=beta),
        Term(feature="calls", kind=ARITHMETIC, clock="host_mhz", voltage=beta),
        Term(feature="activation_elements", kind=TRAFFIC, clock="memory_mhz", in_bytes=True),
        Term(feature="weight_elements", kind=TRAFFIC, clock="memory_mhz", in_bytes=True),
    ]
    return _present(terms, samples)


def _present(terms: Iterable[Term], samples: Samples) -> list[Term]:
    return [term for term in terms if column(term, samples).any()]


def independent(terms: list[Term], matrix: Floats) -> tuple[list[int], list[tuple[str, str]]]:
    """Return the columns to keep, and (dropped, kept) names of those proportional to another."""
    kept: list[int] = []
    unit: list[Floats] = []
    dropped = []
    for index, term in enumerate(terms):
        values = matrix[:, index]
        norm = float(np.linalg.norm(values))
        if norm == 0:
            continue
        direction = values / norm
        same = [k for k, other in zip(kept, unit, strict=True) if direction @ other > 1 - 1e-9]
        if same:
            dropped.append((term.name, terms[same[0]].name))
            continue
        kept.append(index)
        unit.append(direction)
    return kept, dropped
