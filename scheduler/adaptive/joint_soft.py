"""The joint policy where nothing can be guaranteed: clients, overload.

Tasks keep their placement; on each resource depths and degrees are planned by the dynamic program
of imprecise computation, and mandatory stages go first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.adaptive.books import JobView
from heterolith.scheduler.adaptive.imprecise import Request, plan
from heterolith.scheduler.adaptive.imprecise_policy import Imprecise
from heterolith.scheduler.adaptive.joint_plan import Mechanisms, Pricing, time_ns
from heterolith.scheduler.adaptive.model import KnobNetwork, Scenario
from heterolith.scheduler.realtime.simulate import Machine

BINS = 10
EPSILON = 0.02
"""Of the plan: fine enough to tell degrees apart."""
Expected = Callable[[int, float], Sequence[float]]


def expected_confidence(network: KnobNetwork, errors: float = 0.0) -> Expected:
    """Return a function (exit reached, its confidence) -> expected confidence of every exit.

    Means over held-out images whose confidence falls into the same of ten bins of equal count, plus
    so many standard errors of the gain.
    """
    trace = network.trace
    if trace is None:
        return lambda exit_, seen: [seen] * len(network.exits)
    exact = [layer.degrees[0].name for layer in network.layers]
    held = np.stack(
        [
            trace.confidence[trace.row(exact, e), : trace.held_out, e]
            for e in range(len(trace.exits))
        ],
        axis=1,
    )
    tables = []
    for exit_ in range(len(trace.exits)):
        edges = np.quantile(held[:, exit_], np.linspace(0, 1, BINS + 1)[1:-1])
        which = np.searchsorted(edges, held[:, exit_])
        rows = []
        for number in range(BINS):
            group = held[which == number] if (which == number).any() else held
            spread = (group - group[:, [exit_]]).std(axis=0) / np.sqrt(len(group))
            rows.append(group.mean(axis=0) + errors * spread)
        tables.append((edges.tolist(), np.array(rows).tolist()))

    def look(exit_: int, seen: float) -> Sequence[float]:
        edges, rows = tables[exit_]
        row: Sequence[float] = rows[int(np.searchsorted(edges, seen))]
        return row

    return look


class Drops:
    """What degrees lose at an exit against the first ones, in confidence of being right.

    Top-1 fractions over held-out images, of the whole mix: losses of blocks are measured at the
    last exit and say little of the first.
    """

    def __init__(self, network: KnobNetwork) -> None:
        self.network = network
        self._known: dict[tuple[int, ...], float] = {}

    def at(self, degrees: Sequence[int], exit_: int) -> float:
        """Return the loss of a mix at the exit that its blocks end with, 0 or more."""
        key = tuple(degrees)
        if key not in self._known:
            chosen = list(zip(self.network.layers, key, strict=False))
            loss = sum(layer.degrees[d].loss for layer, d in chosen)
            if self.network.trace is not None:
                exact = self._right([layer.degrees[0].name for layer, _ in chosen], exit_)
                loss = exact - self._right([layer.degrees[d].name for layer, d in chosen], exit_)
            self._known[key] = max(0.0, loss)
        return self._known[key]

    def _right(self, names: Sequence[str], exit_: int) -> float:
        trace = self.network.trace
        assert trace is not None
        row = trace.row(names, exit_)
        return float(trace.correct[row, : max(1, trace.held_out), exit_].mean())


@dataclass(slots=True)
class _Plan:
    """Predicted confidences, exits to reach, and whether in the fastest degrees."""

    predicted: tuple[float, ...]
    depth: int
    fast: bool = False


class SoftJoint(Imprecise):
    """Depths and degrees by dynamic programming on every resource, mandatory stages first.

    Rewards are expected confidence less what the degrees lose at that exit (`Drops`) and less what
    the energy is worth. `point` is the operating point while there is work.
    """

    def __init__(
        self,
        scenario: Scenario,
        costs: Sequence[Pricing],
        mechanisms: Mechanisms,
        point: int = 0,
    ) -> None:
        self._expected = [expected_confidence(task.network) for task in scenario.tasks]
        super().__init__(scenario, "exp", EPSILON)
        self.costs, self.mechanisms, self._usual = costs, mechanisms, point
        board = self.board
        self._drops = [Drops(task.network) for task in scenario.tasks]
        last = [-1 if mechanisms.degrees else 0 for _ in costs]
        self._blocks = [
            [
                [
                    (time_ns(board, x, d, point), cost.energy(x, d, point))
                    for x in task.network.layers
                ]
                for d in (0, end)
            ]
            for task, cost, end in zip(scenario.tasks, costs, last, strict=True)
        ]

    def admit(self, view: JobView, machine: Machine) -> bool:  # noqa: D102 - as in AdaptivePolicy
        super().admit(view, machine)
        view.data = _Plan(predicted=view.data.predicted, depth=0)
        return True

    def _predict(self, view: JobView) -> tuple[float, ...]:
        if not view.depth:
            return self._mean[view.index]
        table = self._expected[view.index](view.depth - 1, view.confidences[-1])
        return (*view.confidences, *table[view.depth :])

    def degree(self, view: JobView, machine: Machine) -> int:  # noqa: D102 - as in AdaptivePolicy
        del machine
        return len(view.network.layers[view.layer].degrees) - 1 if view.data.fast else 0

    def point(self, machine: Machine) -> int | None:  # noqa: D102 - as in AdaptivePolicy
        del machine
        return self._usual

    def _left(self, view: JobView, depth: int, fast: bool) -> tuple[int, float]:
        """Return time and energy, pJ, of the blocks from the next one to a depth."""
        last = view.network.exits[depth - 1] if depth else -1
        blocks = self._blocks[view.index][fast][view.layer : last + 1]
        return sum(b[0] for b in blocks), sum(b[1] for b in blocks)

    def _drop(self, view: JobView, depth: int, fast: bool) -> float:
        """Return what the blocks so far and those to a depth lose at its exit."""
        layers = view.network.layers[: view.network.exits[depth - 1] + 1]
        ahead = layers[view.layer :]
        degrees = [*view.degrees[: view.layer], *(len(x.degrees) - 1 if fast else 0 for x in ahead)]
        return self._drops[view.index].at(degrees, depth - 1)

    def _left_ns(self, view: JobView, depth: int) -> int:
        return self._left(view, depth, view.data.fast)[0]

    def _plan(self, views: Sequence[JobView], now_ns: int) -> None:
        requests, meaning = [], []
        for view in views:
            view.data.fast = self.mechanisms.degrees  # mandatory stages are planned so
        owed = self._owed(views)
        begin = now_ns + sum(owed)
        for view, first_ns in zip(views, owed, strict=True):
            exits = len(view.network.exits)
            first = max(1, view.depth) if self.mechanisms.exits else exits
            ways = [(depth, False) for depth in range(first, exits + 1)]
            if self.mechanisms.degrees:
                ways += [(depth, True) for depth in range(max(first, view.depth + 1), exits + 1)]
            options = []
            for depth, fast in ways:
                time, energy = self._left(view, depth, fast)
                spent = energy / self.costs[view.index].worth_pj
                spent += self._drop(view, depth, fast) if depth > view.depth else 0.0
                time = max(0, time - first_ns)
                options.append((time, max(0.0, view.data.predicted[depth - 1] - spent)))
            requests.append(
                Request(deadline_ns=view.job.deadline_ns - begin, options=tuple(options))
            )
            meaning.append(ways)
        chosen = plan(requests, self.epsilon)
        for number, view in enumerate(views):
            if chosen is not None:
                view.data.depth, view.data.fast = meaning[number][chosen[number]]
            else:
                view.data.depth, view.data.fast = meaning[number][0][0], self.mechanisms.degrees

    def _admitted(self, views: Sequence[JobView], machine: Machine) -> list[JobView]:
        for view in views:  # what is owed is owed at the fastest degrees
            view.data.fast = self.mechanisms.degrees
        return super()._admitted(views, machine)
