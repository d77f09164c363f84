"""Declared scenarios: platform, networks, loads, deadlines; figures come from boards and traces.

Loads are parts of the first device's time that the exact networks need at the reference point, by
their worst case; deadlines are parts of the period, or multiples of the exact network's time for
clients. Declared before any policy was run on them, and not changed after.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from heterolith.errors import InputError, unknown_name
from heterolith.metrics.trace import RecordedTrace, read_trace
from heterolith.scheduler.adaptive.assemble import assemble
from heterolith.scheduler.adaptive.model import (
    AdaptiveTask,
    Board,
    KnobNetwork,
    Scenario,
    place,
)
from heterolith.sw import Network, load_onnx

DATA = Path("examples") / "cifar10"
"""Where the networks and their traces are, in a checkout."""
SPREAD = (1.0, 1.5, 2.0, 3.0)
"""Periods of a cohort's tasks, as multiples of each other, in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A scenario as it is declared.

    Attributes
    ----------
    platform, devices
        As `assemble` takes them; the first device is where everything runs unless it is placed.
    networks
        One task each.
    load
        Of the first device, by the tasks together.
    deadline
        Part of the period; for clients the low and high deadline in exact times of the network.
    power_w
        Most average power of the board, infinite if absent.
    """

    about: str
    platform: str
    devices: tuple[str, ...]
    networks: tuple[str, ...]
    load: float = 0.0
    deadline: float = 1.0
    clients: tuple[float, float] | None = None
    execution: str = "uniform"
    arrival: str = "periodic"
    power_w: float = math.inf


_TX2 = {"platform": "jetson-tx2", "devices": ("cpu", "gpu")}
_AGX = {"platform": "jetson-agx-xavier", "devices": ("gpu", "cpu")}
_ULTRA = {"platform": "ultra96-v2", "devices": ("cpu", "fpga")}
_ALL = {"platform": "ultra96-v2+jetson-tx2", "devices": ("jetson-tx2.cpu", "gpu", "fpga")}
_MIX = ("resnet8", "exits", "resnet8", "exits", "resnet8", "exits", "resnet8", "exits")


def _spec(about: str, on: Mapping[str, object], networks: tuple[str, ...], **more: object) -> Spec:
    return Spec(about=about, networks=networks, **on, **more)  # type: ignore[arg-type]


SPECS: dict[str, Spec] = {
    "underload-1": _spec("one network, a third of the time", _TX2, ("exits",), load=0.33),
    "underload-4": _spec("a cohort of four, light", _TX2, _MIX[:4], load=0.4),
    "tight-2": _spec("deadlines at 0.6 of the period", _TX2, _MIX[:2], load=0.5, deadline=0.6),
    "tight-4": _spec("deadlines at 0.6 of the period", _AGX, _MIX[:4], load=0.5, deadline=0.6),
    "cohort-2": _spec("two networks", _TX2, _MIX[:2], load=0.7),
    "cohort-4": _spec("four networks", _TX2, _MIX[:4], load=0.7),
    "cohort-8": _spec("eight networks", _TX2, _MIX, load=0.7),
    "cohort-4-agx": _spec("four networks on the GPU of another board", _AGX, _MIX[:4], load=0.7),
    "sporadic-4": _spec(
        "arrivals a period or more apart", _TX2, _MIX[:4], load=0.8, arrival="sporadic"
    ),
    "overload-4": _spec("more than the CPU has at exact degrees", _TX2, _MIX[:4], load=1.1),
    "cap-4": _spec("average power at most 3 W", _TX2, _MIX[:4], load=0.5, power_w=3.0),
    "fpga-cpu": _spec("FPGA and CPU, no operating points", _ULTRA, _MIX[:4], load=0.6),
    "three-devices": _spec("FPGA, CPU and GPU of two boards", _ALL, _MIX[:4], load=0.7),
    "three-devices-overload": _spec("more than the CPU alone has", _ALL, _MIX[:6], load=1.4),
    "clients-4": _spec(
        "clients with random deadlines, mandatory and optional stages fit", _TX2,
        ("exits",) * 4, clients=(2.0, 12.0),
    ),
    "clients-8": _spec(
        "clients, mandatory stages fit", _TX2, ("exits",) * 8, clients=(2.0, 12.0)
    ),
    "clients-16": _spec(
        "clients, mandatory stages nearly fit", _TX2, ("exits",) * 16, clients=(2.0, 12.0)
    ),
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Return the names of the scenarios."""
    return tuple(SPECS)


