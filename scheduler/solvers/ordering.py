"""List scheduling of many placements at once, one per column of arrays: orders from priorities.

The rule of `listing`, but a task's start is foreseen as if the links were free. That is an
estimate; what is returned is carried out exactly, like everything in `batch`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.model import Floats, Ints
from heterolith.scheduler.problem import HOME
from heterolith.scheduler.solvers.batch import CLOSED, NEVER, Batch, Figures, Run

WAITS_NS = (0, 0, 100_000, 300_000, 1_000_000)
"""How much later than the earliest start one may be whose priority is higher, drawn per column."""
BIAS = 0.3
"""Spread of the priorities that whole networks get, in parts of the longest tail."""


class Orderer:
    """The graph of a problem, made ready to order its tasks for many placements at once."""

    def __init__(self, batch: Batch) -> None:
        self.batch, problem = batch, batch.problem
        makers = [{problem.tensors[t].producer for t in k.inputs} - {HOME} for k in problem.tasks]
        self.waits = np.array([len(made) for made in makers], np.int64)
        self.sources = np.flatnonzero(self.waits == 0)
        readers: list[list[int]] = [[] for _ in makers]
        for index, made in enumerate(makers):
            for maker in made:
                readers[maker].append(index)
        # One that is no task fills up.
        self.readers = np.full((len(makers), max(map(len, readers), default=0)), batch.count)
        for index, row in enumerate(readers):
            self.readers[index, : len(row)] = row
        self.way_ns = np.where(batch.closed, CLOSED, batch.hop_ns.sum(axis=3))
        same = np.arange(batch.devices)
        self.way_ns[:, same, same] = 0
        self.way_ns[batch.tensors] = 0

    def tails_ns(self, picks: Ints, weights: Floats) -> Floats:
        """Return, per task, the longest path from its start to the end of everything.

        Parameters
        ----------
        picks
            Choice per task, shape (tasks, n).
        weights
            What counts of the time on each device, and (last row) on links; (devices + 1, n).
        """
        batch, problem = self.batch, self.batch.problem
        device = np.take_along_axis(batch.device, picks, 1)
        counted = np.take_along_axis(weights, device, 0)
        own_ns = np.take_along_axis(batch.latency_ns, picks, 1) * counted
        tails = np.zeros((batch.count, picks.shape[1]))
        delivered = set(problem.outputs)
        for index in range(batch.count - 1, -1, -1):
            tail, made = np.zeros(picks.shape[1]), set(problem.tasks[index].outputs)
            for tensor in made & delivered:
                way_ns = self.way_ns[tensor, device[index], problem.home]
                np.maximum(tail, weights[-1] * way_ns, out=tail)
            for reader in self.readers[index][self.readers[index] < batch.count].tolist():
                for tensor in made & set(problem.tasks[reader].inputs):
                    way_ns = self.way_ns[tensor, device[index], device[reader]]
                    np.maximum(tail, weights[-1] * way_ns + tails[reader], out=tail)
            tails[index] = own_ns[index] + tail
        return tails

    def drawn(self, picks: Ints, rng: np.random.Generator) -> tuple[Ints, Figures]:
        """Order placements by tails under drawn weights, and networks by drawn priorities."""
        count = picks.shape[1]
        weights = rng.uniform(0, 1, (self.batch.devices + 1, count)) ** 1.5
        weights[:, 0] = 1.0  # the plain rule is among them
        ranks = self.tails_ns(picks, weights)
        bias = rng.normal(0, BIAS, (len(self.batch.problem.members), count))
        bias[:, 0] = 0.0
        ranks += (bias * ranks.max(axis=0))[self.batch.member]
        wait_ns = rng.choice(np.array(WAITS_NS, np.int64), count)
        return self.run(picks, ranks, wait_ns)

    def run(self, picks: Ints, ranks: Floats, wait_ns: Ints) -> tuple[Ints, Figures]:
        """Dispatch, of the tasks that could start soonest, the one of highest rank.

        Parameters
        ----------
        picks, ranks
            Choice and rank per task, shapes (tasks, n).
        wait_ns
            How much later than the earliest a start may be, shape (n,).

        Returns
        -------
        orders, figures
            Tasks in order of dispatch, shape (tasks, n), and what `Batch.run` makes of them.
        """
        run, ready = Run(self.batch, picks), _Ready(self, picks, ranks)
        ready.add(run, np.tile(self.sources[:, None], picks.shape[1]))
        orders = np.empty_like(picks)
        for step in range(self.batch.count):
            slots = ready.chosen(run, wait_ns)
            tasks = ready.take(slots)
            run.dispatch(tasks)
            ready.release(run, tasks)
            orders[step] = tasks
        return orders, run.figures


@dataclass(slots=True)
class _Table:
    """What could be dispatched: task, device, rank and foreseen start, shapes (slots, n)."""

    task: Ints
    device: Ints
    rank: Floats
    start_ns: Ints


class _Ready:
    """The tasks whose inputs are made, per column."""

    def __init__(self, orderer: Orderer, picks: Ints, ranks: Floats) -> None:
        self.orderer, self.count = orderer, orderer.batch.count
        self.rows = np.arange(picks.shape[1])
        self.device = np.take_along_axis(orderer.batch.device, picks, 1)
        self.ranks = ranks
        self.waits = np.tile(orderer.waits[:, None], picks.shape[1])
        # A row for what is no task: it never becomes ready.
        self.waits = np.vstack([self.waits, np.full((1, picks.shape[1]), NEVER)])
        self.table = self._empty(2 * len(orderer.sources))

    def _empty(self, slots: int) -> _Table:
        shape = (max(8, slots), len(self.rows))
        return _Table(
            np.full(shape, self.count),
            np.zeros(shape, np.int64),
            np.full(shape, -np.inf),
            np.full(shape, NEVER),
        )

    def chosen(self, run: Run, wait_ns: Ints) -> Ints:
        """Return the slot to dispatch next, per column."""
        table = self.table
        start_ns = np.maximum(table.start_ns, run.device_ns[self.rows, table.device])
        soon = start_ns <= start_ns.min(axis=0) + wait_ns
        return np.asarray(np.where(soon, table.rank, -np.inf).argmax(axis=0))

    def take(self, slots: Ints) -> Ints:
        """Empty slots; return their tasks."""
        table, at = self.table, (slots, self.rows)
        tasks: Ints = table.task[at]
        table.task[at], table.rank[at], table.start_ns[at] = self.count, -np.inf, NEVER
        return tasks

    def release(self, run: Run, tasks: Ints) -> None:
        """Take up the readers of tasks just dispatched that wait for nothing more."""
        for readers in self.orderer.readers[tasks].T:
            self.waits[readers, self.rows] -= 1
            new = np.flatnonzero(self.waits[readers, self.rows] == 0)
            if len(new):
                self._put(run, readers[new], new)

    def add(self, run: Run, tasks: Ints) -> None:
        """Take up tasks that wait for nothing, shape (k, n)."""
        for row in tasks:
            self._put(run, row, self.rows)

    def _put(self, run: Run, tasks: Ints, rows: Ints) -> None:
        free = self.table.task[:, rows] == self.count
        if not free.any(axis=0).all():
            more = self._empty(len(self.table.task))
            self.table = _Table(
                np.vstack([self.table.task, more.task]),
                np.vstack([self.table.device, more.device]),
                np.vstack([self.table.rank, more.rank]),
                np.vstack([self.table.start_ns, more.start_ns]),
            )
            free = self.table.task[:, rows] == self.count
        at = (free.argmax(axis=0), rows)
        device = self.device[tasks, rows]
        start_ns = np.zeros(len(rows), np.int64)
        for tensors in self.orderer.batch.inputs[tasks].T:
            way_ns = self.orderer.way_ns[tensors, run.made_at[rows, tensors], device]
            np.maximum(start_ns, run.made_ns[rows, tensors] + way_ns, out=start_ns)
        self.table.task[at], self.table.device[at] = tasks, device
        self.table.rank[at], self.table.start_ns[at] = self.ranks[tasks, rows], start_ns
