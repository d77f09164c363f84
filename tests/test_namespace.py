"""The namespace holds every floor."""

from importlib import import_module
from importlib.resources import files

import pytest

import heterolith


@pytest.mark.parametrize("name", ["boards", "bitstreams", "hw", "sw", "metrics", "scheduler"])
def test_every_folder_is_in_the_namespace(name: str) -> None:
    """Each top-level folder imports as heterolith.<folder>."""
    assert import_module(f"heterolith.{name}").__name__ == f"heterolith.{name}"


def test_board_files_travel_with_the_package() -> None:
    """Data files are found through the package, installed or not."""
    assert (files("heterolith.boards") / "ultra96-v2.toml").is_file()


def test_the_door_lists_what_it_has() -> None:
    """Every public name of the package resolves, and no other does."""
    for name in heterolith.__all__:
        assert getattr(heterolith, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'plann'"):
        heterolith.plann  # noqa: B018
