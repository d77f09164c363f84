"""Placement problems as JSON: for exchange, and for benchmarks. Schema: benchmarks/instances."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from heterolith.errors import InputError
from heterolith.scheduler.criteria import upper_bounds
from heterolith.scheduler.problem import (
    HOME,
    Choice,
    Domain,
    Hop,
    Limits,
    Member,
    Problem,
    Task,
    Tensor,
)

SCHEMA = "heterolith-problem/1"
CHOICE = (
    "device",
    "point",
    "variant",
    "latency_ns",
    "energy_pj",
    "weight_bytes",
    "accuracy_loss_ppm",
    "cost",
)
"""What a choice's row holds, in order."""
HOP = ("link", "latency_ns", "energy_pj", "bytes", "cost")
"""What a hop's row holds, in order."""


def to_data(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON data."""
    return {
        "schema": SCHEMA,
        "name": problem.name,
        "devices": list(problem.devices),
        "links": list(problem.links),
        "memories": [
            {"name": name, "bytes": size}
            for name, size in zip(problem.memories, problem.memory_capacity_bytes, strict=True)
        ],
        "memory_of": list(problem.memory_of),
        "home": problem.home,
        "idle_mw": problem.idle_mw,
        "activation_bytes": problem.activation_bytes,
        "objective": problem.objective,
        "limits": {k: v for k, v in asdict(problem.limits).items() if v is not None},
        "domains": [asdict(domain) for domain in problem.domains],
        "members": [asdict(member) for member in problem.members],
        "outputs": list(problem.outputs),
        "tasks": [
            {
                "name": task.name,
                "inputs": list(task.inputs),
                "outputs": list(task.outputs),
                "choices": [[getattr(choice, name) for name in CHOICE] for choice in task.choices],
            }
            for task in problem.tasks
        ],
        "tensors": [
            {
                "name": tensor.name,
                "producer": tensor.producer,
                "routes": {
                    f"{origin}>{target}": [[getattr(hop, name) for name in HOP] for hop in hops]
                    for (origin, target), hops in tensor.routes.items()
                },
            }
            for tensor in problem.tensors
        ],
    }


def from_data(data: Mapping[str, Any]) -> Problem:
    """Rebuild a problem from `to_data`.

    Raises
    ------
    InputError
        If the data is of another schema, lacks a field, names a device, link, task or tensor that
        is not there, or has a figure that is below zero or no number, like the time of a transfer
        over a link of no bandwidth.
    """
    if data.get("schema") != SCHEMA:
        raise InputError(f"problem schema is {data.get('schema')!r}, this version reads {SCHEMA!r}")
    try:
        problem = Problem(
            name=str(data["name"]),
            devices=tuple(data["devices"]),
            links=tuple(data["links"]),
            memories=tuple(row["name"] for row in data["memories"]),
            memory_of=tuple(data["memory_of"]),
            memory_capacity_bytes=tuple(row["bytes"] for row in data["memories"]),
            home=data["home"],
            tasks=tuple(_task(row) for row in data["tasks"]),
            tensors=tuple(_tensor(row) for row in data["tensors"]),
            outputs=tuple(data["outputs"]),
            idle_mw=data["idle_mw"],
            activation_bytes=data["activation_bytes"],
            objective=data["objective"],
            limits=limits_of(data["limits"]),
            domains=tuple(Domain(**_tuples(row, "devices")) for row in data["domains"]),
            members=tuple(Member(**_tuples(row, "tasks", "outputs")) for row in data["members"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"problem is damaged ({error!r}); write it anew") from error
    _check_indices(problem)
    upper_bounds(problem)
    return problem


def limits_of(row: Mapping[str, Any]) -> Limits:
    """Return limits by name; raises `InputError` for an unknown one."""
    known = {field.name for field in fields(Limits)}
    if not set(row) <= known:
        unknown = sorted(set(row) - known)[0]
        raise InputError(f"unknown limit {unknown!r}; known: {', '.join(sorted(known))}")
    return Limits(**row)


def load_problem(path: Path) -> Problem:
    """Read a problem file; raises `InputError` if it is missing, no JSON or no problem."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read problem {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not a problem: {error}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path} is not a problem: it holds no object")
    return from_data(data)


def _task(row: Mapping[str, Any]) -> Task:
    return Task(
        name=row["name"],
        inputs=tuple(row["inputs"]),
        outputs=tuple(row["outputs"]),
        choices=tuple(
            Choice(**dict(zip(CHOICE, choice, strict=True))) for choice in row["choices"]
        ),
    )


def _tensor(row: Mapping[str, Any]) -> Tensor:
    routes = {}
    for ends, hops in row["routes"].items():
        origin, _, target = ends.partition(">")
        routes[int(origin), int(target)] = tuple(
            Hop(**dict(zip(HOP, hop, strict=True))) for hop in hops
        )
    return Tensor(name=row["name"], producer=row["producer"], routes=routes)


def _tuples(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {**row, **{name: tuple(row[name]) for name in names}}


def _check_indices(problem: Problem) -> None:
    """Refuse indices that lead nowhere."""
    devices, links = range(len(problem.devices)), range(len(problem.links))
    tasks, tensors = range(len(problem.tasks)), range(len(problem.tensors))
    if problem.home not in devices:
        raise InputError(f"home is device {problem.home}, there are {len(devices)}")
    if len(problem.memory_of) != len(devices) or not set(problem.memory_of) <= set(
        range(len(problem.memories))
    ):
        raise InputError("memory_of does not give each device one of the memories")
    for task in problem.tasks:
        if not {*task.inputs, *task.outputs} <= set(tensors):
            raise InputError(f"task {task.name!r} has a tensor that is not there")
        if any(choice.device not in devices for choice in task.choices):
            raise InputError(f"task {task.name!r} has a choice on an unknown device")
    for tensor in problem.tensors:
        if tensor.producer != HOME and tensor.producer not in tasks:
            raise InputError(f"tensor {tensor.name!r} is made by an unknown task")
        for ends, hops in tensor.routes.items():
            if not set(ends) <= set(devices) or any(hop.link not in links for hop in hops):
                raise InputError(
                    f"tensor {tensor.name!r} has a route over an unknown link or device"
                )
    if not set(problem.outputs) <= set(tensors):
        raise InputError("an output is a tensor that is not there")
