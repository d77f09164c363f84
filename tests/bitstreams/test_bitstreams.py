"""Manifests of bitstreams, checksums, installation, PYNQ's link files."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from heterolith import bitstreams
from heterolith.errors import InputError

MANIFEST = bitstreams.Manifest(
    board="zcu104", configuration="zcu104", config_hash="ab", command_set="cd", tool="Vivado v1"
)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder as a build leaves it."""
    md5 = {}
    for name in ("heterolith.bit", "heterolith.hwh"):
        (tmp_path / name).write_text(f"what is in {name}")
        md5[name] = bitstreams.checksum(tmp_path / name)
    (tmp_path / bitstreams.NAME).write_text(replace(MANIFEST, md5=md5).text())
    return tmp_path


def test_no_bitstream_is_shipped() -> None:
    """Every overlay of the package is the simulated device's, and says so."""
    assert bitstreams.boards() == ("kv260", "ultra96-v2", "zcu104")
    for board in bitstreams.boards():
        manifest = bitstreams.find(board)
        assert manifest.board == board
        assert manifest.tool.startswith("none")
        assert not manifest.md5


def test_an_unknown_board_is_refused_with_the_known_ones() -> None:
    """Near matches are named."""
    with pytest.raises(InputError, match="did you mean ultra96-v2"):
        bitstreams.find("ultra96")


def test_a_manifest_reads_back_what_it_wrote(tmp_path: Path) -> None:
    """JSON, for boards without a TOML reader."""
    (tmp_path / "m.json").write_text(MANIFEST.text())
    assert bitstreams.read(tmp_path / "m.json") == MANIFEST


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"board": 1}', "\xff"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str) -> None:
    """The file is named."""
    (tmp_path / "m.json").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"m\.json is no manifest"):
        bitstreams.read(tmp_path / "m.json")


@pytest.mark.parametrize(
    ("config_hash", "command_set", "words"),
    [("xx", "cd", ("configuration", "ab", "xx")), ("ab", "yy", ("command set", "cd", "yy"))],
)
def test_another_program_is_refused_with_both_hashes(
    config_hash: str, command_set: str, words: tuple[str, ...]
) -> None:
    """What differs, both hashes, and the remedy."""
    with pytest.raises(InputError) as error:
        MANIFEST.check(config_hash, command_set)
    for word in (*words, "bitstream build --board zcu104"):
        assert word in str(error.value)
    MANIFEST.check("ab", "cd")


def test_the_manifest_of_a_bitstream_is_found(built: Path) -> None:
    """Beside it; a simulated bitstream is its own; a foreign one has none."""
    found = bitstreams.beside(built / "heterolith.bit")
    assert found is not None
    assert found.board == "zcu104"
    (built / "simulated.bit").write_text(MANIFEST.text())
    assert bitstreams.beside(built / "simulated.bit") == MANIFEST
    (built / bitstreams.NAME).unlink()
    assert bitstreams.beside(built / "heterolith.bit") is None


def test_files_that_differ_from_their_checksum_are_refused(built: Path) -> None:
    """Changed or missing."""
    assert bitstreams.verify(built).board == "zcu104"
    (built / "heterolith.bit").write_text("changed")
    with pytest.raises(InputError, match="MD5"):
        bitstreams.verify(built)
    (built / "heterolith.bit").unlink()
    with pytest.raises(InputError, match="missing"):
        bitstreams.verify(built)


def test_an_installed_bitstream_is_where_pynq_looks(
    built: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pynq.Overlay("heterolith.bit")` looks for <package>/heterolith/heterolith.bit."""
    target = tmp_path_factory.mktemp("package")
    monkeypatch.setattr(bitstreams, "folder", lambda: target)
    path = bitstreams.install(built)
    assert path == target / "heterolith" / "heterolith.bit"
    assert bitstreams.verify(path.parent) == bitstreams.verify(built)
    assert sorted(p.name for p in path.parent.iterdir()) == sorted(p.name for p in built.iterdir())


def test_a_folder_without_a_bitstream_is_not_installed(tmp_path: Path) -> None:
    """The simulated overlay is none."""
    (tmp_path / bitstreams.NAME).write_text(MANIFEST.text())
    with pytest.raises(InputError, match=r"holds no heterolith\.bit"):
        bitstreams.install(tmp_path)


def test_link_files_have_pynq_s_format(built: Path) -> None:
    """Board -> url and md5sum, one file per file."""
    manifest = bitstreams.verify(built)
    links = bitstreams.links(manifest, "ZCU104", "https://example.org/v1/")
    assert set(links) == {"heterolith.bit.link", "heterolith.hwh.link"}
    assert json.loads(links["heterolith.bit.link"]) == {
        "ZCU104": {
            "url": "https://example.org/v1/heterolith.bit",
            "md5sum": manifest.md5["heterolith.bit"],
        }
    }
