"""What a timeline says of its resources."""

import pytest

from heterolith.errors import InputError
from heterolith.metrics.occupancy import Span, peak_power_w, usage


def span(name: str, resource: str, *times_ns: int, power_w: float = 0.0, rail: str = "") -> Span:
    """Return a job that is ready, starts and ends at three times."""
    ready_ns, start_ns, end_ns = times_ns
    return Span(
        name=name,
        resource=resource,
        ready_ns=ready_ns,
        start_ns=start_ns,
        end_ns=end_ns,
        power_w=power_w,
        rail=rail,
    )


def test_occupancy_is_the_share_of_time_that_a_resource_is_held() -> None:
    """Two jobs that overlap count once; the timeline may be longer than the last job."""
    found = usage([span("a", "cpu", 0, 0, 40), span("b", "cpu", 0, 20, 60)], length_ns=100)
    assert found["cpu"].busy_ns == 60
    assert found["cpu"].occupancy == pytest.approx(0.6)


def test_queueing_delay_is_the_time_between_ready_and_start() -> None:
    """Each resource has the sum and the largest of its own jobs."""
    found = usage([
        span("a", "fpga", 0, 0, 10), span("b", "fpga", 4, 10, 20), span("c", "fpga", 5, 20, 30),
        span("d", "cpu", 0, 3, 9),
    ])  # fmt: skip
    assert (found["fpga"].queued_ns, found["fpga"].longest_queued_ns) == (21, 15)
    assert (found["cpu"].queued_ns, found["cpu"].longest_queued_ns) == (3, 3)
    assert found["cpu"].occupancy == pytest.approx(6 / 30)


def test_peak_power_adds_what_runs_at_one_time_on_each_rail() -> None:
    """A job that ends as the next one starts does not add to it; unnamed rails share a line."""
    jobs = [
        span("a", "cpu", 0, 0, 10, power_w=2.0, rail="soc"),
        span("b", "cpu", 0, 10, 20, power_w=3.0, rail="soc"),
        span("c", "gpu", 0, 15, 30, power_w=4.0, rail="soc"),
        span("d", "usb", 0, 0, 5, power_w=0.5, rail="elsewhere"),
    ]
    assert peak_power_w(jobs, {"soc": 1.0, "ddr": 0.3}) == {"soc": 8.0, "ddr": 0.3, "": 0.5}


def test_times_out_of_order_are_refused() -> None:
    """A job that starts before it is ready, and one that outlasts the timeline."""
    with pytest.raises(InputError, match="'a' is ready at 5 ns, starts at 3"):
        span("a", "cpu", 5, 3, 9)
    with pytest.raises(InputError, match="a job ends at 9 ns, the timeline at 8"):
        usage([span("a", "cpu", 0, 3, 9)], length_ns=8)