@lru_cache(maxsize=4)
def recorded(
    data: Path, names: tuple[str, ...] = ("exits", "resnet8")
) -> dict[str, tuple[Network, RecordedTrace]]:
    """Read networks and their traces: ``NAME.onnx`` and ``NAME.trace.npz``.

    Raises
    ------
    InputError
        If the folder lacks one, or a trace is not of its network.
    """
    found = {}
    for name in names:
        model, trace = data / f"{name}.onnx", data / f"{name}.trace.npz"
        for path in (model, trace):
            if not path.is_file():
                raise InputError(
                    f"no {path}; give the folder of networks and traces (examples/cifar10 in a "
                    "checkout), or record it with `heterolith accuracy --record`"
                )
        network, answers = load_onnx(model), read_trace(trace)
        answers.check(network)
        found[name] = (network, answers)
    return found


@lru_cache(maxsize=8)
def _assembled(
    platform: str, devices: tuple[str, ...], names: tuple[str, ...], data: Path
) -> tuple[Board, dict[str, KnobNetwork]]:
    return assemble(platform, devices, recorded(data, names))


def build(name: str, data: Path = DATA, jobs: int = 2000, seed: int = 0) -> Scenario:
    """Return a declared scenario.

    Parameters
    ----------
    data
        Folder of networks and traces.
    jobs
        About how many jobs are released.

    Raises
    ------
    InputError
        If the name is unknown, the data is missing, or `jobs` is not positive.
    """
    if name not in SPECS:
        raise unknown_name("scenario", name, SPECS)
    if jobs < 1:
        raise InputError(f"{jobs} jobs are asked for; at least 1 must be")
    return build_spec(name, SPECS[name], data, jobs=jobs, seed=seed)


def build_spec(name: str, spec: Spec, data: Path = DATA, *, jobs: int, seed: int) -> Scenario:
    """Return the scenario of a spec that is not in the table."""
    names = tuple(sorted(set(spec.networks)))
    board, networks = _assembled(spec.platform, spec.devices, names, data.resolve())
    return made(name, spec, board, networks, jobs=jobs, seed=seed)


def made(
    name: str,
    spec: Spec,
    board: Board,
    networks: Mapping[str, KnobNetwork],
    *,
    jobs: int,
    seed: int,
) -> Scenario:
    """Return a scenario of a spec over networks that are priced on its board."""
    tasks = []
    exact = [home_placed(networks[network], board).wcet_ns for network in spec.networks]
    weights = [SPREAD[i % len(SPREAD)] for i in range(len(exact))]
    scale = sum(e / w for e, w in zip(exact, weights, strict=True)) / (spec.load or 1.0)
    for number, (network, time) in enumerate(zip(spec.networks, exact, strict=True)):
        label = f"{network} {number}"
        if spec.clients is not None:
            low, high = (round(time * part) for part in spec.clients)
            task = AdaptiveTask(
                name=label, network=networks[network], period_ns=low, deadline_ns=high,
                deadline_low_ns=low, hard=False,
            )  # fmt: skip
        else:
            period = round(scale * weights[number])
            task = AdaptiveTask(
                name=label, network=networks[network], period_ns=period,
                deadline_ns=round(period * spec.deadline),
            )  # fmt: skip
        tasks.append(task)
    rate = sum(2 / (t.period_ns + t.deadline_ns) if t.deadline_low_ns else 1 / t.period_ns
               for t in tasks)  # fmt: skip
    return Scenario(
        name=name,
        board=board,
        tasks=tuple(tasks),
        horizon_ns=math.ceil(jobs / rate),
        seed=seed,
        execution=spec.execution,
        arrival=spec.arrival,
        power_mw=spec.power_w * 1e3,
        about=spec.about,
    )


def home_placed(network: KnobNetwork, board: Board) -> KnobNetwork:
    """Return a network with all blocks on the first device, input from the board's home."""
    return place(network, (0,) * len(network.layers), board.home)


def on_first(scenario: Scenario) -> Scenario:
    """Return a scenario with all blocks on the first device."""
    return replace(
        scenario,
        tasks=tuple(
            replace(task, network=home_placed(task.network, scenario.board))
            for task in scenario.tasks
        ),
    )
