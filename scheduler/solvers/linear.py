"""A mixed-integer linear program as data: what HiGHS and CP-SAT are both fed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

Terms = Mapping[int, int]
"""Variable -> integer coefficient."""
Offers = tuple[tuple[tuple[int, int], ...], ...]
"""Per task: (variable, choice index)."""


@dataclass(slots=True)
class Program:
    """Integer data; ``lower <= terms . x <= upper`` per row, and implications.

    Attributes
    ----------
    lows, highs, whole
        Bounds per variable, and whether it must be a whole number.
    rows
        (terms, lower or None, upper or None).
    implications
        (binary variable, terms, lower): if the variable is 1, ``terms . x >= lower``.
    goal
        The variable to make least.
    ready
        What a solver has made of the rows, to solve again under other bounds of variables.
    """

    lows: list[int] = field(default_factory=list)
    highs: list[int] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    rows: list[tuple[Terms, int | None, int | None]] = field(default_factory=list)
    implications: list[tuple[int, Terms, int]] = field(default_factory=list)
    goal: int = -1
    ready: object = None

    def variable(self, high: int, *, low: int = 0, whole: bool = False) -> int:
        """Add a variable and return its index."""
        self.lows.append(low)
        self.highs.append(high)
        self.whole.append(whole)
        return len(self.lows) - 1

    def binary(self) -> int:
        """Add a variable that is 0 or 1."""
        return self.variable(1, whole=True)

    def equal(self, terms: Terms, value: int = 0) -> None:
        """Demand ``terms . x = value``."""
        self.rows.append((terms, value, value))

    def at_least(self, terms: Terms, value: int = 0) -> None:
        """Demand ``terms . x >= value``."""
        self.rows.append((terms, value, None))

    def at_most(self, terms: Terms, value: int) -> None:
        """Demand ``terms . x <= value``."""
        self.rows.append((terms, None, value))

    def implies(self, variable: int, terms: Terms, value: int = 0) -> None:
        """Demand ``terms . x >= value`` where a binary variable is 1."""
        self.implications.append((variable, terms, value))

    def plain(self) -> Program:
        """Return a copy of its own bounds, without what a solver has made of the rows."""
        return replace(self, lows=self.lows.copy(), highs=self.highs.copy(), ready=None)

    def least(self, terms: Terms) -> int:
        """Return a lower bound of ``terms . x`` from the bounds of the variables."""
        return sum(c * (self.lows[v] if c > 0 else self.highs[v]) for v, c in terms.items())


def combine(parts: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Add up (variable, coefficient) pairs."""
    terms: dict[int, int] = {}
    for variable, coefficient in parts:
        terms[variable] = terms.get(variable, 0) + coefficient
    return terms


def picked(offers: Offers, values: Sequence[float]) -> tuple[int, ...]:
    """Return the choice per task that a solution gives most to."""
    return tuple(max(row, key=lambda offer: values[offer[0]])[1] for row in offers)
