"""Typed reading of one TOML table, with errors that name file, table and key.

Invariants: a key that is not known is an error, never ignored; a number names its source, either
by ``source = "..."`` for the whole table or by ``source.<key> = "..."``, where ``source.rest``
stands for every number without one of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from heterolith.errors import InputError, unknown_name

LARGEST = 1e15
"""No fact about a board is larger; what is, is a slip of units."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value must be; ``read`` returns `None` for a value that is something else."""

    expected: str
    read: Callable[[object], object]
    sourced: bool = True


@dataclass(frozen=True, slots=True)
class Schema:
    """The keys of a table; ``sources`` is false where the table around it names them."""

    required: Mapping[str, Kind]
    optional: Mapping[str, Kind] = field(default_factory=dict)
    sources: bool = True


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= LARGEST else None


def _positive(value: object) -> float | None:
    return _number(value) or None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and _positive(value) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _ascending(value: object) -> tuple[float, ...] | None:
    if not isinstance(value, list) or not value or not all(map(_positive, value)):
        return None
    return tuple(map(float, value)) if value == sorted(set(value)) else None


def _texts(value: object) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and value and all(map(_text, value)) else None


def _table(value: object) -> dict[str, Any] | None:
    return value if isinstance(value, dict) and value else None


NUMBER = Kind("a number from 0 to 1e15", _number)
POSITIVE = Kind("a number above 0, to 1e15", _positive)
COUNT = Kind("an integer above 0, to 1e15", _count)
ASCENDING = Kind("a list of numbers above 0, ascending", _ascending)
FACTS = Kind("a table of numbers", _table)
TEXT = Kind("a text", _text, sourced=False)
TEXTS = Kind("a list of texts", _texts, sourced=False)
TABLE = Kind("a table", _table, sourced=False)


def read(
    where: str, values: Mapping[str, Any], schema: Schema
) -> tuple[dict[str, Any], dict[str, str]]:
    """Check a table against its schema.

    Parameters
    ----------
    where
        File and table, for the errors.

    Returns
    -------
    The values by key, and the source of each number by key.

    Raises
    ------
    InputError
        If a key is unknown or missing, a value is not what it must be, or a number has no source.
    """
    kinds = {**schema.required, **schema.optional}
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key == "source" and schema.sources:
            continue
        if key not in kinds:
            raise unknown_name(f"key in {where}", key, kinds)
        found[key] = kinds[key].read(value)
        if found[key] is None:
            raise InputError(f"{where}: {key} is {value!r}; it must be {kinds[key].expected}")
    for key, kind in schema.required.items():
        if key not in found:
            raise InputError(f"{where} has no {key}; add {key}, {kind.expected}")
    numbers = [key for key in found if kinds[key].sourced] if schema.sources else []
    return found, sources(where, values.get("source", {}), numbers)


def sources(where: str, given: object, keys: list[str]) -> dict[str, str]:
    """Return the source of each key from a table's ``source``; raises `InputError` like `read`."""
    table: dict[str, str] = given if isinstance(given, dict) else {"rest": str(given)}
    if not isinstance(given, (str, dict)) or not all(map(_text, table.values())):
        raise InputError(f"{where}: source is {given!r}; it must be a text, or a table of texts")
    for key in table:
        if key != "rest" and key not in keys:
            raise unknown_name(f"number with a source in {where}", key, [*keys, "rest"])
    for key in keys:
        if key not in table and "rest" not in table:
            raise InputError(f'{where}: {key} names no source; add source.{key} = "..."')
    return {key: table[key if key in table else "rest"] for key in keys}
