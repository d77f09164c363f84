"""Label setting within a module: extend the table task by task, prune, keep what can still win.

A column is dropped if a score of it, completed by the path bounds, exceeds its ceiling (exact), if
another column dominates it (exact), or if the table is wider than allowed (not exact: the least value
that a dropped column could have had is kept, so that a lower bound remains). Under a peak-power limit
that concurrent items can break, an earlier start is not always better: columns then carry their
busy intervals and are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heterolith.scheduler.bounds import Scores, Tails, by_promise
from heterolith.scheduler.labels import Layout, Program, Slot, Step
from heterolith.scheduler.model import LARGEST, Floats, Ints, Model, Option
from heterolith.scheduler.pareto import undominated

FEW = 24
"""Tables of at most this many columns are not searched for dominated ones."""


BRANCHES = 4
"""Columns that come of one, as assumed when effort is shared out among steps."""
NARROWEST = 48
WIDEST = 40_000
"""Width of a table at least and at most."""
UNDECIDED, MIXED = -1, -2


@dataclass(frozen=True, slots=True)
class Guide:
    """Bounds that prune a module's table.

    A column is kept if *all* its bounds stay below their ceilings. With ``exit_rows`` the rows are
    instead one score, once per device on which the module may end; then *one* of them suffices, and
    the table is reduced to the least score per entry and exit.

    Attributes
    ----------
    scores
        The scores, by criteria; a single one with ``exit_rows``.
    weights
        Scores by time and amounts, shape (rows, 1 + quantities).
    before
        Least scores of everything before the module, shape (rows, devices).
    tails
        Path bounds of the module and of everything after it.
    ceilings
        Largest useful scores per entry, shape (rows, devices).
    """

    scores: Scores
    weights: Floats
    before: Floats
    tails: Tails
    ceilings: Floats
    exit_rows: bool = False

    def useful(self, bounds: Floats, entries: Ints) -> Ints:
        """Return the columns worth keeping, from bounds of shape (rows, n)."""
        below = bounds <= self.ceilings[:, entries]
        return np.flatnonzero(below.any(axis=0) if self.exit_rows else below.all(axis=0))

    def ranks(self, bounds: Floats) -> Floats:
        """Return `Scores.ranks` of columns."""
        rows = bounds.min(axis=0, keepdims=True) if self.exit_rows else bounds
        return self.scores.ranks(rows)


@dataclass(frozen=True, slots=True)
class ModuleTable:
    """Pareto-optimal ways through a module.

    Attributes
    ----------
    entry, exit
        Devices, int64 arrays of shape (n,), in order of entry.
    criteria
        int64 array of shape (criteria, n).
    picks
        Choice index per task of the module, shape (tasks, n).
    dropped
        Least value of any plan through a column that was dropped for lack of width; infinite if
        none was: the table then holds a best plan's way through.
    """

    entry: Ints
    exit: Ints
    criteria: Ints
    picks: Ints
    dropped: float

    @property
    def complete(self) -> bool:
        """Whether nothing was dropped for lack of width."""
        return self.dropped == np.inf


def merge(first: ModuleTable, second: ModuleTable) -> ModuleTable:
    """Return the Pareto-optimal ways among two tables of one module."""
    entry = np.concatenate([first.entry, second.entry])
    exits = np.concatenate([first.exit, second.exit])
    criteria = np.concatenate([first.criteria, second.criteria], axis=1)
    picks = np.concatenate([first.picks, second.picks], axis=1)
    doors = entry * (exits.max(initial=0) + 1) + exits
    front = undominated(criteria, doors, criteria.sum(axis=0, dtype=float))
    front = front[np.argsort(entry[front], kind="stable")]
    dropped = max(first.dropped, second.dropped)
    return ModuleTable(entry[front], exits[front], criteria[:, front], picks[:, front], dropped)


@dataclass(slots=True)
class _Table:
    """Columns of a step: rows by `Layout`, busy intervals (items, 3, n), origin and `Scores.ranks`.

    ``loyal`` is the device on which all tasks run that can, `MIXED` if there is none.
    """

    rows: Ints
    busy: Ints
    parents: Ints
    picks: Ints
    loyal: Ints
    ranks: Floats


class ModuleSearch:
    """Extends the label table of one module."""

    def __init__(self, model: Model, program: Program, guide: Guide, *, watch: bool = True) -> None:
        self.model, self.program, self.guide = model, program, guide
        self.layout: Layout = program.layout
        self.watched = watch and can_exceed(model, program)
        self.dropped = np.inf
        self.cells = 0
        self._history: list[tuple[Ints, Ints]] = []

    def run(self, effort: int) -> ModuleTable:
        """Return the module's table; narrow it so that about ``effort`` cells are made in all."""
        table = self._initial()
        steps = self.program.steps
        for position, step in enumerate(steps):
            bounds = 2 * len(self.guide.weights) * (len(step.survivors) + len(step.options))
            items = len(table.busy) + len(step.inputs)
            column = (self.layout.rows + 6 * items) * BRANCHES + bounds
            width = (effort - self.cells) // (column * (len(steps) - position))
            self.cells += bounds * table.rows.shape[1]
            table = self._extend(table, position, step)
            self.cells += table.rows.size + table.busy.size * 2
            if position < len(steps) - 1 and not self.watched:
                table = self._prune(table, step)
            width = min(max(width, NARROWEST), WIDEST)
            if table.rows.shape[1] > width:
                table = self._narrow(table, width)
            self._history.append((table.parents, table.picks))
        return self._close(table)

    def _initial(self) -> _Table:
        layout, guide = self.layout, self.guide
        devices = guide.useful(guide.before, np.arange(layout.devices))
        rows = np.zeros((layout.rows, len(devices)), np.int64)
        rows[Layout.ENTRY] = devices
        for slot in self.program.entries:
            self._make(rows, slot, devices, np.zeros(len(devices), np.int64))
        empty = np.zeros(len(devices), np.int64)
        busy = np.zeros((0, 3, len(devices)), np.int64)
        return _Table(rows, busy, empty, empty, empty + UNDECIDED, np.zeros((2, len(devices))))

    def _make(self, rows: Ints, slot: Slot, devices: Ints, ready_ns: Ints) -> None:
        """Put a new tensor into a slot."""
        base = slot[1]
        rows[base] = devices
        rows[base + 1] = ready_ns
        rows[base + 2 : base + 2 + self.layout.devices] = LARGEST
        rows[base + 2 + devices, np.arange(len(devices))] = ready_ns

    def _extend(self, table: _Table, position: int, step: Step) -> _Table:
        """Dispatch a task in every way from every column."""
        common = self._common_bounds(table.rows, position, step)
        parts = []
        for device, options in step.options:
            rows, busy = table.rows.copy(), table.busy
            ready_ns = rows[Layout.DEVICE + device].copy()
            for slot in step.inputs:
                busy = self._fetch(rows, busy, slot, device)
                np.maximum(ready_ns, rows[slot[1] + 2 + device], out=ready_ns)
            amounts = rows[self.layout.amount : self.layout.amount + self.layout.quantities]
            paid = common[0] + self.guide.weights[:, 1:] @ amounts
            paid[:, (ready_ns >= LARGEST) | self._too_hot(busy, len(table.busy))] = np.inf
            ends = self.guide.tails.ends[position][:, device]
            for option in options:
                price = self.guide.weights[:, 1:] @ np.array(option.amounts, float)
                time = self.guide.weights[:, :1] * (ready_ns + option.latency_ns)
                bounds = paid + price[:, None] + np.maximum(common[1], time + ends[:, None])
                keep = self.guide.useful(bounds, table.rows[Layout.ENTRY])
                if len(keep):
                    ranks = self.guide.ranks(bounds[:, keep])
                    child = self._child(step, option, (rows, busy, keep, ready_ns), ranks)
                    child.loyal = _loyalty(table.loyal[child.parents], step, device)
                    parts.append(child)
        return _concatenate(parts, table)

    def _common_bounds(self, rows: Ints, position: int, step: Step) -> tuple[Floats, Floats]:
        """Return what is paid before and after the task, and the longest of the other tails."""
        guide = self.guide
        other = np.full((len(guide.weights), rows.shape[1]), -np.inf)
        for (tensor, base), was_sent in step.survivors:
            tails = guide.tails.used[position] if was_sent else guide.tails.fresh
            if tensor in tails:
                tail = guide.weights[:, :1] * rows[base + 1] + tails[tensor][:, rows[base]]
                np.maximum(other, tail, out=other)
        rest = guide.tails.rest[position + 1]
        return guide.before[:, rows[Layout.ENTRY]] + rest[:, None], other

    def _fetch(self, rows: Ints, busy: Ints, slot: Slot, device: int) -> Ints:
        """Send a tensor to a device where it is not there yet; return the busy intervals."""
        tensor, base = slot
        arrival = base + 2 + device
        missing = np.flatnonzero(rows[arrival] == LARGEST)
        if not len(missing):
            return busy
        makers = rows[base, missing]
        for origin in range(self.layout.devices):
            where = missing[makers == origin]
            route = self.model.routes[tensor].get((origin, device))
            if not len(where) or route is None:
                continue
            now_ns = rows[base + 1, where]
            for leg in route:
                link = self.layout.link + leg.link
                start_ns = np.maximum(now_ns, rows[link, where])
                now_ns = start_ns + leg.latency_ns
                rows[link, where] = now_ns
                for quantity, amount in enumerate(leg.amounts):
                    if amount:
                        rows[self.layout.amount + quantity, where] += amount
                if self.watched and leg.power_mw:
                    item = np.zeros((1, 3, rows.shape[1]), np.int64)
                    item[0][:, where] = start_ns, now_ns, np.full(len(where), leg.power_mw)
                    busy = np.concatenate([busy, item])
            rows[arrival, where] = now_ns
        return busy

    def _child(
        self, step: Step, option: Option, state: tuple[Ints, Ints, Ints, Ints], ranks: Floats
    ) -> _Table:
        """Return the columns ``keep`` after the task has run as chosen."""
        rows, busy, keep, ready_ns = state
        rows, start_ns = rows[:, keep], ready_ns[keep]
        end_ns = start_ns + option.latency_ns
        rows[Layout.DEVICE + option.device] = end_ns
        np.maximum(rows[Layout.END], end_ns, out=rows[Layout.END])
        amounts = np.array(option.amounts, np.int64)[:, None]
        rows[self.layout.amount : self.layout.amount + self.layout.quantities] += amounts
        for slot in step.outputs:
            self._make(rows, slot, np.full(len(keep), option.device), end_ns)
        busy = busy[:, :, keep]
        if self.watched and option.power_mw:
            power = np.full(len(keep), option.power_mw)
            busy = np.concatenate([busy, np.array([[start_ns, end_ns, power]])])
            cool = np.flatnonzero(~self._too_hot(busy, len(busy) - 1))
            rows, busy, keep, ranks = rows[:, cool], busy[:, :, cool], keep[cool], ranks[:, cool]
        return _Table(rows, busy, keep, np.full(len(keep), option.index), keep, ranks)

    def _too_hot(self, busy: Ints, first: int) -> npt.NDArray[np.bool_]:
        """Whether an interval from index ``first`` on takes part in too high a power."""
        hot = np.zeros(busy.shape[2], bool)
        if not self.watched:
            return hot
        for item in range(first, len(busy)):
            start_ns, end_ns = busy[item, 0], busy[item, 1]
            meets = (busy[:, 0] < end_ns) & (start_ns < busy[:, 1])
            risky = (np.where(meets, busy[:, 2], 0).sum(axis=0) > self.model.slack_mw).nonzero()[0]
            if len(risky):
                starts, ends, power = busy[:, :, risky].transpose(1, 0, 2)
                # The sum is largest where some interval starts.
                for moment_ns in starts:
                    inside = (starts[item] <= moment_ns) & (moment_ns < ends[item])
                    load = np.where((starts <= moment_ns) & (moment_ns < ends), power, 0)
                    hot[risky[inside & (load.sum(axis=0) > self.model.slack_mw)]] = True
        return hot

    def _prune(self, table: _Table, step: Step) -> _Table:
        if table.rows.shape[1] <= FEW:
            return table
        groups = table.rows[Layout.ENTRY]
        live = [slot for slot, _ in step.survivors] + list(step.outputs)
        span = self.layout.devices
        for count, (_, base) in enumerate(live, start=1):
            groups = groups * self.layout.devices + table.rows[base]
            span *= self.layout.devices
            if span > LARGEST // self.layout.devices:
                groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
                span = len(groups)
        compared = table.rows[list(step.compared)]
        return _take(table, undominated(compared, groups, table.ranks[0]))

    def _narrow(self, table: _Table, width: int) -> _Table:
        """Keep the most promising columns, and the best loyal one per entry and device."""
        order = by_promise(table.ranks)
        pairs = table.rows[Layout.ENTRY] * self.layout.devices + table.loyal
        loyal = order[table.loyal[order] >= 0]
        protected = loyal[np.unique(pairs[loyal], return_index=True)[1]]
        rest = np.setdiff1d(order[width:], protected)
        self.dropped = min(self.dropped, float(table.ranks[0, rest].min(initial=np.inf)))
        return _take(table, np.union1d(order[:width], protected))

    def _close(self, table: _Table) -> ModuleTable:
        """Send outputs home, reduce columns to criteria, and trace their choices back."""
        rows, layout = table.rows, self.layout
        if self.program.module.final:
            home = self.model.problem.home
            busy = table.busy
            time_ns = rows[Layout.END].copy()
            for slot in self.program.exits:
                busy = self._fetch(rows, busy, slot, home)
                np.maximum(time_ns, rows[slot[1] + 2 + home], out=time_ns)
            keep = np.flatnonzero((time_ns < LARGEST) & ~self._too_hot(busy, len(table.busy)))
            exits = np.full(rows.shape[1], home)
        else:
            base = self.program.exits[0][1]
            time_ns, exits, keep = rows[base + 1], rows[base], np.arange(rows.shape[1])
        amounts = rows[layout.amount : layout.amount + layout.quantities]
        figures = np.concatenate([time_ns[None], amounts])[:, keep]
        criteria = self.model.forms @ figures
        entry, exits = rows[Layout.ENTRY, keep], exits[keep]
        doors = entry * layout.devices + exits
        if self.guide.exit_rows:
            scores = self.guide.scores.weights[0] @ criteria
            order = np.lexsort((scores, doors))
            front = order[np.flatnonzero(np.diff(doors[order], prepend=-1))]
        else:
            front = undominated(criteria, doors, table.ranks[0, keep])
        front = front[np.argsort(entry[front], kind="stable")]
        picks = self._picks(keep[front])
        return ModuleTable(entry[front], exits[front], criteria[:, front], picks, self.dropped)

    def _picks(self, columns: Ints) -> Ints:
        picks = np.zeros((len(self._history), len(columns)), np.int64)
        for position in range(len(self._history) - 1, -1, -1):
            parents, chosen = self._history[position]
            picks[position] = chosen[columns]
            columns = parents[columns]
        return picks


