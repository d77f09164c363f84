"""Task sets as files: resources, networks with layer times, tasks, and who computes what.

The format is TOML, documented in ``scheduler/realtime/README.md``. Times have units (``3ms``), or
are arrays of whole numbers in the network's ``unit``; 0 in an array means "cannot compute".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heterolith import units
from heterolith.boards import read_toml
from heterolith.errors import InputError, unknown_name
from heterolith.scheduler.realtime.contention import contended as stretched
from heterolith.scheduler.realtime.profile import (
    Assignment,
    NetworkTask,
    NetworkTimes,
    check_tasks,
)
from heterolith.scheduler.realtime.tasks import Point, Resource, TaskSet

FORMAT = 1
UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6}
KEYS = {
    "file": {"format", "resource", "network", "task", "link"},
    "resource": {"name", "chunk", "idle", "active"},
    "network": {"name", "source", "best", "memory", "unit", "times", "moves"},
    "task": {"name", "network", "period", "deadline", "priority", "on"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a file says. `link` is the index of the resource that carries transfers, if one does."""

    resources: tuple[Resource, ...]
    tasks: tuple[NetworkTask, ...]
    assignments: tuple[Assignment, ...]
    link: int | None = None

    def taskset(self) -> TaskSet:
        """Return the tasks bound to their resources."""
        return TaskSet(
            resources=self.resources,
            tasks=tuple(
                task.bind(assignment, self.link)
                for task, assignment in zip(self.tasks, self.assignments, strict=True)
            ),
        )


def _known(kind: str, table: Mapping[str, Any], needs: Sequence[str]) -> None:
    for key in table:
        if key not in KEYS[kind]:
            raise unknown_name(f"{kind} key", key, KEYS[kind])
    for key in needs:
        if key not in table:
            raise InputError(f"{kind} {table.get('name', '')!r} lacks {key!r}; add it")


