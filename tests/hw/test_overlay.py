"""Generated files of the overlay, and the build with a program in Vivado's place."""

import json
import re
import stat
from pathlib import Path
from xml.etree import ElementTree

import pytest

from heterolith import bitstreams, boards
from heterolith.errors import InputError
from heterolith.hw.export import command_set
from heterolith.hw.overlay import PYNQ_NAMES, SIMULATED, array, clocking, expected
from heterolith.hw.overlay import boards as overlays
from heterolith.hw.overlay.build import build, script, vivado
from heterolith.hw.overlay.handoff import VLNV, registers
from heterolith.hw.regmap import REGISTERS

FAKE = """#!/bin/sh
if [ "$1" = -version ]; then echo 'Vivado v2024.1 (64-bit)'; exit; fi
test -f "$5" || exit 3
mkdir -p build
echo bits > build/ultra96-v2.bit
echo handoff > build/ultra96-v2.hwh
"""


@pytest.fixture
def fake_vivado(tmp_path, monkeypatch):
    """Put a program called vivado on PATH; returns its path."""
    path = tmp_path / "bin" / "vivado"
    path.parent.mkdir()
    path.write_text(FAKE)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    return path


def test_generated_files_are_fresh(capsys):
    """`python -m heterolith.hw.overlay` rewrites them."""
    assert overlays.main(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_stale_files_are_named_and_rewritten(tmp_path, capsys):
    """From nothing; afterwards nothing is stale."""
    assert overlays.main(["--check"], tmp_path) == 1
    assert overlays.main([], tmp_path) == 0
    assert "wrote" in capsys.readouterr().out
    assert overlays.main(["--check"], tmp_path) == 0


@pytest.mark.parametrize("board", SIMULATED)
def test_the_handoff_describes_the_registers(board):
    """Every register at its offset; the core under the name that the driver binds to."""
    path = bitstreams.folder() / board / "heterolith.hwh"
    root = ElementTree.fromstring(path.read_text())
    (core,) = [m for m in root.iter("MODULE") if m.get("VLNV") == VLNV]
    found = {
        node.get("NAME"): {p.get("NAME"): p.get("VALUE") for p in node.findall("PROPERTY")}
        for node in core.iter("REGISTER")
    }
    assert {n: int(p["ADDRESS_OFFSET"], 16) for n, p in found.items()} == {
        register.name: register.offset for register in REGISTERS
    }
    assert set(registers()) == set(found)


@pytest.mark.parametrize("board", SIMULATED)
def test_the_pll_divides_to_the_clocks_of_the_board(board):
    """Its clock, the CPU's, and its steps but those of the KV260's other PLL."""
    clocks, platform = clocking(board), boards.load(board)
    fpga = platform.device("fpga")
    assert clocks.mhz == pytest.approx(fpga.mhz, abs=0.01)
    assert 33.333 * clocks.cpu_pll / 2 == pytest.approx(platform.device("cpu").mhz, rel=0.01)
    pll = clocks.mhz * clocks.divisor
    missed = [mhz for mhz in fpga.clocks_mhz if abs(pll / round(pll / mhz) - mhz) > 0.01]
    assert missed == ([111.11, 142.856, 199.998, 333.33] if board == "kv260" else [])


def test_the_simulated_bitstream_is_the_manifest():
    """PYNQ looks for it under the device's name."""
    for board in SIMULATED:
        path = bitstreams.folder() / "heterolith" / "heterolith.bit.d" / f"heterolith.{board}.bit"
        assert bitstreams.beside(path) == bitstreams.find(board) == expected(board)


def test_the_command_set_hash_changes_with_a_register():
    """It is the hash of the generated package."""
    assert re.fullmatch("[0-9a-f]{16}", command_set())
    assert expected("zcu104").command_set == command_set()
    assert expected("zcu104").config_hash == array("zcu104").fingerprint()


@pytest.mark.parametrize("board", PYNQ_NAMES)
def test_the_tcl_builds_the_configuration_of_the_program(board):
    """Its hash stands in the Tcl."""
    assert script(board).name == f"{board}.tcl"


def test_a_tcl_of_another_configuration_is_refused(tmp_path, monkeypatch):
    """Hours would go into a bitstream that the driver refuses."""
    (tmp_path / "vivado").mkdir()
    (tmp_path / "vivado" / "zcu104.tcl").write_text("ConfigHash 64'h0123456789abcdef")
    monkeypatch.setattr(boards, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr("heterolith.hw.overlay.build.expected", bitstreams.find)
    with pytest.raises(InputError, match="0123456789abcdef"):
        script("zcu104")


def test_without_vivado_the_refusal_says_what_to_do(monkeypatch, tmp_path):
    """Install it, or simulate."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("XILINX_VIVADO", raising=False)
    with pytest.raises(InputError, match=r"settings64\.sh.*heterolith simulate"):
        vivado()


def test_a_build_leaves_bitstream_handoff_manifest_and_links(fake_vivado, tmp_path):
    """The manifest passes the check of this program and installs."""
    folder = build("ultra96-v2", tmp_path / "out", "https://example.org/x")
    manifest = bitstreams.verify(folder)
    assert manifest.tool == "Vivado v2024.1 (64-bit)"
    assert (folder / "heterolith.bit").read_text() == "bits\n"
    link = json.loads((folder / "heterolith.bit.link").read_text())
    assert link["Ultra96"]["md5sum"] == manifest.md5["heterolith.bit"]


def test_a_vivado_that_fails_or_makes_nothing_is_reported(fake_vivado, tmp_path):
    """With the end of its output, and without a manifest."""
    fake_vivado.write_text("#!/bin/sh\necho 'ERROR: no licence'\nexit 1\n")
    with pytest.raises(InputError, match="no licence"):
        build("ultra96-v2", tmp_path / "out")
    fake_vivado.write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(InputError, match="ended without"):
        build("ultra96-v2", tmp_path / "out")
    assert not list(Path(tmp_path).rglob(bitstreams.NAME))


def test_an_unknown_board_is_refused():
    """The known ones are named."""
    with pytest.raises(InputError, match="pynq-z2"):
        build("arty", Path("nowhere"))
