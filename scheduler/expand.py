"""How dispatching a task changes a label table: the execution model on whole rows.

What `timeline.Replay` does for one placement, this file does for all columns of a table at once.
Invariant: the same starts, ends and amounts, to the last integer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heterolith.scheduler.columns import UNDECIDED, Columns, loyalty
from heterolith.scheduler.labels import Layout, Program, Slot, Step
from heterolith.scheduler.model import LARGEST, Ints, Model, Option
from heterolith.scheduler.power import too_hot


class Expansion:
    """Changes label tables of one module; ``watched`` if busy intervals are to be carried."""

    def __init__(self, model: Model, program: Program, *, watched: bool) -> None:
        self.model, self.program, self.watched = model, program, watched
        layout = program.layout
        self.devices = layout.devices
        self.links = layout.link
        self.amounts = slice(layout.amount, layout.amount + layout.quantities)

    def initial(self, states: Ints) -> Columns:
        """Return one column per state in which the module is entered."""
        count, devices = len(states), states % self.devices
        rows = np.zeros((self.program.layout.rows, count), np.int64)
        rows[Layout.ENTRY] = states
        nothing = np.zeros(count, np.int64)
        for slot in self.program.entries:
            self._make(rows, slot, devices, nothing)
        busy = np.zeros((0, 3, count), np.int64)
        return Columns(rows, busy, nothing, nothing, nothing + UNDECIDED, np.zeros((2, count)))

    def _make(self, rows: Ints, slot: Slot, devices: Ints, ready_ns: Ints) -> None:
        """Put a new tensor into a slot."""
        base = slot[1]
        rows[base] = devices
        rows[base + 1] = ready_ns
        rows[base + 2 : base + 2 + self.devices] = LARGEST
        rows[base + 2 + devices, np.arange(len(devices))] = ready_ns

    def gather(
        self, table: Columns, slots: tuple[Slot, ...], device: int, ready_ns: Ints
    ) -> tuple[Ints, Ints, Ints]:
        """Have tensors at a device; return rows, busy intervals, and when all is ready.

        Where a tensor has no route that time is `LARGEST`.
        """
        rows, busy, ready_ns = table.rows.copy(), table.busy, ready_ns.copy()
        for slot in slots:
            busy = self._fetch(rows, busy, slot, device)
            np.maximum(ready_ns, rows[slot[1] + 2 + device], out=ready_ns)
        return rows, busy, ready_ns

    def cool(self, busy: Ints, first: int) -> Ints:
        """Return the columns in which intervals from ``first`` on keep the peak-power limit."""
        if not self.watched or self.model.slack_mw is None:
            return np.arange(busy.shape[2])
        return (~too_hot(busy, first, self.model.slack_mw)).nonzero()[0]

    def _fetch(self, rows: Ints, busy: Ints, slot: Slot, device: int) -> Ints:
        """Send a tensor to a device where it is not there yet; return the busy intervals."""
        tensor, base = slot
        arrival = base + 2 + device
        missing = (rows[arrival] == LARGEST).nonzero()[0]
        makers = rows[base, missing]
        for origin in range(self.devices if len(missing) else 0):
            where = missing[makers == origin]
            route = self.model.routes[tensor].get((origin, device))
            if not len(where) or route is None:
                continue
            now_ns = rows[base + 1, where]
            for leg in route:
                link = self.links + leg.link
                start_ns = np.maximum(now_ns, rows[link, where])
                now_ns = start_ns + leg.latency_ns
                rows[link, where] = now_ns
                for quantity, amount in enumerate(leg.amounts):
                    if amount:
                        rows[self.amounts.start + quantity, where] += amount
                if self.watched and leg.power_mw:
                    item = np.zeros((1, 3, rows.shape[1]), np.int64)
                    item[0][:, where] = start_ns, now_ns, np.full(len(where), leg.power_mw)
                    busy = np.concatenate([busy, item])
            rows[arrival, where] = now_ns
        return busy

    def run(
        self, step: Step, option: Option, table: Columns, start_ns: Ints, known: int
    ) -> Columns:
        """Return the columns after the step's task has run as chosen.

        Parameters
        ----------
        table
            The columns that go on, with their inputs at the device and the choice in ``picks``;
            changed in place.
        start_ns
            When the task can start in each.
        known
            Number of busy intervals that have been held against the limit.
        """
        rows, busy = table.rows, table.busy
        modes = rows[Layout.ENTRY] // self.devices
        end_ns = start_ns + option.latency_ns[modes]
        rows[Layout.DEVICE + option.device] = end_ns
        np.maximum(rows[Layout.END], end_ns, out=rows[Layout.END])
        rows[self.amounts] += option.amounts.take(modes, axis=1)
        for slot in step.outputs:
            self._make(rows, slot, np.full(len(start_ns), option.device), end_ns)
        able = [device for device, _ in step.options]
        loyal = loyalty(table.loyal, able, option.device)
        if self.watched and option.power_mw.any():
            item = np.array([[start_ns, end_ns, option.power_mw[modes]]])
            busy = np.concatenate([busy, item])
        table = replace(table, busy=busy, loyal=loyal)
        return table.take(self.cool(busy, known)) if len(busy) > known else table