def _tables(data: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    found = data.get(kind, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise InputError(f"{kind} must be a list of tables: write [[{kind}]]")
    if not found:
        raise InputError(f"the file has no [[{kind}]]; add at least one")
    for item in found:
        if not isinstance(item.get("name"), str) or not item["name"]:
            raise InputError(f'a [[{kind}]] has no name; add name = "..."')
    names = [item["name"] for item in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{kind} {name!r} is named twice; names must differ")
    return found


def _text(table: Mapping[str, Any], key: str, what: str) -> str:
    value = table[key]
    if not isinstance(value, str):
        raise InputError(f'{what} is {value!r}; write it with its unit, e.g. "3ms" or "2W"')
    return value


def _resource(table: Mapping[str, Any]) -> Resource:
    _known("resource", table, ())
    name = table["name"]
    power: dict[str, Any] = {
        f"{key}_mw": units.power_mw(_text(table, key, f"{key} power of {name!r}"))
        for key in ("idle", "active")
        if key in table
    }
    chunk = units.time_ns(_text(table, "chunk", f"chunk of {name!r}")) if "chunk" in table else None
    return Resource(name=name, chunk_ns=chunk, points=(Point(**power),))


def _row(value: Any, what: str, count: int, scale: int) -> list[int]:  # noqa: ANN401
    if not isinstance(value, list) or len(value) != count:
        size = len(value) if isinstance(value, list) else "no"
        raise InputError(f"{what} has {size} entries; it needs {count}")
    for entry in value:
        if isinstance(entry, bool) or not isinstance(entry, (int, float)) or not 0 <= entry < 1e15:
            raise InputError(f"{what} holds {entry!r}; write numbers of 0 or more")
    return [round(entry * scale) for entry in value]


def _share(table: Mapping[str, Any], key: str) -> int:
    value = table.get(key, 1)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise InputError(f"network {table['name']!r}: {key} is {value!r}; it is a share, in 0..1")
    return round(value * 1_000_000)


def _network(table: Mapping[str, Any], names: Sequence[str]) -> NetworkTimes:
    _known("network", table, ("times", "unit"))
    name, unit, times, moves = table["name"], table["unit"], table["times"], table.get("moves", {})
    if unit not in UNITS_NS:
        raise unknown_name("unit", str(unit), UNITS_NS)
    if not isinstance(times, dict) or not times or not isinstance(moves, dict):
        raise InputError(f"network {name!r}: times and moves are tables of arrays per resource")
    for key in times:
        if key not in names:
            raise unknown_name("resource", key, names)
    count = len(next(iter(times.values()))) if isinstance(next(iter(times.values())), list) else 0
    columns = {
        key: _row(value, f"network {name!r}, times of {key!r}", count, UNITS_NS[unit])
        for key, value in times.items()
    }
    enter = [[[0] * len(names) for _ in names] for _ in range(count)]
    for key, value in moves.items():
        ends = key.split(">")
        if len(ends) != 2 or not set(ends) <= set(names):
            raise InputError(f"network {name!r}: move {key!r} is not ORIGIN>TARGET of {names}")
        row = _row(value, f"network {name!r}, moves {key!r}", count - 1, UNITS_NS[unit])
        for index, cost in enumerate(row, 1):
            enter[index][names.index(ends[0])][names.index(ends[1])] = cost
    return NetworkTimes(
        name=name,
        layers=tuple(
            tuple(columns[r][index] or None if r in columns else None for r in names)
            for index in range(count)
        ),
        enter_ns=tuple(tuple(tuple(row) for row in table) for table in enter),
        best_ppm=_share(table, "best"),
        memory_ppm=_share(table, "memory"),
        source=str(table.get("source", "")),
    )


def _assignment(value: Any, task: NetworkTask, names: Sequence[str]) -> Assignment:  # noqa: ANN401
    if value is None:
        return task.network.preferable()
    wanted = [value] * len(task.network.layers) if isinstance(value, str) else value
    if not isinstance(wanted, list) or len(wanted) != len(task.network.layers):
        raise InputError(
            f"task {task.name!r}: on names one resource, or one per layer "
            f"({len(task.network.layers)})"
        )
    for name in wanted:
        if name not in names:
            raise unknown_name("resource", str(name), names)
    if isinstance(value, str):
        return task.network.alone(names.index(value))
    return tuple(names.index(name) for name in wanted)


def read(path: Path) -> Workload:
    """Read a task set from a TOML file.

    Raises
    ------
    InputError
        If the file is missing, no TOML, or says something that makes no sense; the message names
        the file and what is wrong.
    """
    data = read_toml(path)
    try:
        return from_data(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def from_data(data: Mapping[str, Any]) -> Workload:
    """Return the task set that parsed TOML describes; raises as `read` does."""
    _known("file", data, ("format",))
    if data["format"] != FORMAT:
        raise InputError(f"format is {data['format']!r}; this version reads {FORMAT}")
    resources = tuple(_resource(table) for table in _tables(data, "resource"))
    names = [resource.name for resource in resources]
    networks = {t["name"]: _network(t, names) for t in _tables(data, "network")}
    tables = _tables(data, "task")
    given = ["priority" in table for table in tables]
    if any(given) and not all(given):
        raise InputError("some tasks have a priority and some do not; give it to all or to none")
    tasks = [_task(table, networks) for table in tables]
    if not any(given):
        order = sorted(range(len(tasks)), key=lambda i: (tasks[i].deadline_ns, i))
        tasks = [replace(task, priority=order.index(i)) for i, task in enumerate(tasks)]
    check_tasks(tasks)
    link = data.get("link")
    if link is not None and link not in names:
        raise unknown_name("resource", str(link), names)
    made = Workload(
        resources=resources,
        tasks=tuple(tasks),
        assignments=tuple(
            _assignment(table.get("on"), task, names)
            for table, task in zip(tables, tasks, strict=True)
        ),
        link=None if link is None else names.index(link),
    )
    made.taskset()
    return made


def _task(table: Mapping[str, Any], networks: Mapping[str, NetworkTimes]) -> NetworkTask:
    _known("task", table, ("network", "period"))
    name, network = table["name"], table["network"]
    if network not in networks:
        raise unknown_name("network", str(network), networks)
    period = units.time_ns(_text(table, "period", f"period of {name!r}"), f"period of {name!r}")
    deadline = period
    if "deadline" in table:
        what = f"deadline of {name!r}"
        deadline = units.time_ns(_text(table, "deadline", what), what)
    priority = table.get("priority", 0)
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise InputError(f"priority of {name!r} is {priority!r}; write a whole number")
    return NetworkTask(
        name=name,
        network=networks[network],
        period_ns=period,
        deadline_ns=deadline,
        priority=priority,
    )


def contended(workload: Workload, masters: Sequence[str]) -> Workload:
    """Return a workload whose times hold while the named resources share one DRAM.

    Raises
    ------
    InputError
        If a name is unknown or given twice, or fewer than two are given.
    """
    names = [resource.name for resource in workload.resources]
    for name in masters:
        if name not in names:
            raise unknown_name("resource", name, names)
    shared = {names.index(name) for name in masters}
    if len(shared) < len(masters) or len(shared) < 2:
        raise InputError(f"{'+'.join(masters)!r} must name two or more resources that share a DRAM")
    return replace(
        workload,
        tasks=tuple(
            replace(task, network=stretched(task.network, shared, workload.link))
            for task in workload.tasks
        ),
    )


def to_toml(workload: Workload) -> str:
    """Return a task set as text; `read` reads it back.

    Raises
    ------
    InputError
        If two different networks share a name.
    """
    names = [resource.name for resource in workload.resources]
    lines = [f"format = {FORMAT}"]
    if workload.link is not None:
        lines.append(f'link = "{names[workload.link]}"')
    for resource in workload.resources:
        lines += ["", "[[resource]]", f'name = "{resource.name}"']
        if resource.chunk_ns is not None:
            lines.append(f'chunk = "{resource.chunk_ns}ns"')
        lines += [
            f'{key} = "{value}mW"'
            for key, value in (
                ("idle", resource.points[0].idle_mw), ("active", resource.points[0].active_mw)
            )
            if value
        ]  # fmt: skip
    networks = {task.network.name: task.network for task in workload.tasks}
    for task in workload.tasks:
        if task.network != networks[task.network.name]:
            raise InputError(f"two networks are named {task.network.name!r}; names must differ")
    for network in networks.values():
        lines += ["", *_network_lines(network, names)]
    for task, assignment in zip(workload.tasks, workload.assignments, strict=True):
        on = ", ".join(f'"{names[r]}"' for r in assignment)
        lines += [
            "",
            "[[task]]",
            f'name = "{task.name}"',
            f'network = "{task.network.name}"',
            f'period = "{task.period_ns}ns"',
            f'deadline = "{task.deadline_ns}ns"',
            f"priority = {task.priority}",
            f"on = [{on}]",
        ]
    return "\n".join(lines) + "\n"


def _network_lines(network: NetworkTimes, names: Sequence[str]) -> list[str]:
    lines = [
        "[[network]]",
        f'name = "{network.name}"',
        f'source = "{network.source}"',
        f"best = {network.best_ppm / 1_000_000}",
        f"memory = {network.memory_ppm / 1_000_000}",
        'unit = "ns"',
        "[network.times]",
    ]
    for r, name in enumerate(names):
        row = [layer[r] or 0 if r < len(layer) else 0 for layer in network.layers]
        if any(row):
            lines.append(f'"{name}" = {row}')
    lines.append("[network.moves]")
    for a, origin in enumerate(names):
        for b, target in enumerate(names):
            row = [table[a][b] if max(a, b) < len(table) else 0 for table in network.enter_ns[1:]]
            if any(row):
                lines.append(f'"{origin}>{target}" = {row}')
    return lines
