"""Terms of the physical model."""

from heterolith.metrics.models import Samples, make_samples
from heterolith.metrics.models.physics import Form, forms
from heterolith.metrics.models.terms import latency_terms


def _samples(detailed: bool = True) -> Samples:
    """Return rows of two families, with what is known of how they are computed."""
    more = {"right_elements": 5.0, "fused_elements": 3.0, "cold_calls": 0.5} if detailed else {}
    rows = [
        {"family": name, "calls": 1, "macs": 7 * i, "latency_ns": 9.0 * i, **more}
        for name in ("conv", "pointwise")
        for i in range(1, 9)
    ]
    return make_samples(rows)


def test_shared_elements_leave_code_and_arithmetic_to_the_families() -> None:
    """A call is other code in each family; an element is an element; caches know of no family."""
    own = {term.name for term in latency_terms(_samples(), by_family=True)}
    shared = {term.name for term in latency_terms(_samples(), by_family=True, shared=True)}
    assert {"calls conv", "calls pointwise", "macs conv", "cold_calls"} <= own & shared
    assert {"fused elements conv", "fused elements pointwise"} <= own - shared
    assert "fused elements" in shared - own


def test_elements_are_shared_only_where_it_is_known_how_layers_are_computed() -> None:
    """Whole networks and other tools' tables have the forms without."""
    shared = Form(by_family=True, shared=True)
    assert shared in forms(_samples(), "latency")
    assert shared not in forms(_samples(detailed=False), "latency")
