"""Figures in the user's cache: complete or absent, never in the way."""

import pytest

from heterolith.hw.compiler import keep
from heterolith.hw.compiler.keep import keep_figures, kept_figures


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Return a cache folder of its own."""
    monkeypatch.setenv("HETEROLITH_CACHE", str(tmp_path))
    return tmp_path


def test_figures_are_found_under_their_name_alone(folder):
    """What was kept comes back, another name has nothing, and nothing temporary stays."""
    keep_figures("one", {"total": 7, "load": 3})
    assert kept_figures("one") == {"total": 7, "load": 3}
    assert kept_figures("two") is None
    assert [path.suffix for path in (folder / "cycles").iterdir()] == [".json"]


def test_another_version_finds_nothing(monkeypatch):
    """Figures of other sources are not used."""
    keep_figures("one", {"total": 7})
    monkeypatch.setattr(keep, "_version", lambda: b"other")
    assert kept_figures("one") is None


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"total": "x"}'])
def test_a_broken_file_is_no_figure(folder, text):
    """What cannot be read is computed again."""
    keep_figures("one", {"total": 7})
    next((folder / "cycles").iterdir()).write_text(text)
    assert kept_figures("one") is None


def test_a_folder_that_cannot_be_made_is_no_error(folder):
    """A cache that cannot be written is left alone."""
    (folder / "cycles").write_text("in the way")
    keep_figures("one", {"total": 7})
    assert kept_figures("one") is None
