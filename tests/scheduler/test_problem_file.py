"""Problems as JSON: round trip, refusals, and the committed instances."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heterolith.errors import InputError
from heterolith.scheduler.problem_file import (
    CHOICE,
    HOP,
    from_data,
    limits_of,
    load_problem,
    to_data,
)

from .instances import random_points, random_problem

INSTANCES = Path(__file__).parents[2] / "benchmarks" / "instances"


@pytest.mark.parametrize("seed", range(20))
def test_a_problem_survives_its_file(seed: int, tmp_path: Path) -> None:
    """What is read equals what was written."""
    problem = random_points(seed) if seed % 2 else random_problem(seed)
    path = tmp_path / "problem.json"
    path.write_text(json.dumps(to_data(problem)))
    assert load_problem(path) == problem


def change(key: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return what sets one field."""
    return lambda data: data.update({key: value})


def choice(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return what sets one figure of a choice."""
    return lambda data: data["tasks"][0]["choices"][0].__setitem__(CHOICE.index(name), value)


def hop(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    """Return what sets one figure of a transfer."""

    def damage(data: dict[str, Any]) -> None:
        hops = [rows for tensor in data["tensors"] for rows in tensor["routes"].values() if rows]
        hops[0][0][HOP.index(name)] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (change("schema", "other/1"), "schema is 'other/1'"),
        (change("home", 9), "home is device 9"),
        (change("memory_of", [0]), "memory_of"),
        (change("outputs", [999]), "output is a tensor that is not there"),
        (change("limits", {"speed": 1}), "unknown limit 'speed'"),
        (lambda data: data["tasks"][0]["choices"][0].__setitem__(0, 7), "unknown device"),
        (lambda data: data["tasks"][0]["choices"][0].pop(), "damaged"),
        (lambda data: data["tasks"][0].update(inputs=[999]), "damaged|not there"),
        (lambda data: data["tensors"][0].update(routes={"0>1": [[5, 1, 1, 1, 0.0]]}), "unknown"),
        (lambda data: data.pop("tasks"), "damaged"),
        (hop("latency_ns", float("inf")), "latency_ns is inf, no whole number.*no bandwidth"),
        (hop("latency_ns", None), "latency_ns is None, no whole number.*no bandwidth"),
        (hop("latency_ns", -1), "latency_ns is -1, below zero"),
        (hop("latency_ns", 10**30), "add up to .e.30"),
        (hop("energy_pj", float("nan")), "energy_pj is nan, no whole number"),
        (choice("latency_ns", -1), "latency_ns is -1, below zero"),
        (choice("energy_pj", 0.5), "energy_pj is 0.5, no whole number"),
        (choice("cost", float("nan")), "cost is nan"),
        (choice("cost", "dear"), "cost is 'dear'"),
    ],
)
def test_wrong_data_is_refused(damage: Callable[[dict[str, Any]], None], said: str) -> None:
    """The message names what is wrong."""
    data = to_data(random_problem(3))
    damage(data)
    with pytest.raises(InputError, match=said):
        from_data(data)


def test_a_missing_or_wrong_file_is_refused(tmp_path: Path) -> None:
    """One line names the file."""
    with pytest.raises(InputError, match="cannot read problem"):
        load_problem(tmp_path / "none.json")
    wrong = tmp_path / "wrong.json"
    wrong.write_text("no json")
    with pytest.raises(InputError, match="not a problem"):
        load_problem(wrong)


def test_the_committed_instances_are_whole() -> None:
    """There are 50, each with its networks, known limits, a best value and a bound below it."""
    files = sorted(INSTANCES.glob("*.json"))
    assert len(files) == 50
    for path in files:
        row = json.loads(path.read_text())
        limits_of(row["limits"])
        assert row["best"]["lower_bound"] <= row["best"]["objective"]
        assert all((INSTANCES / "networks" / f"{name}.json").is_file() for name in row["networks"])
    for path in (INSTANCES / "networks").glob("*.json"):
        load_problem(path)
