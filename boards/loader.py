"""Platforms from ``boards/*.toml``: one board, or several joined by a link.

A board is one TOML file and no code; ``boards/README.md`` has its schema. A platform name is a
board, or boards joined by ``+``, with ``@<link>`` of ``boards/links.toml`` at the end where the
link is not the default: ``ultra96-v2+jetson-tx2@usb3``. Invariant: ``load(p.name)`` equals ``p``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from heterolith.boards import reader, table
from heterolith.boards.join import Cable, join
from heterolith.boards.platform import Platform
from heterolith.errors import InputError, unknown_name

DEFAULT_LINK = "1gbe"
_FOLDER = Path(__file__).parent
_NO_BOARDS = frozenset({"links"})


def _parser() -> ModuleType:
    for module in ("tomllib", "tomli"):
        try:
            return import_module(module)
        except ModuleNotFoundError:
            continue
    raise InputError("TOML files need tomllib (Python 3.11); install it with: pip install tomli")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises `InputError` if it is missing or wrong, naming the line."""
    parser, text = _parser(), ""
    try:
        text = path.read_text(encoding="utf-8")
        document: dict[str, Any] = parser.loads(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a TOML file") from None
    except ValueError as error:
        why = str(error).replace("end of document", f"line {len(text.splitlines())}, the end")
        raise InputError(f"{path} is not valid TOML: {why}; correct it there") from None
    return document


def _inherited(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with what it does not give itself from ``same_as``.

    A table that is given replaces the whole table of that name, so that a number and its source
    stay together; devices and links are tables of their own.
    """
    if "same_as" not in document:
        return document
    parent = document["same_as"]
    if parent not in names() or parent == path.stem:
        raise unknown_name(f"board in {path}, same_as", str(parent), set(names()) - {path.stem})
    base = read_toml(_FOLDER / f"{parent}.toml")
    if "same_as" in base:
        raise InputError(f"{path}: same_as is {parent!r}, which is itself {base['same_as']!r}")
    groups: dict[str, Any] = {
        key: {**base.get(key, {}), **document.get(key, {})}
        for key in ("device", "link")
        if key in base and isinstance(document.get(key, {}), dict)
    }
    return {**base, **document, **groups}


def load_file(path: Path | str) -> Platform:
    """Return the board of a TOML file; outside the package the platform's name is the path.

    Raises
    ------
    InputError
        If the file is missing, is not TOML, or breaks the schema; file and table are named.
    """
    path = Path(path)
    name = path.stem if path.parent == _FOLDER else str(path)
    return reader.board(name, path, _inherited(path, read_toml(path)))


def names() -> tuple[str, ...]:
    """Return the names of the boards that come with the package."""
    stems = {path.stem for path in _FOLDER.glob("*.toml")}
    return tuple(sorted(stems - _NO_BOARDS))


def links() -> dict[str, Cable]:
    """Return the links that can join boards, by name."""
    path = _FOLDER / "links.toml"
    cables = {}
    for name, values in read_toml(path).items():
        found, sources = table.read(f"{path} [{name}]", values, table.Schema(reader.CABLE))
        cables[name] = Cable(name=name, source=reader.told(sources), **found)
    return cables


def load(name: str, link: str = DEFAULT_LINK) -> Platform:
    """Return a platform by name.

    Parameters
    ----------
    name
        A board of `names` or a path that ends in ``.toml``, or several joined by ``+``;
        ``@<link>`` at the end overrides ``link``.
    link
        What joins the boards: a name of `links`.

    Raises
    ------
    InputError
        If a board or the link is not known, or a board is named twice.
    """
    chain, at, chosen = name.partition("@")
    parts, link = chain.split("+"), chosen if at else link
    boards = []
    for part in parts:
        if not part.endswith(".toml") and part not in names():
            raise unknown_name("platform", part, names())
        boards.append(load_file(part if part.endswith(".toml") else _FOLDER / f"{part}.toml"))
        if [board.boards for board in boards].count(boards[-1].boards) > 1:
            raise InputError(f"platform {name!r} has {part} twice; name each board once")
    if len(boards) == 1:
        if at:
            raise InputError(f"platform {name!r} is one board; a link joins two, e.g. a+b@{link}")
        return boards[0]
    if link not in links():
        raise unknown_name("link", link, links())
    return join(chain if link == DEFAULT_LINK else f"{chain}@{link}", boards, links()[link])
