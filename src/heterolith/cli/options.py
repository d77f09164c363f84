"""Options that several commands share, and how their text becomes values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from heterolith import api, metrics, units
from heterolith.cli.files import read_text
from heterolith.errors import InputError
from heterolith.metrics import Cost
from heterolith.scheduler import Plan
from heterolith.sw import Network


class Objective(str, Enum):
    """What a plan makes least."""

    energy = "energy"
    latency = "latency"
    power = "power"
    scalenet = "scalenet"


class FpgaDevice(str, Enum):
    """What computes the FPGA's layers: numpy, the HLS C++, the RTL in Verilator, a board."""

    golden = "golden"
    functional = "functional"
    rtl = "rtl"
    board = "board"


Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="ONNX network")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of tables")]
Shape = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer on 3.10 reads Optional
    typer.Option("--shape", help="static shape of an input, e.g. data=1x3x224x224; may repeat"),
]
PlatformName = Annotated[
    str, typer.Option("--platform", help="board, or boards joined by +, see: heterolith boards")
]
Deadline = Annotated[str, typer.Option(help="latency bound with unit, e.g. 33ms")]
Power = Annotated[str, typer.Option(help="average power bound, idle included, e.g. 4W")]
PeakPower = Annotated[str, typer.Option(help="peak power bound, e.g. 9W")]
Memory = Annotated[str, typer.Option(help="bound for each memory, e.g. 512MiB")]
ProfileFiles = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--profile", help="measured rows (heterolith profile) that replace modelled ones"),
]
FrontFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--out", help="write the front (CSV)"),
]
FrontPicture = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--plot", help="write a picture (PNG; extra plot)"),
]
ObjectiveName = Annotated[Objective, typer.Option(help="what the plan makes least")]
OptionalObjective = Annotated[
    Optional[Objective],  # noqa: UP045
    typer.Option("--objective", help="what the plan makes least; default: energy"),
]
Pins = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--pin", help="LAYER=DEVICE, LAYER may be a pattern like conv*; may repeat"),
]
TimeLimit = Annotated[str, typer.Option(help="bound on solving time, e.g. 10s")]
Threads = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="threads of each CPU worker; default: all cores"),
]
Repeat = Annotated[int, typer.Option("--repeat", min=1, help="runs; the time is their median")]
CompileCpu = Annotated[
    Optional[bool],  # noqa: UP045
    typer.Option(
        "--compile-cpu/--no-compile-cpu",
        help="compile CPU layers that follow each other; default: from 20 runs on, if it is faster",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a command line asks of a plan; empty text means no limit, or the usual objective."""

    platform: str
    deadline: str = ""
    power: str = ""
    peak_power: str = ""
    memory: str = ""
    accuracy_loss: str = ""
    variants: bool = False
    objective: str = ""
    profile: Sequence[Path] = ()
    pin: Sequence[str] = ()
    time_limit: str = "60s"

    @property
    def asks(self) -> bool:
        """Whether anything but the platform was given."""
        limits = (self.deadline, self.power, self.peak_power, self.memory, self.accuracy_loss)
        return any((*limits, self.objective, self.profile, self.pin))

    def plan(self, network: Network) -> Plan:
        """Return the plan; raises as `heterolith.api.plan` does."""
        limits = {
            name: text
            for name in ("deadline", "power", "peak_power", "memory", "accuracy_loss")
            if (text := getattr(self, name))
        }
        return api.plan(
            network,
            self.platform,
            objective=self.objective or "energy",
            profile=measured_rows(self.profile),
            pins=parse_pins(self.pin),
            time_limit_s=units.time_ns(self.time_limit, "time limit") / 1e9,
            variants=self.variants,
            **limits,
        )


def measured_rows(paths: Sequence[Path]) -> tuple[Cost, ...]:
    """Read measured rows from profile files; raises `InputError` naming file and line."""
    rows: list[Cost] = []
    for path in paths:
        try:
            rows += metrics.from_csv(read_text(path))
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    return tuple(rows)


def parse_shapes(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Turn ``name=1x3x224x224`` into a shape per input; raises `InputError` otherwise."""
    shapes = {}
    for text in texts:
        name, equals, dims = text.rpartition("=")
        parts = dims.lower().split("x")
        if not (equals and name and all(part.isdecimal() and int(part) > 0 for part in parts)):
            raise InputError(f"shape {text!r} is not NAME=AxBxC, e.g. data=1x3x224x224")
        shapes[name] = tuple(int(part) for part in parts)
    return shapes


def parse_pins(texts: Sequence[str]) -> dict[str, str]:
    """Turn ``LAYER=DEVICE`` texts into a mapping; raises `InputError` otherwise."""
    pins = {}
    for text in texts:
        layer, equals, device = text.rpartition("=")
        if not (layer and equals and device):
            raise InputError(f"pin {text!r} is not LAYER=DEVICE, e.g. conv1=fpga")
        pins[layer] = device
    return pins


def load_network(model: Path, shapes: Sequence[str] | None) -> Network:
    """Import the model of a command line."""
    return api.load(model, parse_shapes(shapes or ()))


def json_bytes(plan: Plan) -> bytes:
    """Return a plan as the bytes of its file."""
    return (json.dumps(plan.to_json(), indent=1) + "\n").encode()
