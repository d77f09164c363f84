"""What the units of the cycle model share."""

import math

import pytest

from heterolith.errors import InputError
from heterolith.hw.timing.events import DRAM_LIMIT, Clock, Dram, Server, dram_of


def test_events_happen_in_order_of_time_and_of_request():
    """A later request for the same time comes later; a time in the past is now."""
    clock, seen = Clock(), []

    class Nothing:
        due = math.inf

        def advance(self):
            """Do nothing."""

    clock.at(5, lambda: (seen.append("b"), clock.at(1, lambda: seen.append(("late", clock.now)))))
    clock.at(3, lambda: seen.append("a"))
    clock.at(5, lambda: seen.append("c"))
    clock.run(Nothing())
    assert seen == ["a", "b", "c", ("late", 5)]


def test_bursts_are_served_in_order_of_arrival():
    """A write waits for the read before it, and the next read for the write."""
    server = Server(Dram(bytes_per_cycle=8.0, latency_cycles=50), lanes=16)
    assert server.read(0, 16) == 0 + 3 + 50 + 32
    assert server.write(10, 4) == 32 + 8 + 50
    assert server.read(11, 2) == 40 + 3 + 50 + 4


def test_beats_of_a_fast_memory_come_one_a_cycle():
    """The data channel carries a beat a cycle, whatever the DRAM gives."""
    server = Server(Dram(bytes_per_cycle=64.0, latency_cycles=50), lanes=16)
    first, second = server.read(0, 16), server.read(1, 16)
    assert (first, second) == (3 + 50 + 16, 3 + 50 + 32)


def test_memory_of_a_board_in_cycles():
    """4.27 GB/s at 300 MHz are 14.2 bytes a cycle; more than the ports take is capped."""
    assert dram_of(4.27, 300).bytes_per_cycle == pytest.approx(14.2333, abs=1e-4)
    assert dram_of(100, 100).bytes_per_cycle == DRAM_LIMIT


@pytest.mark.parametrize("gbs", [0.0, -1.0, float("nan")])
def test_bandwidth_must_be_positive(gbs):
    """A DRAM without bandwidth is refused."""
    with pytest.raises(InputError, match="bandwidth"):
        dram_of(gbs, 100)
