"""Many placements of several networks carried out at once, one per column of arrays.

The execution model of `heterolith.scheduler.timeline` for given choices and orders of dispatch;
times are int64 nanoseconds. Invariant: the same latencies and energies, to the last integer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.model import Ints
from heterolith.scheduler.problem import HOME, Problem

NEVER = 2**61
"""Arrival of a tensor that is not there."""
CLOSED = NEVER // 4096
"""What a closed route takes, and costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Dynamic energy in pJ, shape (n,), and latency of each member in ns, shape (members, n)."""

    energy_pj: Ints
    finish_ns: Ints


class Batch:
    """The costs of a problem with members as arrays."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.count, self.tensors = len(problem.tasks), len(problem.tensors)
        self.devices, self.links = len(problem.devices), len(problem.links)
        widest = max(len(task.choices) for task in problem.tasks)
        shape = (self.count, widest)
        self.device = np.zeros(shape, np.int64)
        self.latency_ns = np.zeros(shape, np.int64)
        self.energy_pj = np.zeros(shape, np.int64)
        for index, task in enumerate(problem.tasks):
            for pick, choice in enumerate(task.choices):
                self.device[index, pick] = choice.device
                self.latency_ns[index, pick] = choice.latency_ns
                self.energy_pj[index, pick] = choice.energy_pj
        self.inputs = self._padded([tuple(dict.fromkeys(t.inputs)) for t in problem.tasks])
        self.outputs = self._padded([task.outputs for task in problem.tasks])
        self.delivered = self._padded([member.outputs for member in problem.members])
        self.member = np.zeros(self.count, np.int64)
        for row, member in enumerate(problem.members):
            self.member[list(member.tasks)] = row
        self._routes()

    def _padded(self, rows: list[tuple[int, ...]]) -> Ints:
        """Return tensors per row; one that is no tensor fills up."""
        table = np.full((len(rows), max(map(len, rows), default=0)), self.tensors, np.int64)
        for index, row in enumerate(rows):
            table[index, : len(row)] = row
        return table

    def _routes(self) -> None:
        routes = [tensor.routes for tensor in self.problem.tensors]
        most = max((len(hops) for ways in routes for hops in ways.values()), default=0)
        shape = (self.tensors + 1, self.devices, self.devices)
        self.hop_ns = np.zeros((*shape, most), np.int64)
        # The link behind the last one stands for no link.
        self.hop_link = np.full((*shape, most), self.links, np.int64)
        self.route_pj = np.full(shape, CLOSED, np.int64)
        self.closed = np.ones(shape, bool)
        for tensor, ways in enumerate(routes):
            for (origin, target), hops in ways.items():
                self.closed[tensor, origin, target] = False
                self.route_pj[tensor, origin, target] = sum(hop.energy_pj for hop in hops)
                for row, hop in enumerate(hops):
                    self.hop_ns[tensor, origin, target, row] = hop.latency_ns
                    self.hop_link[tensor, origin, target, row] = hop.link

    def run(self, picks: Ints, orders: Ints) -> Figures:
        """Carry out placements.

        Parameters
        ----------
        picks, orders
            Choice per task, and tasks in order of dispatch, shapes (tasks, n).
        """
        run = Run(self, picks)
        for tasks in orders:
            run.dispatch(tasks)
        return run.figures


class Run:
    """State of n placements under way; every column dispatches one task at a time."""

    def __init__(self, batch: Batch, picks: Ints) -> None:
        count = picks.shape[1]
        self.batch, self.rows, self.picks = batch, np.arange(count), picks
        self.device_ns = np.zeros((count, batch.devices), np.int64)
        self.link_ns = np.zeros((count, batch.links + 1), np.int64)
        self.made_at = np.full((count, batch.tensors + 1), batch.problem.home, np.int64)
        self.made_ns = np.zeros((count, batch.tensors + 1), np.int64)
        self.arrival_ns = np.full((count, batch.tensors + 1, batch.devices), NEVER, np.int64)
        inputs = [i for i, t in enumerate(batch.problem.tensors) if t.producer == HOME]
        self.arrival_ns[:, inputs, batch.problem.home] = 0
        self.arrival_ns[:, batch.tensors] = 0
        self.energy_pj = np.zeros(count, np.int64)
        self.finish_ns = np.zeros((len(batch.problem.members), count), np.int64)
        self.left = np.bincount(batch.member)[:, None].repeat(count, axis=1)

    @property
    def figures(self) -> Figures:
        """Energy and latencies of what has been dispatched."""
        return Figures(energy_pj=self.energy_pj, finish_ns=self.finish_ns)

    def dispatch(self, tasks: Ints) -> None:
        """Dispatch a task per column."""
        batch, rows = self.batch, self.rows
        chosen = self.picks[tasks, rows]
        device = batch.device[tasks, chosen]
        start_ns = self.device_ns[rows, device]
        for tensors in batch.inputs[tasks].T:
            if (tensors < batch.tensors).any():
                np.maximum(start_ns, self._fetch(rows, tensors, device), out=start_ns)
        end_ns = start_ns + batch.latency_ns[tasks, chosen]
        self.device_ns[rows, device] = end_ns
        self.energy_pj += batch.energy_pj[tasks, chosen]
        for tensors in batch.outputs[tasks].T:
            self._make(tensors, device, end_ns)
        members = batch.member[tasks]
        self.left[members, rows] -= 1
        self.finish_ns[members, rows] = np.maximum(self.finish_ns[members, rows], end_ns)
        self._deliver(np.flatnonzero(self.left[members, rows] == 0), members)

    def _make(self, tensors: Ints, device: Ints, end_ns: Ints) -> None:
        rows = np.flatnonzero(tensors < self.batch.tensors)
        made = tensors[rows]
        self.made_at[rows, made] = device[rows]
        self.made_ns[rows, made] = end_ns[rows]
        self.arrival_ns[rows, made, device[rows]] = end_ns[rows]

    def _deliver(self, rows: Ints, members: Ints) -> None:
        """Send the outputs of members home whose last task has been dispatched."""
        home = np.full(len(rows), self.batch.problem.home)
        for column in range(self.batch.delivered.shape[1] if len(rows) else 0):
            own = members[rows]
            at_ns = self._fetch(rows, self.batch.delivered[own, column], home)
            self.finish_ns[own, rows] = np.maximum(self.finish_ns[own, rows], at_ns)

    def _fetch(self, rows: Ints, tensors: Ints, device: Ints) -> Ints:
        """Have tensors at devices; return their arrivals."""
        batch = self.batch
        arrival_ns = self.arrival_ns[rows, tensors, device]
        missing = np.flatnonzero(arrival_ns == NEVER)
        if len(missing):
            where, what, target = rows[missing], tensors[missing], device[missing]
            origin = self.made_at[where, what]
            now_ns = self.made_ns[where, what]
            for hop in range(batch.hop_ns.shape[3]):
                link = batch.hop_link[what, origin, target, hop]
                now_ns = np.maximum(now_ns, self.link_ns[where, link])
                now_ns = now_ns + batch.hop_ns[what, origin, target, hop]
                self.link_ns[where, link] = now_ns
                self.link_ns[where, batch.links] = 0
            closed = batch.closed[what, origin, target]
            now_ns[closed] = CLOSED
            self.energy_pj[where] += batch.route_pj[what, origin, target]
            self.arrival_ns[where, what, target] = now_ns
            arrival_ns[missing] = now_ns
        return arrival_ns
