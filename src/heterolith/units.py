"""Quantities with units as people type them: ``33ms``, ``2W``, ``512MiB``.

Inside the package time is integer nanoseconds, power integer milliwatts, energy integer picojoules
(1 mW x 1 ns = 1 pJ exactly), memory integer bytes. Conversion happens here and nowhere else.
"""

from __future__ import annotations

import re

from heterolith.errors import InputError

_TIME_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}
_POWER_MW = {"mW": 1, "W": 10**3}
_MEMORY_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\W\d]*)\s*")


def _parse(text: str, table: dict[str, int], what: str, example: str) -> int:
    match = _QUANTITY.fullmatch(text)
    units = ", ".join(table)
    if match is None or match[2] not in table:
        raise InputError(f"{what} {text!r} has no known unit; write e.g. {example} ({units})")
    value = round(float(match[1]) * table[match[2]])
    if value <= 0 or value >= 2**62:
        raise InputError(f"{what} {text!r} must be above 0 and finite; write e.g. {example}")
    return value


def time_ns(text: str, what: str = "time") -> int:
    """Parse a duration such as ``33ms`` into nanoseconds.

    Raises
    ------
    InputError
        If the unit is missing or unknown, or the value is not positive.
    """
    return _parse(text, _TIME_NS, what, "33ms")


def power_mw(text: str, what: str = "power") -> int:
    """Parse a power such as ``2W`` into milliwatts; raises `InputError` like `time_ns`."""
    return _parse(text, _POWER_MW, what, "2W")


def memory_bytes(text: str, what: str = "memory") -> int:
    """Parse a size such as ``512MiB`` into bytes; raises `InputError` like `time_ns`."""
    return _parse(text, _MEMORY_BYTES, what, "512MiB")


def share_ppm(text: str, what: str = "share") -> int:
    """Parse a share such as ``0.5%`` into millionths.

    Raises
    ------
    InputError
        If it is no percentage in 0..100.
    """
    match = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*%\s*", text)
    if match is None or float(match[1]) > 100:
        raise InputError(f"{what} {text!r} is no percentage in 0..100; write e.g. 0.5%")
    return round(float(match[1]) * 10**4)