def _loyalty(loyal: Ints, step: Step, device: int) -> Ints:
    """Return where columns stand after a task has run on a device."""
    able = np.isin(loyal, [other for other, _ in step.options])
    moved = np.where(able & (loyal != device), MIXED, loyal)
    return np.where(loyal == UNDECIDED, device, moved)


def can_exceed(model: Model, program: Program) -> bool:
    """Whether concurrent items of a module may break the peak-power limit."""
    module = program.module
    powers: dict[tuple[str, int], int] = {}
    tensors = set(module.entries) | set(model.problem.outputs if module.final else ())
    for index in range(module.first, module.last):
        tensors.update(model.problem.tasks[index].inputs)
        for option in model.options[index]:
            key = ("device", option.device)
            powers[key] = max(powers.get(key, 0), option.power_mw)
    for leg in (leg for t in tensors for route in model.routes[t].values() for leg in route):
        powers["link", leg.link] = max(powers.get(("link", leg.link), 0), leg.power_mw)
    return model.slack_mw is not None and sum(powers.values()) > model.slack_mw


def _take(table: _Table, columns: Ints) -> _Table:
    return _Table(
        table.rows[:, columns],
        table.busy[:, :, columns],
        table.parents[columns],
        table.picks[columns],
        table.loyal[columns],
        table.ranks[:, columns],
    )


def _concatenate(parts: list[_Table], parent: _Table) -> _Table:
    """Join tables, padding busy intervals with empty ones."""
    if not parts:
        return _take(parent, np.zeros(0, np.int64))
    items = max(len(part.busy) for part in parts)
    busy = [
        np.pad(part.busy, ((0, items - len(part.busy)), (0, 0), (0, 0))) if items else part.busy
        for part in parts
    ]
    return _Table(
        np.concatenate([part.rows for part in parts], axis=1),
        np.concatenate(busy, axis=2),
        np.concatenate([part.parents for part in parts]),
        np.concatenate([part.picks for part in parts]),
        np.concatenate([part.loyal for part in parts]),
        np.concatenate([part.ranks for part in parts], axis=1),
    )
