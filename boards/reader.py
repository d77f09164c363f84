"""One board from the tables of its file: each table checked, then made into frozen facts."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

from heterolith.boards import table
from heterolith.boards.platform import Device, DvfsDomain, Fabric, Link, Memory, Platform, Rail
from heterolith.boards.table import ASCENDING, COUNT, FACTS, NUMBER, POSITIVE, TABLE, TEXT, TEXTS
from heterolith.errors import InputError, unknown_name

MEMORY = "dram"
"""Name of a board's memory."""

MOST_CORES = 16
"""Cores in a mask: 2**16 masks are more operating points than a search can want."""

_DEVICE = {"description": TEXT, "mhz": POSITIVE, "active_w": NUMBER, "launch_us": NUMBER}
_RATES = {"fp16_gmacs": POSITIVE, "int8_gmacs": POSITIVE}
_DEVICES = {
    "fpga": table.Schema({**_DEVICE, "array": TEXT, "clocks_mhz": ASCENDING, "fabric": FACTS}),
    "cpu": table.Schema({**_DEVICE, "fp32_gmacs": POSITIVE, "cores": COUNT}, _RATES),
    "gpu": table.Schema({**_DEVICE, "fp32_gmacs": POSITIVE}, _RATES),
}
_FABRIC = table.Schema(
    {"part": TEXT, "lut": COUNT, "ff": COUNT, "dsp": COUNT, "bram36": COUNT},
    {"uram": COUNT},
    sources=False,
)
_MEMORY = table.Schema({"mib": COUNT, "bandwidth_gbs": POSITIVE})
CABLE = {"bandwidth_mbs": POSITIVE, "latency_us": NUMBER, "active_w": NUMBER}
_LINK = table.Schema({"ends": TEXTS, **CABLE})
_RAIL = table.Schema({"idle_w": NUMBER}, {"device": TEXT}, sources=False)
_DVFS = table.Schema({"mhz": ASCENDING}, {"core_masks": TEXTS}, sources=False)
_BOARD = table.Schema(
    {"device": TABLE, "memory": TABLE, "rails": TABLE},
    {"same_as": TEXT, "link": TABLE, "dvfs": TABLE},
    sources=False,
)


def told(sources: dict[str, str]) -> str:
    """Return one text for the sources of all numbers of a table."""
    texts = set(sources.values())
    return texts.pop() if len(texts) == 1 else "; ".join(f"{k}: {t}" for k, t in sources.items())


def _named(where: str, group: dict[str, Any]) -> dict[str, dict[str, Any]]:
    for name, values in group.items():
        if not isinstance(values, dict):
            raise InputError(f"{where}: {name} is {values!r}; it must be a table")
    return group


def _device(where: str, board: str, kind: str, values: dict[str, Any]) -> Device:
    if kind not in _DEVICES:
        raise unknown_name(f"device in {where}", kind, _DEVICES)
    found, sources = table.read(f"{where} [device.{kind}]", values, _DEVICES[kind])
    if "fabric" in found:
        facts, _ = table.read(f"{where} [device.{kind}] fabric", found["fabric"], _FABRIC)
        found["fabric"] = Fabric(**facts)
    return Device(
        name=kind, kind=kind, board=board, memory=MEMORY, sources=tuple(sources.items()), **found
    )


def _memory(where: str, board: str, values: dict[str, Any]) -> Memory:
    found, sources = table.read(f"{where} [memory]", values, _MEMORY)
    return Memory(
        name=MEMORY,
        board=board,
        bytes=found["mib"] * 2**20,
        bandwidth_gbs=found["bandwidth_gbs"],
        source=told(sources),
    )


def _link(where: str, name: str, values: dict[str, Any], devices: list[str]) -> Link:
    where = f"{where} [link.{name}]"
    found, sources = table.read(where, values, _LINK)
    ends = found.pop("ends")
    for end in ends:
        if end not in devices:
            raise unknown_name(f"device in {where}", end, devices)
    if len(ends) != 2 or ends[0] == ends[1]:
        raise InputError(f"{where}: ends is {list(ends)}; it must be two devices")
    return Link(name=name, ends=ends, source=told(sources), **found)


def _rails(where: str, board: str, group: dict[str, Any], devices: list[str]) -> tuple[Rail, ...]:
    where = f"{where} [rails]"
    given = _named(where, {name: values for name, values in group.items() if name != "source"})
    sources = table.sources(where, group.get("source", {}), list(given))
    rails = []
    for name, values in given.items():
        found, _ = table.read(f"{where} {name}", values, _RAIL)
        if found.get("device", devices[0]) not in devices:
            raise unknown_name(f"device in {where} {name}", found["device"], devices)
        rails.append(Rail(name=name, board=board, source=sources[name], **found))
    return tuple(rails)


def _masks(where: str, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Expand each ``?`` of a core mask to 0 and 1."""
    for pattern in patterns:
        cores = len(patterns[0])
        if set(pattern) - set("01?") or len(pattern) != cores or cores > MOST_CORES:
            raise InputError(
                f"{where}: core mask {pattern!r} must be {min(cores, MOST_CORES)} of 0, 1 and ?"
            )
    masks = (
        "".join(mask)
        for pattern in patterns
        for mask in product(*("01" if core == "?" else core for core in pattern))
    )
    return tuple(dict.fromkeys(masks))


def _dvfs(where: str, group: dict[str, Any]) -> tuple[DvfsDomain, ...]:
    where = f"{where} [dvfs]"
    given = _named(where, {name: values for name, values in group.items() if name != "source"})
    table.sources(where, group.get("source", {}), list(given))
    domains = []
    for name, values in given.items():
        found, _ = table.read(f"{where} {name}", values, _DVFS)
        masks = _masks(f"{where} {name}", found.get("core_masks", ()))
        domains.append(DvfsDomain(name=name, mhz=found["mhz"], core_masks=masks))
    return tuple(domains)


def board(name: str, path: Path, document: dict[str, Any]) -> Platform:
    """Return the platform of one board.

    Parameters
    ----------
    name
        Name of the platform; the board itself is called like the file.
    document
        The tables of the file.

    Raises
    ------
    InputError
        If a table breaks the schema; file, table and key are named.
    """
    where, stem = str(path), path.stem
    found, _ = table.read(where, document, _BOARD)
    devices = tuple(
        _device(where, stem, kind, values)
        for kind, values in _named(f"{where} [device]", found["device"]).items()
    )
    known = [device.name for device in devices]
    return Platform(
        name=name,
        boards=(stem,),
        home="cpu" if "cpu" in known else known[0],
        devices=devices,
        memories=(_memory(where, stem, found["memory"]),),
        links=tuple(
            _link(where, name, values, known)
            for name, values in _named(f"{where} [link]", found.get("link", {})).items()
        ),
        rails=_rails(where, stem, found["rails"], known),
        dvfs=_dvfs(where, found.get("dvfs", {})),
    )
