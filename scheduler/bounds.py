"""Lower bounds that hold for every plan: Lagrangian scores along precedence paths.

A *score* is a weighted sum of criteria with a ceiling: each limit by itself, the value by itself,
and Lagrangian combinations of both (Geoffrion, Mathematical Programming Study 2, 1974). Time enters
a score through the longest path from a tensor to the end, additive quantities through each task's
least amount: a partial plan whose score exceeds the ceiling is in no feasible plan that is better
than the best one known. Bounds are float64; ceilings are widened by `TOLERANCE` so that rounding
never cuts a plan off.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.model import LARGEST, Bools, Floats, Ints, Model, Option
from heterolith.scheduler.modules import Module

TOLERANCE = 1e-11


@dataclass(frozen=True, slots=True)
class Scores:
    """Weighted sums of criteria.

    Attributes
    ----------
    weights
        float64 array of shape (scores, criteria).
    slopes, offsets
        float64 arrays of shape (scores,): a plan of value v that keeps all limits has scores of at
        most ``slopes * v + offsets``.
    either
        Whether it is enough to be below one of the ceilings that a value has a part in.
    """

    weights: Floats
    slopes: Floats
    offsets: Floats
    either: bool = False

    def ceilings(self, value: int) -> Floats:
        """Return the largest scores of plans with at most this value, shape (scores,)."""
        known = self.slopes * value if value < LARGEST else np.where(self.slopes > 0, np.inf, 0.0)
        tops = known + self.offsets
        return np.asarray(tops + np.abs(tops) * TOLERANCE)

    def take(self, rows: Sequence[int] | slice) -> Scores:
        """Return some of the scores."""
        return Scores(self.weights[rows], self.slopes[rows], self.offsets[rows])

    def ranks(self, bounds: Floats) -> Floats:
        """Return, from bounds of shape (scores, n), what a plan at least costs and uses up.

        Row 0 is the least value, row 1 the largest part of a limit that is used.
        """
        rows = self.slopes > 0
        values = (bounds[rows] - self.offsets[rows, None]) / self.slopes[rows, None]
        value = values.min(axis=0) if self.either else values.max(axis=0)
        used = bounds[~rows] / np.maximum(self.offsets[~rows, None], 1.0)
        return np.array([value, used.max(axis=0, initial=0.0)])


def by_promise(ranks: Floats) -> Ints:
    """Return all columns, the most promising first: three by value, one by use of limits."""
    by_value = np.argsort(ranks[0], kind="stable")
    if not ranks[1].any():
        return by_value
    places = np.arange(len(by_value), dtype=float)
    turns = np.empty((2, len(by_value)))
    turns[0, by_value] = places / 3
    turns[1, np.argsort(ranks[1], kind="stable")] = places
    return np.argsort(turns.min(axis=0), kind="stable")


def make_scores(model: Model, multipliers: Floats) -> Scores:
    """Return one Lagrangian score per row of multipliers, shape (scores, criteria).

    A multiplier of a criterion of the value weighs it within the value; one of a limit prices it.
    """
    scales = np.array(model.scales, float)
    limits = np.array(model.limits, float)
    priced = (scales == 0) & (limits < LARGEST)
    weights = np.where(priced | (scales > 0), multipliers, 0.0)
    return Scores(weights, weights @ scales, weights[:, priced] @ limits[priced])


def single_scores(model: Model) -> Scores:
    """Return each criterion by itself, against the value or against its limit."""
    count = len(model.limits)
    eye = np.eye(count)
    values = [i for i in range(count) if model.scales[i]]
    limits = [i for i in range(count) if model.limits[i] < LARGEST]
    return Scores(
        np.concatenate([eye[values], eye[limits]]),
        np.array([model.scales[i] for i in values] + [0] * len(limits), float),
        np.array([0] * len(values) + [model.limits[i] for i in limits], float),
    )


def join(*parts: Scores) -> Scores:
    """Return the scores of all parts, in order."""
    return Scores(
        np.concatenate([part.weights for part in parts]),
        np.concatenate([part.slopes for part in parts]),
        np.concatenate([part.offsets for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Tails:
    """What a module still has to pay, at least, beyond what a partial plan has paid.

    Attributes
    ----------
    rest
        Per task of the module: sum of the later tasks' least amounts, shape (scores, modes).
    ends
        Per task of the module: (scores, states), to pay on top once it has ended in a state.
    fresh
        Per tensor: (scores, states), to pay on top once it exists in a state.
    used
        Per task: the same for tensors with several readers, for the readers after it and without
        the amounts of transfers, which an earlier reader may have paid.
    """

    rest: list[Floats]
    ends: list[Floats]
    fresh: dict[int, Floats]
    used: list[dict[int, Floats]]


def _weighed(weights: Floats, figures: Floats) -> Floats:
    """Return sums over the first axis of figures, like the slower `numpy.tensordot`."""
    flat = weights @ figures.reshape(len(figures), math.prod(figures.shape[1:]))
    return flat.reshape(len(weights), *figures.shape[1:])


@dataclass(frozen=True, slots=True)
class _TaskArrays:
    """Options of a task in order of device: figures of shape (1 + quantities, options, modes)."""

    devices: Ints
    starts: Ints
    figures: Floats
    there: Bools

    def least(self, weights: Floats) -> Floats:
        """Return the least price of the amounts, shape (scores, modes)."""
        prices = _weighed(weights[:, 1:], self.figures[1:])
        return np.asarray(np.where(self.there, prices, np.inf).min(axis=1))

    def by_device(self, weights: Floats, ends: Floats) -> Floats:
        """Return the least price of running on each device and of what follows.

        Shape (scores, modes, devices), like ``ends``.
        """
        present = self.devices[self.starts]
        prices = np.full(ends.shape, np.inf)
        every = np.where(self.there, _weighed(weights, self.figures), np.inf)
        if len(self.starts) < len(self.devices):
            every = np.minimum.reduceat(every, self.starts, axis=1)
        prices[:, :, present] = every.transpose(0, 2, 1) + ends[:, :, present]
        return prices


def _task_arrays(options: tuple[Option, ...]) -> _TaskArrays:
    rows = sorted(options, key=lambda option: option.device)
    devices = np.array([option.device for option in rows], np.int64)
    starts = np.flatnonzero(np.diff(devices, prepend=-1))
    figures = np.array([[o.latency_ns, *o.amounts] for o in rows], float).transpose(1, 0, 2)
    return _TaskArrays(devices, starts, figures, np.array([option.there for option in rows]))


class Relaxation:
    """Costs of a model as arrays, and path bounds from them; every task must have an option."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.devices, self.modes = len(model.problem.devices), len(model.modes)
        self._tasks = [_task_arrays(options) for options in model.options]
        count, tensors = self.devices, len(model.routes)
        # Only these are read again after having been sent.
        reads = [t for task in model.problem.tasks for t in dict.fromkeys(task.inputs)]
        reads += dict.fromkeys(model.problem.outputs)
        self._shared = {tensor for tensor, times in Counter(reads).items() if times > 1}
        # Figures (tensors, 1 + quantities, origin, target); infinite where there is no route.
        self._routes = np.zeros((tensors, 1 + model.quantities, count, count))
        self._closed = np.full((tensors, count, count), np.inf)
        self._closed[:, range(count), range(count)] = 0.0
        for tensor, routes in enumerate(model.routes):
            for (origin, target), legs in routes.items():
                self._closed[tensor, origin, target] = 0.0
                for leg in legs:
                    self._routes[tensor, :, origin, target] += (leg.latency_ns, *leg.amounts)

    def tails(self, module: Module, weights: Floats, exits: Floats) -> Tails:
        """Return the path bounds of a module.

        Parameters
        ----------
        weights
            Scores by time and amounts, shape (scores, 1 + quantities).
        exits
            What is left to pay once the module's last task has ended in a state, shape (scores,
            states); the final module has transfers home instead.
        """
        tails = Tails([], [], {}, [])
        used: dict[int, Floats] = {}
        problem = self.model.problem
        shape = (len(weights), self.modes, self.devices)
        nothing = np.zeros(shape)
        if module.final:
            home = np.full(shape, np.inf)
            home[:, :, problem.home] = 0.0
            for tensor in problem.outputs:
                self._read(tails.fresh, used, tensor, weights, home)
        rest = np.zeros(shape[:2])
        for index in range(module.last - 1, module.first - 1, -1):
            task, arrays = problem.tasks[index], self._tasks[index]
            after = [tails.fresh[tensor] for tensor in task.outputs if tensor in tails.fresh]
            ends = np.max(after, axis=0) if after else nothing
            if index == module.last - 1 and not module.final:
                ends = exits.reshape(shape)
            tails.ends.append(ends)
            tails.rest.append(rest)
            tails.used.append(used.copy())
            least = arrays.least(weights)
            # In a mode in which the task cannot run both are infinite.
            price = arrays.by_device(weights, ends) - np.where(least < np.inf, least, 0)[:, :, None]
            rest = rest + least
            for tensor in dict.fromkeys(task.inputs):
                self._read(tails.fresh, used, tensor, weights, price)
        tails.rest.append(rest)
        for rows in (tails.ends, tails.rest, tails.used):
            rows.reverse()
        return self._by_state(tails)

    def _by_state(self, tails: Tails) -> Tails:
        """Flatten modes and devices into states."""

        def flat(rows: Floats) -> Floats:
            return rows.reshape(len(rows), -1)

        return Tails(
            tails.rest,
            [flat(rows) for rows in tails.ends],
            {tensor: flat(rows) for tensor, rows in tails.fresh.items()},
            [{tensor: flat(rows) for tensor, rows in used.items()} for used in tails.used],
        )

    def _read(
        self,
        fresh: dict[int, Floats],
        used: dict[int, Floats],
        tensor: int,
        weights: Floats,
        price: Floats,
    ) -> None:
        """Let a reader with a price per mode and device add to what is left for a tensor."""
        time = weights[:, :1, None] * self._routes[tensor, 0] + self._closed[tensor]
        paid = time + _weighed(weights[:, 1:], self._routes[tensor, 1:])
        tables = [(fresh, paid)]
        if tensor in self._shared:
            tables.append((used, time))
        for table, transfer in tables:
            # Axes: score, mode, origin. A loop, since numpy is slow on short axes.
            least = transfer[:, None, :, 0] + price[:, :, :1]
            for target in range(1, self.devices):
                way = transfer[:, None, :, target] + price[:, :, target, None]
                np.minimum(least, way, out=least)
            table[tensor] = np.maximum(table[tensor], least) if tensor in table else least

    def crossing(self, module: Module, weights: Floats) -> Floats:
        """Return the least scores of a module, shape (scores, modes, devices in, devices out)."""
        count, scores, modes = self.devices, len(weights), self.modes
        home = self.model.problem.home
        if module.final:
            tails = self.tails(module, weights, np.zeros((scores, modes * count)))
            table = np.full((scores, modes, count, count), np.inf)
            table[:, :, :, home] = self._entering(module, tails)
            return table
        exits = np.where(np.eye(count, dtype=bool), 0.0, np.inf)
        exits = np.tile(exits, (scores, modes))
        tails = self.tails(module, np.repeat(weights, count, axis=0), exits)
        table = self._entering(module, tails).reshape(scores, count, modes, count)
        return np.ascontiguousarray(table.transpose(0, 2, 3, 1))

    def _entering(self, module: Module, tails: Tails) -> Floats:
        """Return the least scores from each entry, shape (scores, modes, devices)."""
        shape = (len(tails.rest[0]), self.modes, self.devices)
        rows = [tails.fresh[tensor].reshape(shape) for tensor in module.entries]
        longest = np.max(rows, axis=0) if rows else np.zeros(shape)
        return np.asarray(longest + tails.rest[0][:, :, None])
