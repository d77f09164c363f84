import json
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heterolith import boards
from heterolith.boards import loader
from heterolith.errors import InputError

FOLDER = Path(loader.__file__).parent

BOARD = """
[device.gpu]
description = "a GPU"
mhz = 1000
fp32_gmacs = 100
active_w = 5
launch_us = 20
source = "here"
[device.cpu]
description = "a CPU"
cores = 2
mhz = 1000
fp32_gmacs = 8
active_w = 1
launch_us = 0
source.rest = "there"
source.active_w = "a meter"
[memory]
mib = 1024
bandwidth_gbs = 10
source = "here"
[link.bus]
ends = ["gpu", "cpu"]
bandwidth_mbs = 1000
latency_us = 10
active_w = 0
source.bandwidth_mbs = "one"
source.rest = "two"
[rails]
source = "here"
IN = { idle_w = 2, device = "gpu" }
[dvfs]
source = "here"
cpu = { mhz = [500, 1000], core_masks = ["1?"] }
"""


def written(tmp_path: Path, text: str) -> Path:
    """Write a board file."""
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tmp_path: Path, old: str, new: str) -> str:
    """Return the message for the board above with one change."""
    assert old in BOARD
    with pytest.raises(InputError) as error:
        boards.load_file(written(tmp_path, BOARD.replace(old, new, 1)))
    message = str(error.value)
    assert "mine.toml" in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", boards.names())
def test_every_board_loads_and_is_whole(name: str) -> None:
    """A board has a memory, rails, a home, joined devices, and survives a round by name."""
    platform = boards.load(name)
    assert platform == boards.load(platform.name)
    assert platform.boards == (name,)
    assert {device.kind for device in platform.devices} <= {"fpga", "cpu", "gpu"}
    assert platform.idle_w > 0
    for device in platform.devices:
        assert platform.memory_of(device.name).bytes >= 2**28
        assert all(link.bandwidth_mbs > 0 for link in platform.route(platform.home, device.name))
        assert all(source for _, source in device.sources)
        assert device.active_w > 0
        if device.kind == "fpga":
            assert device.mhz in device.clocks_mhz
            assert device.fabric is not None
        else:
            assert device.fp32_gmacs > 0
    json.dumps(asdict(platform))


def test_the_thirteen_boards() -> None:
    """The boards that the documents promise are there, sorted, and links are no board."""
    expected = {"ultra96-v1", "ultra96-v2", "zcu104", "kv260", "pynq-z1", "pynq-z2", "zedboard"}
    expected |= {"arty-a7-35t", "arty-a7-100t", "jetson-tk1", "jetson-tx2", "jetson-agx-xavier"}
    assert boards.names() == tuple(sorted(expected | {"jetson-orin-nano"}))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_board_files_are_short(path: Path) -> None:
    """A board file has at most 50 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 50


def unsourced(table: dict[str, Any], inherited: bool) -> list[str]:
    """Return the keys of numbers that no ``source`` covers, walking the raw TOML."""
    source = table.get("source", {})
    covered = inherited or isinstance(source, str) or "rest" in source
    missing = []
    for key, value in table.items():
        if key == "source":
            continue
        own = covered or key in source
        if isinstance(value, dict):
            missing += unsourced(value, own)
        elif not isinstance(value, str) and not own:
            missing += [key] if key not in {"ends", "core_masks"} else []
    return missing


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_number_names_its_source(path: Path) -> None:
    """No number of any file is without a source in its table or one around it."""
    assert unsourced(loader.read_toml(path), inherited=False) == []


def test_a_pair_of_boards_is_named_as_documented() -> None:
    """The first board keeps its names, the second one's are bare where they are free."""
    pair = boards.load("ultra96-v2+jetson-tx2")
    assert [device.name for device in pair.devices] == ["fpga", "cpu", "gpu", "jetson-tx2.cpu"]
    assert [memory.name for memory in pair.memories] == ["dram", "jetson-tx2.dram"]
    assert [device.board for device in pair.devices] == ["ultra96-v2"] * 2 + ["jetson-tx2"] * 2
    assert pair.memory_of("gpu").board == "jetson-tx2"
    assert pair.home == "cpu"
    assert pair.name == "ultra96-v2+jetson-tx2"
    assert pair.boards == ("ultra96-v2", "jetson-tx2")
    assert pair.n_operating_points == 11760
    assert pair.idle_w == pytest.approx(2.640625 + 1.8)
    assert {rail.device for rail in pair.rails} == {"", "fpga", "cpu", "gpu", "jetson-tx2.cpu"}


def test_routes_of_a_pair_cross_the_link_between_the_cpus() -> None:
    """From FPGA to the other board's GPU it takes three hops, the middle one being the link."""
    pair = boards.load("ultra96-v2+jetson-tx2")
    hops = [link.name for link in pair.route("fpga", "gpu")]
    assert hops == ["fpga-cpu", "1gbe", "gpu-cpu"]
    assert [link.name for link in pair.route("gpu", "fpga")] == hops[::-1]
    assert pair.route("gpu", "gpu") == ()


