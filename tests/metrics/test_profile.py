"""The Profile table, its CSV and pins."""

import pytest

from heterolith.errors import InputError
from heterolith.metrics import Cost, Profile, from_csv, pin, to_csv


def cost(layer: str, device: str, **changes: object) -> Cost:
    """Return a row with unremarkable figures."""
    values: dict[str, object] = {
        "op": "Conv",
        "point": "nominal",
        "variant": "fp32",
        "latency_ns": 1000,
        "energy_pj": 2000,
        "peak_bytes": 10,
        "weight_bytes": 4,
        "source": "data-sheet",
    }
    return Cost(layer=layer, device=device, **{**values, **changes})  # type: ignore[arg-type]


def test_csv_round_trip_keeps_every_value() -> None:
    """Rows with known and unknown energy, open and closed intervals survive CSV."""
    rows = (
        cost("a", "cpu", energy_pj=None, latency_low_ns=900.5, latency_high_ns=1100.0),
        cost('b,"quoted"', "gpu", accuracy_loss=0.25),
    )
    back = from_csv(to_csv(rows))
    assert back[0].energy_pj is None
    assert back[0].latency_low_ns == 900.5
    assert back == rows


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("1000", "soon", "line 2"),  # not a number
        ("data-sheet", "hearsay", "hearsay"),  # no such source
        ("latency_ns", "latency", "latency_ns"),  # missing column
        (",1000,", ",-1000,", "below zero"),  # negative
    ],
)
def test_damaged_csv_is_refused(old: str, new: str, expected: str) -> None:
    """The message names line and value."""
    with pytest.raises(InputError, match=expected):
        from_csv(to_csv((cost("a", "cpu"),)).replace(old, new))


def profile() -> Profile:
    """Return two layers, one of which the FPGA cannot compute."""
    rows = (cost("conv1", "cpu"), cost("conv1", "fpga"), cost("lrn", "cpu"))
    return Profile(
        network="n",
        fingerprint="f",
        platform="p",
        costs=rows,
        unsupported=(("lrn", "fpga", "no LRN unit"),),
    )


def test_pin_keeps_only_the_pinned_device() -> None:
    """Patterns pin layers; the first that matches counts; others stay free."""
    pinned = pin(profile(), {"conv*": "fpga", "*": "cpu"})
    assert [(row.layer, row.device) for row in pinned.costs] == [("conv1", "fpga"), ("lrn", "cpu")]
    assert pin(profile(), {}) == profile()


@pytest.mark.parametrize(
    ("pins", "expected"),
    [
        ({"pool": "cpu"}, "unknown layer to pin"),  # no such layer
        ({"lrn": "fpga"}, "no LRN unit"),  # the reason comes along
        ({"lrn": "tpu"}, "no such device"),
    ],
)
def test_impossible_pins_are_refused(pins: dict[str, str], expected: str) -> None:
    """A pin that cannot hold says why."""
    with pytest.raises(InputError, match=expected):
        pin(profile(), pins)
