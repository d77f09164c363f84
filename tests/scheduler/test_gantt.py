"""The plan as a picture and as text."""

from pathlib import Path

from heterolith import api
from heterolith.scheduler import gantt


def test_rows_cover_every_layer_and_transfer(cnn_path: Path) -> None:
    """Each assignment is a bar of its device, each hop a bar of its link."""
    plan = api.plan(api.load(cnn_path), "ultra96-v2", deadline="100ms", pins={"stem": "fpga"})
    lanes = gantt.rows(plan)
    assert sum(map(len, lanes.values())) == len(plan.assignments) + len(plan.transfers)
    assert {hop.link for hop in plan.transfers} <= set(lanes)


def test_text_marks_busy_time(cnn_path: Path) -> None:
    """A plan on one device fills its line from end to end."""
    plan = api.plan(api.load(cnn_path), "ultra96-v2", pins={"*": "cpu"})
    assert gantt.text(plan, width=20) == {"cpu": "█" * 20}


def test_picture_is_a_png(cnn_path: Path) -> None:
    """The picture is PNG data of a sensible size."""
    plan = api.plan(api.load(cnn_path), "ultra96-v2", deadline="100ms")
    data = gantt.picture(plan)
    assert data.startswith(b"\x89PNG")
    assert len(data) > 5000
