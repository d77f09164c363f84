"""Label setting within a module: extend the table task by task, prune, keep what can still win.

A column is dropped if a score of it, completed by the path bounds, exceeds its ceiling (exact), if
another column dominates it (exact), or if the table is wider than allowed (not exact: the least
value that a dropped column could have had is kept, so that a lower bound remains). Under a
peak-power limit that concurrent items can break, an earlier start is not always better: columns
then carry their busy intervals and are not compared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heterolith.scheduler.bounds import Scores, Tails, by_promise
from heterolith.scheduler.columns import Columns, join_columns, trace
from heterolith.scheduler.expand import Expansion
from heterolith.scheduler.labels import Layout, Program, Step
from heterolith.scheduler.model import LARGEST, Floats, Ints, Model
from heterolith.scheduler.pareto import undominated
from heterolith.scheduler.power import can_exceed
from heterolith.scheduler.ways import ModuleTable

FEW = 24
"""Tables of at most this many columns are not searched for dominated ones."""
NARROWEST = 48
WIDEST = 40_000
"""Width of a table at least, and at most unless the effort is extraordinary."""
WIDE_ENOUGH = 2000
"""Cells of effort per column that such an effort allows."""


@dataclass(frozen=True, slots=True)
class Guide:
    """Bounds that prune a module's table.

    A column is kept if *all* its bounds stay below their ceilings, or as `Scores.either` says. With
    ``exit_rows`` the rows are instead one score, once per device on which the module may end; then
    *one* of them suffices, and the table is reduced to the least score per entry and exit.

    Attributes
    ----------
    scores
        The scores, by criteria; a single one with ``exit_rows``.
    weights
        Scores by time and amounts, shape (rows, 1 + quantities).
    before
        Least scores of everything before the module, shape (rows, states).
    tails
        Path bounds of the module and of everything after it.
    ceilings
        Largest useful scores per entry, shape (rows, states).
    """

    scores: Scores
    weights: Floats
    before: Floats
    tails: Tails
    ceilings: Floats
    exit_rows: bool = False

    def useful(self, bounds: Floats, entries: Ints) -> Ints:
        """Return the columns worth keeping, from bounds of shape (rows, n)."""
        below = bounds <= self.ceilings.take(entries, axis=1)
        if self.exit_rows:
            return np.flatnonzero(below.any(axis=0))
        if self.scores.either:
            aimed = self.scores.slopes > 0
            return np.flatnonzero(below[aimed].any(axis=0) & below[~aimed].all(axis=0))
        return np.flatnonzero(below.all(axis=0))

    def ranks(self, bounds: Floats) -> Floats:
        """Return `Scores.ranks` of columns."""
        rows = bounds.min(axis=0, keepdims=True) if self.exit_rows else bounds
        return self.scores.ranks(rows)


class TimeUpError(Exception):
    """Time is up in the middle of a table."""


class ModuleSearch:
    """Extends the label table of one module; ``watch`` false leaves out the peak-power limit."""

    def __init__(
        self,
        model: Model,
        program: Program,
        guide: Guide,
        *,
        watch: bool = True,
        late: Callable[[], bool] = lambda: False,
    ) -> None:
        self.late = late
        self.model, self.program, self.guide = model, program, guide
        self.watched = watch and can_exceed(model, program)
        self.expansion = Expansion(model, program, watched=self.watched)
        self.dropped = np.inf
        self.cells = 0

    def run(self, effort: int) -> ModuleTable:
        """Return the module's table; narrow it so that about ``effort`` cells are made in all."""
        layout, guide = self.program.layout, self.guide
        table = self.expansion.initial(guide.useful(guide.before, np.arange(self.model.states)))
        history = []
        steps = self.program.steps
        for position, step in enumerate(steps):
            branches = sum(len(options) for _, options in step.options)
            bounds = 2 * len(guide.weights) * (len(step.survivors) + branches)
            items = len(table.busy) + len(step.inputs)
            column = (layout.rows + 6 * items) * branches + bounds
            width = (effort - self.cells) // (column * (len(steps) - position))
            self.cells += bounds * len(table)
            table = self._extend(table, position, step)
            self.cells += table.rows.size + table.busy.size * 2
            if position < len(steps) - 1 and not self.watched:
                table = self._prune(table, step)
            table = self._narrow(
                table, min(max(width, NARROWEST), max(WIDEST, effort // WIDE_ENOUGH))
            )
            history.append((table.parents, table.picks))
        return self._close(table, history)

    def _extend(self, table: Columns, position: int, step: Step) -> Columns:
        """Dispatch a task in every way from every column."""
        guide, expansion = self.guide, self.expansion
        beside, other = self._common_bounds(table.rows, position, step)
        devices = self.program.layout.devices
        modes = table.rows[Layout.ENTRY] // devices
        parts = []
        for device, options in step.options:
            free_ns = table.rows[Layout.DEVICE + device]
            rows, busy, ready_ns = expansion.gather(table, step.inputs, device, free_ns)
            paid = beside + guide.weights[:, 1:] @ rows[expansion.amounts]
            paid[:, ready_ns >= LARGEST] = np.inf
            ends = guide.tails.ends[position].take(modes * devices + device, axis=1)
            for option in options:
                if self.late():
                    raise TimeUpError
                price = (guide.weights[:, 1:] @ option.amounts).take(modes, axis=1)
                time = guide.weights[:, :1] * (ready_ns + option.latency_ns[modes])
                bounds = paid + price + np.maximum(other, time + ends)
                keep = guide.useful(bounds, table.rows[Layout.ENTRY])
                keep = keep[option.there[modes[keep]]]
                if len(keep):
                    going = Columns(
                        rows.take(keep, axis=1),
                        busy.take(keep, axis=2),
                        keep,
                        option.index[modes[keep]],
                        table.loyal[keep],
                        guide.ranks(bounds.take(keep, axis=1)),
                    )
                    known = len(table.busy)
                    parts.append(expansion.run(step, option, going, ready_ns[keep], known))
        return join_columns(parts) if parts else table.take(np.zeros(0, np.int64))

    def _common_bounds(self, rows: Ints, position: int, step: Step) -> tuple[Floats, Floats]:
        """Return what is paid before and after the task, and the longest of the other tails."""
        guide = self.guide
        other = np.full((len(guide.weights), rows.shape[1]), -np.inf)
        modes = rows[Layout.ENTRY] // self.program.layout.devices
        base_state = modes * self.program.layout.devices
        for (tensor, base), was_sent in step.survivors:
            tails = guide.tails.used[position] if was_sent else guide.tails.fresh
            if tensor in tails:
                tail = guide.weights[:, :1] * rows[base + 1] + tails[tensor].take(
                    base_state + rows[base], axis=1
                )
                np.maximum(other, tail, out=other)
        rest = guide.tails.rest[position + 1]
        before = guide.before.take(rows[Layout.ENTRY], axis=1)
        return before + rest.take(modes, axis=1), other

    def _prune(self, table: Columns, step: Step) -> Columns:
        """Remove columns that another one with the same makers of live tensors dominates."""
        if len(table) <= FEW:
            return table
        devices = self.program.layout.devices
        groups = table.rows[Layout.ENTRY]
        span = devices
        for _, base in (*(slot for slot, _ in step.survivors), *step.outputs):
            groups = groups * devices + table.rows[base]
            span *= devices
            if span > LARGEST // devices:
                groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
                span = len(groups)
        return table.take(undominated(table.rows[list(step.compared)], groups, table.ranks[0]))

    def _narrow(self, table: Columns, width: int) -> Columns:
        """Keep the most promising columns, and the best loyal one per entry and device."""
        if len(table) <= width:
            return table
        order = by_promise(table.ranks)
        doors = table.rows[Layout.ENTRY] * self.program.layout.devices + table.loyal
        loyal = order[table.loyal[order] >= 0]
        protected = loyal[np.unique(doors[loyal], return_index=True)[1]]
        rest = np.setdiff1d(order[width:], protected)
        self.dropped = min(self.dropped, float(table.ranks[0, rest].min(initial=np.inf)))
        return table.take(np.union1d(order[:width], protected))

    def _close(self, table: Columns, history: list[tuple[Ints, Ints]]) -> ModuleTable:
        """Send outputs home, reduce columns to criteria, and trace their choices back."""
        program, rows = self.program, table.rows
        if program.module.final:
            home = self.model.problem.home
            ended_ns = rows[Layout.END]
            rows, busy, time_ns = self.expansion.gather(table, program.exits, home, ended_ns)
            exits = np.full(len(table), home)
            keep = self.expansion.cool(busy, len(table.busy))
            keep = keep[time_ns[keep] < LARGEST]
        else:
            base = program.exits[0][1]
            time_ns, exits, keep = rows[base + 1], rows[base], np.arange(len(table))
        figures = np.concatenate([time_ns[None], rows[self.expansion.amounts]])[:, keep]
        criteria = self.model.forms @ figures
        entry, exits = rows[Layout.ENTRY, keep], exits[keep]
        doors = entry * program.layout.devices + exits
        exits = entry - entry % program.layout.devices + exits
        if self.guide.exit_rows:
            order = np.lexsort((self.guide.scores.weights[0] @ criteria, doors))
            front = order[np.flatnonzero(np.diff(doors[order], prepend=-1))]
        else:
            front = undominated(criteria, doors, table.ranks[0, keep])
        front = front[np.argsort(entry[front], kind="stable")]
        picks = trace(history, keep[front])
        return ModuleTable(entry[front], exits[front], criteria[:, front], picks, self.dropped)
