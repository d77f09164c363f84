"""SCALENet's numerical cost."""

import pytest

from heterolith.errors import InputError
from heterolith.metrics import Cost, LinkCost, Profile, numerical_cost
from heterolith.metrics.scalenet import OBJECTIVES, PRESETS


def choice(device: str, latency_ns: int, energy_pj: int, peak_bytes: int = 100) -> Cost:
    """Return one choice of layer ``a``."""
    return Cost(
        layer="a",
        op="Conv",
        device=device,
        point="nominal",
        variant="fp32",
        latency_ns=latency_ns,
        energy_pj=energy_pj,
        peak_bytes=peak_bytes,
        weight_bytes=0,
        source="measured",
    )


FAST, FRUGAL = choice("gpu", 100, 900), choice("cpu", 1000, 300)
PROFILE = Profile(network="n", fingerprint="f", platform="p", costs=(FAST, FRUGAL))


@pytest.mark.parametrize(
    ("preset", "best"),
    [("min-latency", FAST), ("min-energy", FRUGAL), ("min-power", FRUGAL)],
)
def test_each_preset_prefers_its_own_objective(preset: str, best: Cost) -> None:
    """The fast choice draws 9 mW, the slow one 0.3: latency and power part them."""
    numerical = numerical_cost(PROFILE, preset)
    assert min((FAST, FRUGAL), key=numerical.of_layer) is best


def test_a_budget_replaces_the_range() -> None:
    """1000 ns against a budget of 2000: half a unit, less what the best choice takes anyway."""
    numerical = numerical_cost(PROFILE, "min-latency", {"latency": 2000})
    ranged = numerical_cost(PROFILE, "min-latency")
    assert ranged.of_layer(FRUGAL) == pytest.approx(0.8)
    assert numerical.of_layer(FRUGAL) == pytest.approx(0.8 * 900 / 2000)


def test_transfers_cost_time_energy_and_bytes_of_a_budget() -> None:
    """A crossing is weighed on the same scales as the layers."""
    crossing = LinkCost(
        tensor="t", origin="cpu", target="gpu", link="l", bytes=10, latency_ns=90, energy_pj=60,
        source="data-sheet",
    )  # fmt: skip
    numerical = numerical_cost(PROFILE, "balanced")
    assert numerical.of_transfer(crossing) == pytest.approx((90 / 900 + 60 / 600) / 3)


def test_wrong_presets_and_budgets_are_refused() -> None:
    """Unknown names get a hint, budgets must be positive."""
    with pytest.raises(InputError, match="min-power"):
        numerical_cost(PROFILE, "min-powr")
    with pytest.raises(InputError, match="unknown SCALENet objective 'time'"):
        numerical_cost(PROFILE, "balanced", {"time": 5})
    with pytest.raises(InputError, match="budget of latency is 0"):
        numerical_cost(PROFILE, "balanced", {"latency": 0})
    assert set(PRESETS) == {"balanced", "min-latency", "min-energy", "min-power"}
    assert "accuracy" in OBJECTIVES
