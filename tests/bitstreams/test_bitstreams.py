from pathlib import Path

import pytest

from heterolith import bitstreams
from heterolith.errors import InputError


def test_without_a_bitstream_the_refusal_says_what_to_do() -> None:
    """No overlay is shipped: board and configuration are named, and the two ways on."""
    with pytest.raises(InputError) as error:
        bitstreams.find("ultra96-v2", "0123456789abcdef")
    for word in ("0123456789abcdef", "ultra96-v2", "none", "Vivado", "simulated"):
        assert word in str(error.value)


def test_a_listed_bitstream_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Board and hash must both agree, and the file must be there."""
    (tmp_path / "manifest.toml").write_text(
        '[[overlay]]\nboard = "zcu104"\nconfig_hash = "ab"\nfile = "a.bit"\n'
    )
    monkeypatch.setattr(bitstreams, "_FOLDER", tmp_path)
    with pytest.raises(InputError, match="missing"):
        bitstreams.find("zcu104", "ab")
    (tmp_path / "a.bit").touch()
    assert bitstreams.find("zcu104", "ab") == tmp_path / "a.bit"
    for board, config_hash in (("zcu104", "cd"), ("kv260", "ab")):
        with pytest.raises(InputError, match="zcu104"):
            bitstreams.find(board, config_hash)
