"""Messages that a user can act on."""

from heterolith.errors import MissingExtraError, unknown_name


def test_unknown_name_offers_near_matches() -> None:
    """A misspelt name is answered with what it may have meant."""
    error = unknown_name("platform", "ultra96v2", ["ultra96-v2", "zcu104"])
    assert str(error) == "unknown platform 'ultra96v2'; did you mean ultra96-v2?"


def test_unknown_name_lists_all_without_a_near_match() -> None:
    """A name unlike any other is answered with the whole list."""
    assert str(unknown_name("board", "x", ["b", "a"])).endswith("known: a, b")


def test_missing_extra_names_the_command() -> None:
    """A missing optional dependency says what to type."""
    assert "pip install 'heterolith[plot]'" in str(MissingExtraError("matplotlib", "plot"))
