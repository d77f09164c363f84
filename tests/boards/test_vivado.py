"""The Tcl of the Zynq boards against the configurations that it builds."""

import re
from pathlib import Path

import pytest

from heterolith.boards import load
from heterolith.hw.config import config
from heterolith.hw.geometry import rtl_parameters

FOLDER = Path(__file__).parents[2] / "boards" / "vivado"
BOARDS = {"ultra96-v2": "ultrascale", "zcu104": "ultrascale", "kv260": "ultrascale"} | {
    "pynq-z2": "zynq7"
}
BUILD = re.compile(r"^accelerator::build (\S+) (\S+) (\S+) (\S+) \{\n(.*?)^\}$", re.M | re.S)


def test_every_file_is_tested():
    """One file per board and the procedures they share."""
    assert {path.stem for path in FOLDER.glob("*.tcl")} == {*BOARDS, "accelerator"}


@pytest.mark.parametrize("board", BOARDS)
def test_parameters_are_those_of_the_configuration(board):
    """Sizes, hash and clock in the Tcl equal what the board's configuration exports."""
    (found,) = BUILD.findall((FOLDER / f"{board}.tcl").read_text(encoding="utf-8"))
    name, _, processor, mhz, lines = found
    (fpga,) = [device for device in load(board).devices if device.kind == "fpga"]
    entry = config(fpga.array)
    expected = {key: str(value) for key, value in rtl_parameters(entry).items()}
    expected["ConfigHash"] = f"64'h{entry.fingerprint()}"
    assert dict(line.split() for line in lines.splitlines()) == expected
    assert (name, processor) == (board, BOARDS[board])
    assert float(mhz) == entry.clock_mhz


def test_the_wrapper_has_every_port_of_the_core():
    """Each port of accel_top is in the wrapper's list, in its direction."""
    top = (FOLDER.parents[1] / "hw" / "rtl" / "accel_top.sv").read_text(encoding="utf-8")
    core = set(re.findall(r"^  (input|output)\s+logic\s.*?(\w+),?$", top, re.M))
    listed = re.findall(r"\{(input|output) \w+ (\w+)\}", (FOLDER / "accelerator.tcl").read_text())
    renamed = {"aclk": "clk_i", "aresetn": "rst_ni", "irq": "irq_o"}
    assert {(way, renamed.get(name, name)) for way, name in listed} == core
    assert len(core) == len(listed) == 46 + 3 + 6
