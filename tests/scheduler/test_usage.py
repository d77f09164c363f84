"""A plan as spans on its resources."""

from pathlib import Path

import pytest

from heterolith import api
from heterolith.metrics.occupancy import usage
from heterolith.scheduler.usage import spans


def test_every_layer_and_transfer_is_a_span_and_waits_are_not_negative(cnn_path: Path) -> None:
    """Busy times are the plan's; with the network a layer waits from its last input on."""
    network = api.load(cnn_path)
    plan = api.plan(network, api.platform("ultra96-v2"))
    found = spans(plan, network)
    assert len(found) == len(plan.assignments) + len(plan.transfers)
    assert all(0 <= span.ready_ns <= span.start_ns for span in found)
    rows = usage(found)
    for device in {row.device for row in plan.assignments}:
        busy = sum(r.end_ns - r.start_ns for r in plan.assignments if r.device == device)
        assert rows[device].busy_ns == pytest.approx(busy)
        assert 0 < rows[device].occupancy <= 1
    first = next(span for span in found if span.name == plan.assignments[0].layer)
    assert first.ready_ns <= first.start_ns


def test_without_the_network_nobody_waits(cnn_path: Path) -> None:
    """Spans are ready as they start."""
    plan = api.plan(api.load(cnn_path), api.platform("ultra96-v2"))
    assert all(row.queued_ns == 0 for row in usage(spans(plan)).values())
