"""Terms of the physical model."""

from heterolith.metrics.models import Samples, make_samples
from heterolith.metrics.models.physics import Form, forms
from heterolith.metrics.models.samples import WORK
from heterolith.metrics.models.steps import steps
from heterolith.metrics.models.terms import ALIKE, COUNTED, MOVED, STEPWISE, TRAFFIC, latency_terms

from .spied import sixty


def _samples(detailed: bool = True) -> Samples:
    """Return rows of two families, with what is known of how they are computed."""
    rows = []
    for name in ("conv", "pointwise"):
        for i in range(1, 9):
            row = {"family": name, "calls": 1, "macs": 7 * i, "latency_ns": 9.0 * i}
            steps = {"array_calls": 5, "product_macs": 7 * i, "runs": 3.0, "cold_calls": 0.5}
            rows.append({**row, **(steps if detailed else {})})
    return make_samples(rows)


def test_steps_cost_the_same_in_all_families_and_a_call_does_not() -> None:
    """A layer's own is its call; products, rows and coldness know of no family."""
    own = {term.name for term in latency_terms(_samples(), by_family=True)}
    steps = {term.name for term in latency_terms(_samples(), by_family=True, stepwise=True)}
    assert {"calls conv", "calls pointwise", "cold_calls"} <= own & steps
    assert {"macs conv", "macs pointwise"} <= own - steps
    assert {"product_macs", "runs", "array_calls"} <= steps - own


def test_layers_are_sums_of_steps_only_where_their_steps_are_known() -> None:
    """Whole networks and other tools' tables have the forms without."""
    stepwise = Form(by_family=True, stepwise=True)
    assert stepwise in forms(_samples(), "latency")
    assert stepwise not in forms(_samples(detailed=False), "latency")


def test_whatever_a_step_counts_has_a_price() -> None:
    """Each count of a probe's steps is a stepwise feature, or the work of products."""
    counted = {
        name
        for subject in sixty()
        for layer in subject.network.layers
        for step in steps(subject.network, layer)
        for name in step.counts
    }
    assert counted <= {*STEPWISE, "product_macs"}
    assert len(counted) > 12


def test_stepwise_features_are_known_work_and_each_has_one_term() -> None:
    """None of a family; names are in the table of samples, without repetition."""
    assert {*STEPWISE, *COUNTED, *MOVED, *ALIKE} <= {*WORK}
    assert len(set(STEPWISE)) == len(STEPWISE)
    row = {name: 2.0 + i for i, name in enumerate(STEPWISE)}
    rows = [{"family": f, "calls": 1, **row, "latency_ns": 1.0} for f in ("conv", "fc")]
    terms = latency_terms(make_samples(rows), by_family=True, stepwise=True)
    found = [(term.feature, term.family) for term in terms]
    for name in STEPWISE:
        assert found.count((name, "")) == 1, name
        assert [family for feature, family in found if feature == name] == [""]


def test_elements_that_caches_lost_come_from_memory() -> None:
    """They scale with its clock and the width of an element."""
    rows = [{"far_elements": 5, "cold_elements": 7, "runs": 2, "latency_ns": 1.0}]
    terms = {t.feature: t for t in latency_terms(make_samples(rows), False, stepwise=True)}
    for name in ("far_elements", "cold_elements"):
        assert (terms[name].kind, terms[name].clock) == (TRAFFIC, "memory_mhz")
        assert terms[name].in_bytes
    assert not terms["runs"].in_bytes