def test_three_boards_are_a_star_and_every_name_is_unique() -> None:
    """Devices, memories, links, rails and clock domains of three boards do not clash."""
    trio = boards.load("jetson-tx2+jetson-agx-xavier+arty-a7-35t")
    for group in (trio.devices, trio.memories, trio.links, trio.rails, trio.dvfs):
        names = [item.name for item in group]
        assert len(set(names)) == len(names)
    assert trio.n_operating_points == 11760 * 51968
    assert [d.name for d in trio.dvfs][4:] == [
        "jetson-agx-xavier.gpu",
        "jetson-agx-xavier.emc",
        "cpu",
    ]
    joints = [link for link in trio.links if link.name.endswith("1gbe")]
    assert [link.ends for link in joints] == [("cpu", "jetson-agx-xavier.cpu"), ("cpu", "fpga")]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(boards.names()), min_size=2, max_size=5, unique=True))
def test_any_boards_join_without_loss(parts: list[str]) -> None:
    """Joined boards keep every device and watt, under unique names, all within reach of home."""
    joined, alone = boards.load("+".join(parts)), [boards.load(part) for part in parts]
    assert joined.home == alone[0].home
    assert joined == boards.load(joined.name)
    assert joined.idle_w == pytest.approx(sum(board.idle_w for board in alone))
    for group in ("devices", "memories", "rails", "dvfs", "links"):
        names = [item.name for item in getattr(joined, group)]
        joints = len(parts) - 1 if group == "links" else 0
        assert len(set(names)) == sum(len(getattr(b, group)) for b in alone) + joints
    for device in joined.devices:
        assert joined.memory_of(device.name).board == device.board
        assert joined.route(joined.home, device.name) or device.name == joined.home


def test_a_board_without_cpu_is_at_home_on_its_fpga() -> None:
    """An Arty has one device; it is home and where a link ends."""
    assert boards.load("arty-a7-100t").home == "fpga"
    assert boards.load("arty-a7-100t").links == ()
    pair = boards.load("arty-a7-100t+jetson-tx2", link="100mbe")
    assert pair.links[-1].ends == ("fpga", "cpu")
    assert pair.home == "fpga"


def test_the_link_is_part_of_the_name() -> None:
    """A link by keyword and one in the name give the same platform, which its name loads again."""
    pair = boards.load("ultra96-v2+jetson-tx2", link="usb3")
    assert pair.name == "ultra96-v2+jetson-tx2@usb3"
    assert boards.load(pair.name) == pair
    assert boards.load(pair.name, link="100mbe") == pair
    assert pair.links[-1].bandwidth_mbs == boards.links()["usb3"].bandwidth_mbs == 400


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ultra96", ["platform 'ultra96'", "ultra96-v2"]),
        ("ultra96-v2+jetson-tx3", ["platform 'jetson-tx3'", "jetson-tx2"]),
        ("ultra96-v2+", ["platform ''"]),
        ("links", ["platform 'links'"]),
        ("../boards/zcu104", ["platform '../boards/zcu104'", "zcu104"]),
        ("zcu104+kv260@usb", ["link 'usb'", "usb3"]),
        ("zcu104@usb3", ["one board"]),
        ("zcu104+zcu104", ["zcu104 twice", "once"]),
        ("nowhere.toml", ["nowhere.toml", "cannot be read"]),
    ],
)
def test_wrong_names_are_refused(name: str, words: list[str]) -> None:
    """What is unknown is named alone, with near matches, on one line."""
    with pytest.raises(InputError) as error:
        boards.load(name)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)


def test_a_file_of_ones_own_is_a_platform(tmp_path: Path) -> None:
    """A file loads by path, by name in `load`, and beside boards of the package."""
    path = written(tmp_path, BOARD)
    mine = boards.load_file(path)
    assert boards.load(str(path)) == boards.load(mine.name) == mine
    assert mine.boards == ("mine",)
    assert mine.n_operating_points == 4
    assert mine.dvfs[0].core_masks == ("10", "11")
    assert dict(mine.device("cpu").sources)["active_w"] == "a meter"
    assert dict(mine.device("cpu").sources)["mhz"] == "there"
    assert mine.links[0].source == "bandwidth_mbs: one; latency_us: two; active_w: two"
    assert boards.load(f"jetson-tx2+{path}").device("mine.gpu").fp32_gmacs == 100


def test_a_board_may_have_a_link_called_like_the_cable(tmp_path: Path) -> None:
    """The cable gives way to the name of a link that a joined board brings."""
    path = written(tmp_path, BOARD.replace("[link.bus]", "[link.1gbe]"))
    pair = boards.load(f"arty-a7-35t+{path}")
    assert [link.name for link in pair.links] == ["1gbe", "mine.1gbe"]
    assert pair.links[0].ends == ("gpu", "cpu")


def test_core_masks_that_overlap_count_once(tmp_path: Path) -> None:
    """A mask that two patterns cover is one setting."""
    path = written(tmp_path, BOARD.replace('["1?"]', '["1?", "11", "01"]'))
    assert boards.load_file(path).dvfs[0].core_masks == ("10", "11", "01")


