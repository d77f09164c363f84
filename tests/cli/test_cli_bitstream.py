"""`heterolith bitstream` and `heterolith simulate`."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from heterolith import bitstreams
from heterolith.cli import main
from heterolith.hw.overlay import PYNQ_NAMES, expected


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as a build for the ZCU104 leaves it."""
    (tmp_path / "heterolith.bit").write_text("bits")
    md5 = {"heterolith.bit": bitstreams.checksum(tmp_path / "heterolith.bit")}
    manifest = replace(expected("zcu104"), tool="Vivado v2024.1", md5=md5)
    (tmp_path / bitstreams.NAME).write_text(manifest.text())
    return tmp_path


def test_list_says_that_none_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    """Every board with its hashes; the table says how to get a bitstream."""
    assert main(["bitstream", "list", "--json"]) == 0
    rows = {row["board"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == set(PYNQ_NAMES)
    assert rows["zcu104"]["config_hash"] == expected("zcu104").config_hash
    assert {row["bitstream"] for row in rows.values()} == {"none"}
    assert main(["bitstream", "list"]) == 0
    assert "no bitstream is shipped" in capsys.readouterr().out


def test_build_without_vivado_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With the remedy, and nothing is written."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("XILINX_VIVADO", raising=False)
    out = tmp_path / "out"
    assert main(["bitstream", "build", "--board", "ultra96-v2", "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert "install Vivado" in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_check_accepts_this_program_s_and_refuses_another_s(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both hashes are printed."""
    assert main(["bitstream", "check", str(built)]) == 0
    assert "zcu104, by Vivado v2024.1: ok" in capsys.readouterr().out
    manifest = bitstreams.read(built / bitstreams.NAME)
    (built / bitstreams.NAME).write_text(replace(manifest, command_set="0123").text())
    for command in ("check", "install"):
        assert main(["bitstream", command, str(built)]) == 1
        error = capsys.readouterr().err
        assert "0123" in error
        assert manifest.command_set in error


def test_install_puts_it_where_pynq_looks(
    built: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """And list shows it."""
    package = tmp_path_factory.mktemp("package")
    monkeypatch.setattr(bitstreams, "folder", lambda: package)
    assert main(["bitstream", "install", str(built)]) == 0
    assert (package / "heterolith" / "heterolith.bit").read_text() == "bits"
    capsys.readouterr()
    assert main(["bitstream", "list", "--json"]) == 0
    rows = {row["board"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["zcu104"]["bitstream"] == "installed"
    shutil.rmtree(package)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["ultra96", "true"], "did you mean ultra96-v2"), (["ultra96-v2", "/no/program"], "No such")],
)
def test_simulate_refuses_what_it_cannot_run(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown boards and programs."""
    assert main(["simulate", *arguments]) == 1
    assert word in capsys.readouterr().err
