"""Search over the operating points of the whole platform, most promising first.

Few modes are searched at once. Of many, path bounds are computed first; then they are searched in
blocks, each with the best plan of the earlier ones to prune by, and modes that cannot hold a better
plan are left out.
Invariant: the lower bound holds for every mode, searched or not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from heterolith.scheduler.model import LARGEST, Model, restrict
from heterolith.scheduler.optimize import Incumbent, Optimizer

BLOCK = 64
"""Modes that are searched together."""


class ModeSearch:
    """The best plan of a model with any number of modes; ``best`` is valid at any time."""

    def __init__(
        self, model: Model, best: Incumbent, late: Callable[[], bool], effort: float = 1.0
    ) -> None:
        self.model, self.late, self.effort = model, late, effort
        self._known = best
        self._current: Optimizer | None = None
        self._searched = np.inf
        self._ahead = np.inf

    @property
    def best(self) -> Incumbent:
        """The best plan so far."""
        current = self._current
        if current is not None and current.best.value < self._known.value:
            return current.best
        return self._known

    @property
    def lower_bound(self) -> float:
        """A lower bound of the value that holds at any time."""
        current = np.inf if self._current is None else self._current.lower_bound
        return max(0.0, float(min(self._searched, self._ahead, current, self.best.value)))

    def run(self) -> float:
        """Search; return a lower bound of the value, infinite if there is provably no plan."""
        model = self.model
        if len(model.modes) <= BLOCK or model.changes is not None:
            return self._search(model)
        self._ahead = 0.0
        bounds = Optimizer(model, self._known, self.late).mode_bounds()
        order = np.argsort(bounds, kind="stable")
        order = order[np.isfinite(bounds[order])]
        for first in range(0, len(order), BLOCK):
            block = [m for m in order[first : first + BLOCK] if bounds[m] < self.best.value]
            self._ahead = float(bounds[order[first + BLOCK :]].min(initial=np.inf))
            if block:
                found = self._search(restrict(model, [int(mode) for mode in block]))
                self._searched = min(self._searched, found)
        return self._searched if self.best.value == LARGEST else self.lower_bound

    def _search(self, model: Model) -> float:
        """Search some modes; return their lower bound."""
        if not all(model.options):
            return float(np.inf)
        self._known = self.best
        self._current = Optimizer(model, self._known, self.late, self.effort)
        bound = self._current.run()
        self._current, self._known = None, self.best
        return bound
