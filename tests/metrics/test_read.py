"""Sample files: what is read, and every refusal with file, row, column and remedy."""

import csv
from pathlib import Path

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics.models import read
from heterolith.metrics.models.read import LONGEST_LINE
from heterolith.metrics.models.terms import STEPWISE

from .layers import rows


def write(path: Path, table: list[dict[str, object]]) -> Path:
    """Write rows as CSV with the columns of the first."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(k for row in table for k in row)))
        writer.writeheader()
        writer.writerows(table)
    return path


def table(count: int = 20) -> list[dict[str, object]]:
    """Return rows for a file."""
    return [dict(row) for row in rows(count)]


def test_layer_rows_spread_their_work_over_families(tmp_path: Path) -> None:
    """``macs`` of a conv row becomes ``macs.conv``; lines are those of the file."""
    samples, digest = read([write(tmp_path / "a.csv", table())], "latency")
    assert len(samples) == 20
    assert {"macs.conv", "steps.maxpool", "activation_elements.conv"} <= set(samples.work)
    assert samples.lines[0] == 2
    assert samples.where(3).startswith("a.csv, line 5 (net3/layer3)")
    assert len(digest) == 64


def test_units_in_the_header_are_converted(tmp_path: Path) -> None:
    """``latency_ms`` gives the same samples as ``latency_ns``."""
    made = table()
    scaled = [
        {("latency_ms" if k == "latency_ns" else k): v for k, v in row.items()} for row in made
    ]
    for row in scaled:
        row["latency_ms"] = float(str(row["latency_ms"])) / 1e6
    a, _ = read([write(tmp_path / "a.csv", made)], "latency")
    b, _ = read([write(tmp_path / "b.csv", scaled)], "latency")
    np.testing.assert_allclose(a.targets["latency"], b.targets["latency"], rtol=1e-12)


def test_a_file_of_an_earlier_version_that_counted_steps_otherwise_is_refused(
    tmp_path: Path,
) -> None:
    """Its columns would be taken for others; one that counts none, as of other devices, is not."""
    made = [{**row, "array_calls": 1, "runs": 3} for row in table()]
    with pytest.raises(InputError, match=r"a.csv, line 1: array_calls without .*; profile again"):
        read([write(tmp_path / "a.csv", made)], "latency")
    whole = [{**row, **dict.fromkeys(STEPWISE, 1)} for row in table()]
    assert len(read([write(tmp_path / "b.csv", whole)], "latency")[0]) == len(whole)


def test_views_are_left_out(tmp_path: Path) -> None:
    """A row without any work tells nothing, whatever it took."""
    made = [*table(), {"network": "n", "layer": "flatten", "family": "flatten", "latency_ns": 900}]
    samples, _ = read([write(tmp_path / "a.csv", made)], "latency")
    assert "flatten" not in samples.labels["layer"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("latency_ns", "-5", r"a.csv, line 4, column latency_ns: '-5' is negative; correct"),
        ("latency_ns", "nan", r"line 4, column latency_ns: 'nan' is not finite"),
        ("latency_ns", "inf", r"line 4, column latency_ns: 'inf' is not finite"),
        ("latency_ns", "3.2ms", r"line 4.*'3.2ms' is no number; write it alone, its unit"),
        ("latency_ns", "soon", r"line 4, column latency_ns: 'soon' is no number"),
        ("latency_ns", "", r"line 4 .*column latency_ns is empty for a row that does work"),
        ("latency_ns", "0", r"line 4 .*column latency_ns is 0 for a row that does work"),
        ("macs", "many", r"line 4, column macs: 'many' is no number"),
        ("variant", "fp31", r"line 4 .*unknown variant 'fp31'; did you mean"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path: Path, column: str, value: str, message: str) -> None:
    """File, line, column, value and what to do stand in one line."""
    made = table()
    made[2][column] = value
    with pytest.raises(InputError, match=message):
        read([write(tmp_path / "a.csv", made)], "latency")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """No target, no work, no family: each is refused with the column to add."""
    made = table()
    without = [{k: v for k, v in row.items() if k != "latency_ns"} for row in made]
    with pytest.raises(InputError, match=r"no column latency_ns.*latency_ms"):
        read([write(tmp_path / "a.csv", without)], "latency")
    bare = [{"network": "a", "latency_ns": 5}]
    with pytest.raises(InputError, match="no column says how much work"):
        read([write(tmp_path / "b.csv", bare)], "latency")
    lost = [{k: v for k, v in row.items() if k != "family"} for row in made]
    with pytest.raises(InputError, match=r"no column family.*calls.conv"):
        read([write(tmp_path / "c.csv", lost)], "latency")


def test_two_units_of_one_metric_are_refused(tmp_path: Path) -> None:
    """latency_ns beside latency_ms leaves open which counts."""
    made = [{**row, "latency_ms": 1} for row in table()]
    with pytest.raises(InputError, match="latency_ns and latency_ms both give latency"):
        read([write(tmp_path / "a.csv", made)], "latency")


def test_a_row_twice_is_refused_within_and_across_files(tmp_path: Path) -> None:
    """Both places are named."""
    made = table()
    path = write(tmp_path / "a.csv", [*made, made[4]])
    with pytest.raises(InputError, match=r"a.csv, line 22 .* repeats a.csv, line 6"):
        read([path], "latency")
    whole = write(tmp_path / "b.csv", made)
    with pytest.raises(InputError, match=r"b.csv, line 2 .* repeats b.csv, line 2"):
        read([whole, whole], "latency")


def test_files_that_are_no_samples_are_refused(tmp_path: Path) -> None:
    """Empty, header only, binary, a picture of one line: refused, not read to the end."""
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(InputError, match="is empty"):
        read([empty], "latency")
    header = tmp_path / "header.csv"
    header.write_text("network,macs.conv,latency_ns\n")
    with pytest.raises(InputError, match="has a header and no rows"):
        read([header], "latency")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\x89PNG\r\n\x00\x00" * 10)
    with pytest.raises(InputError, match="line 1 is not text"):
        read([binary], "latency")
    long = tmp_path / "long.csv"
    long.write_bytes(b"x" * (LONGEST_LINE * 2))
    with pytest.raises(InputError, match="line 1 is longer than"):
        read([long], "latency")
    with pytest.raises(InputError, match="cannot read"):
        read([tmp_path / "absent.csv"], "latency")


def test_a_gigabyte_of_nothing_costs_no_memory(tmp_path: Path) -> None:
    """A sparse file of zeros is refused at its first line."""
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(InputError, match="line 1 is longer than"):
        read([path], "latency")


def test_a_torn_row_is_refused(tmp_path: Path) -> None:
    """A line with fewer cells than the header is named."""
    path = write(tmp_path / "a.csv", table())
    lines = path.read_text().splitlines()
    lines[7] = lines[7].rsplit(",", 2)[0]
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"line 8 has \d+ cells, the header has"):
        read([path], "latency")
