"""Terms of the physical model."""

from heterolith.metrics.models import Samples, make_samples
from heterolith.metrics.models.physics import Form, forms
from heterolith.metrics.models.terms import latency_terms


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