def test_same_as_replaces_whole_tables(tmp_path: Path) -> None:
    """What a file gives replaces the table of that name; the rest is that of the other board."""
    text = 'same_as = "jetson-tx2"\n[memory]\nmib = 4096\nbandwidth_gbs = 50\nsource = "mine"\n'
    mine, tx2 = boards.load_file(written(tmp_path, text)), boards.load("jetson-tx2")
    assert (mine.memories[0].bytes, mine.memories[0].source) == (2**32, "mine")
    assert mine.n_operating_points == tx2.n_operating_points
    assert mine.device("gpu").active_w == tx2.device("gpu").active_w
    assert {device.board for device in mine.devices} == {"mine"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('same_as = "ultra96-v3"', ["ultra96-v3", "did you mean"]),
        ('same_as = "pynq-z2"', ["pynq-z2", "pynq-z1"]),
        ("same_as = 3", ["'3'"]),
        ('same_as = "zcu104"\ndevice = 5', ["device is 5", "a table"]),
        ("[device", ["line 1", "not valid TOML"]),
        ("a = 1\nb 2\nc = 3", ["line 2"]),
        ("a = 1\na = 2\n\n", ["line "]),
        ("", ["has no device"]),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str, words: list[str]) -> None:
    """Malformed TOML is refused by file and line, a wrong parent by name."""
    with pytest.raises(InputError) as error:
        boards.load_file(written(tmp_path, text))
    assert all(word in str(error.value) for word in ["mine.toml", *words])


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8 is no TOML."""
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"mine\.toml is not valid TOML"):
        boards.load_file(path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("active_w = 5", "actve_w = 5", ["[device.gpu]", "'actve_w'", "active_w"]),
        ("active_w = 5\n", "", ["[device.gpu]", "has no active_w", "a number from 0"]),
        ("active_w = 5", 'active_w = "5 W"', ["[device.gpu]", "active_w is '5 W'", "a number"]),
        ("active_w = 5", "active_w = -5", ["active_w is -5"]),
        ("active_w = 5", "active_w = true", ["active_w is True"]),
        ("active_w = 5", "active_w = nan", ["active_w is nan"]),
        ("active_w = 5", "active_w = inf", ["active_w is inf"]),
        ("active_w = 5", f"active_w = 1{'0' * 400}", ["it must be a number"]),
        ("fp32_gmacs = 100", "fp32_gmacs = 0", ["fp32_gmacs is 0", "above 0"]),
        (
            "bandwidth_mbs = 1000",
            "bandwidth_mbs = 0",
            ["[link.bus]", "bandwidth_mbs is 0", "above 0"],
        ),
        ("bandwidth_gbs = 10", "bandwidth_gbs = 0", ["[memory]", "bandwidth_gbs is 0", "above 0"]),
        ("cores = 2", "cores = 2.5", ["[device.cpu]", "cores is 2.5", "an integer"]),
        ('description = "a GPU"', "description = 3", ["description is 3", "a text"]),
        ("[device.gpu]", "[device.npu]", ["device", "'npu'", "gpu"]),
        (
            'active_w = 5\nlaunch_us = 20\nsource = "here"',
            "active_w = 5\nlaunch_us = 20",
            ["source"],
        ),
        ('source.rest = "there"\n', "", ["[device.cpu]", "cores names no source", "source.cores"]),
        ('source.active_w = "a meter"', 'source.watts = "a meter"', ["'watts'"]),
        ('source.active_w = "a meter"', "source.active_w = 4", ["source is", "a text"]),
        ('ends = ["gpu", "cpu"]', 'ends = ["gpu", "fpga"]', ["[link.bus]", "'fpga'"]),
        ('ends = ["gpu", "cpu"]', 'ends = ["gpu", "gpu"]', ["two devices"]),
        ('ends = ["gpu", "cpu"]', 'ends = ["gpu", "cpu", "gpu"]', ["two devices"]),
        ('device = "gpu" }', 'device = "fpga" }', ["[rails]", "'fpga'"]),
        ('IN = { idle_w = 2, device = "gpu" }', "IN = 2", ["[rails]", "IN is 2", "a table"]),
        ("[500, 1000]", "[1000, 500]", ["[dvfs] cpu", "ascending"]),
        ('"1?"', '"1x"', ["core mask '1x'"]),
        ('["1?"]', '["11", "1"]', ["core mask '1'"]),
        ('"1?"', f'"{"?" * 40}"', ["core mask", "16 of 0, 1 and ?"]),
        ("[memory]", "[memories]", ["'memories'", "memory"]),
    ],
)
def test_a_wrong_table_is_refused_by_name(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    """An unknown, missing or ill-typed key is refused with file, table, key and expectation."""
    message = refusal(tmp_path, old, new)
    assert all(word in message for word in words), message


def test_tomli_stands_in_and_its_absence_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without tomllib tomli parses; without both the error says what to install."""
    monkeypatch.setitem(sys.modules, "tomllib", None)
    stand_in = ModuleType("tomli")
    monkeypatch.setitem(sys.modules, "tomli", stand_in)
    assert loader._parser() is stand_in
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(InputError, match="pip install tomli"):
        boards.load("zcu104")
