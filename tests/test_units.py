"""Quantities with units."""

import pytest

from heterolith import units
from heterolith.errors import InputError


@pytest.mark.parametrize(
    ("text", "ns"),
    [("33ms", 33_000_000), ("1 s", 10**9), ("2.5us", 2500), ("7ns", 7), ("1e3us", 10**6)],
)
def test_time_is_nanoseconds(text: str, ns: int) -> None:
    """A duration with unit becomes integer nanoseconds."""
    assert units.time_ns(text) == ns


def test_power_and_memory() -> None:
    """Power becomes milliwatts, memory bytes, binary and decimal prefixes apart."""
    assert units.power_mw("2W") == 2000
    assert units.power_mw("450mW") == 450
    assert units.memory_bytes("512MiB") == 512 * 2**20
    assert units.memory_bytes("1MB") == 10**6


@pytest.mark.parametrize(
    "text",
    [
        "33",  # no unit
        "33 parsecs",  # unknown unit
        "-5ms",  # negative
        "0ms",  # zero
        "ms",  # no number
        "",  # nothing
        "1e30s",  # beyond 64 bits
        "nanms",  # not a number
    ],
)
def test_bad_durations_are_refused_with_an_example(text: str) -> None:
    """The message names what was given and shows a right form."""
    with pytest.raises(InputError, match="33ms"):
        units.time_ns(text, "deadline")
