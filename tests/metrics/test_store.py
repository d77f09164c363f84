"""Model files."""

import json
from pathlib import Path

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics.models import CostModel, Form, Stored, load, to_json

from .layers import samples


@pytest.fixture(scope="module")
def content() -> dict[str, object]:
    """Return the content of a file of a model with a residual."""
    model = CostModel(form=Form(by_family=True, order=3.0, residual=True)).fit(samples(noise=0.05))
    stored = Stored(model=model, device="cpu", source="fitted", data_sha256="ab" * 32, rows=160)
    return to_json(stored)


def write(path: Path, content: object) -> Path:
    """Write JSON."""
    path.write_text(json.dumps(content))
    return path


def test_a_model_survives_its_file(tmp_path: Path, content: dict[str, object]) -> None:
    """Predictions, intervals, ranges and errors are the same to the last bit."""
    stored = load(write(tmp_path / "m.json", content))
    again = load(write(tmp_path / "n.json", to_json(stored)))
    query = samples(50, seed=3)
    first, second = stored.model.predict(query), again.model.predict(query)
    np.testing.assert_array_equal(first.value, second.value)
    np.testing.assert_array_equal(first.high, second.high)
    assert first.outside == second.outside
    assert stored.model.errors_ == again.model.errors_
    assert to_json(stored) == content


def test_the_file_says_units_versions_ranges_and_data(content: dict[str, object]) -> None:
    """What a reader needs stands in the file, as JSON types alone."""
    assert json.loads(json.dumps(content)) == content
    assert content["unit"] == "ns"
    assert content["data_sha256"] == "ab" * 32
    assert {"heterolith", "numpy", "scipy", "python"} == set(content["software"])  # type: ignore[call-overload]
    assert "macs.conv" in content["ranges"]  # type: ignore[operator]
    assert all("unit" in term for term in content["terms"])  # type: ignore[union-attr, attr-defined]


def test_a_model_without_interval_survives(tmp_path: Path) -> None:
    """One network gives an infinite interval, which JSON cannot hold as a number."""
    from heterolith.metrics.models import make_samples

    from .layers import rows

    one = [{**row, "network": "one", "shape": "conv", "device": "cpu"} for row in rows(40)]
    model = CostModel().fit(make_samples(one))
    stored = Stored(model=model, device="cpu", source="fitted", data_sha256="", rows=40)
    path = write(tmp_path / "m.json", to_json(stored))
    assert load(path).model.spread_ == model.spread_


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 5}, "has schema 5, this version reads 4; update heterolith"),
        ({"schema": 3}, "has schema 3, this version reads 4; update heterolith, or fit again"),
        ({"format": "other"}, "is no cost model"),
        ({"rows": 161}, "was changed after it was written: its sha256 does not fit"),
        ({"sha256": "0"}, "its sha256 does not fit; fit again"),
    ],
)
def test_wrong_files_are_refused(
    tmp_path: Path, content: dict[str, object], change: dict[str, object], message: str
) -> None:
    """Newer schema, other format, edited content, wrong hash."""
    with pytest.raises(InputError, match=message):
        load(write(tmp_path / "m.json", {**content, **change}))


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    """Missing, not JSON, a list, too large."""
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path / "absent.json")
    text = tmp_path / "text.json"
    text.write_text("latency_ns,macs\n")
    with pytest.raises(InputError, match="is no cost model"):
        load(text)
    with pytest.raises(InputError, match="is no cost model"):
        load(write(tmp_path / "list.json", [1]))
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(InputError, match="a cost model has at most"):
        load(huge)
