"""Intervals from errors on groups left out."""

import numpy as np
import pytest

from heterolith.metrics.models import intervals


def spread(groups: int, noise: float = 0.1, rows: int = 400) -> intervals.Spread:
    """Return the spread of log-normal errors dealt over groups."""
    rng = np.random.default_rng(0)
    predicted = 10 ** rng.uniform(3, 6, rows)
    measured = predicted * np.exp(rng.normal(0, noise, rows))
    names = np.array([f"g{i % groups}" for i in range(rows)])
    return intervals.fit(predicted, measured, np.array(["conv"] * rows), names, 0.9)


def test_the_quantile_is_that_of_the_errors() -> None:
    """With many groups a 90 % interval is 1.645 deviations wide."""
    found = spread(100)
    low, high = found.bounds(np.array([1e4]), np.array(["conv"]))
    assert float(np.log(high[0] / 1e4)) == pytest.approx(0.1645, rel=0.15)
    assert float(low[0] * high[0]) == pytest.approx(1e8)


def test_few_groups_widen_it_and_say_what_they_support() -> None:
    """Five networks support 83 %, and their interval is wider than that of a hundred."""
    assert spread(5).quantile > 1.2 * spread(100).quantile
    assert spread(5).supported == pytest.approx(5 / 6)


def test_layers_widen_it_only_as_far_as_those_of_a_group_err_together() -> None:
    """Independent layers of five networks count as many scores, layers with one error as five."""
    rng = np.random.default_rng(2)
    member = np.arange(400) % 5
    groups, families = np.char.mod("g%d", member), np.array(["conv"] * 400)
    predicted = np.full(400, 1e5)

    def quantiles(error: np.ndarray) -> tuple[float, float]:
        measured = predicted * np.exp(error)
        given = (predicted, measured, families, groups, 0.9)
        return intervals.fit(*given).quantile, intervals.fit(*given, layers=True).quantile

    whole, apart = quantiles(rng.normal(0, 0.1, 400))
    assert apart < 0.85 * whole
    whole, together = quantiles((0.1 + 0.1 * member) * np.sign(rng.normal(size=400)))
    assert together == pytest.approx(whole, rel=0.02)


def test_one_group_has_no_interval() -> None:
    """Nothing is known of other networks: the interval is everything."""
    found = spread(1)
    low, high = found.bounds(np.array([5.0]), np.array(["conv"]))
    assert low[0] == 0
    assert np.isinf(high[0])


def test_noisy_kinds_have_wider_intervals() -> None:
    """A family with three times the noise gets a wider interval than a quiet one."""
    rng = np.random.default_rng(1)
    families = np.array(["conv", "add"] * 300)
    predicted = np.full(600, 1e5)
    noise = np.where(families == "add", 0.3, 0.1)
    measured = predicted * np.exp(rng.normal(0, 1, 600) * noise)
    groups = np.array([f"g{i % 30}" for i in range(600)])
    found = intervals.fit(predicted, measured, families, groups, 0.9)
    _, high = found.bounds(np.array([1e5, 1e5]), np.array(["conv", "add"]))
    assert np.log(high[1] / 1e5) > 2 * np.log(high[0] / 1e5)


def test_a_group_does_not_shrink_the_errors_that_it_alone_has() -> None:
    """A kind that stands in one group alone, with errors of a factor e, keeps its large scores."""
    families = np.array(["conv"] * 90 + ["odd"] * 30)
    predicted = np.full(120, 1e5)
    measured = predicted * np.exp(np.where(families == "odd", 1.0, 0.05))
    groups = np.array([f"g{i % 9}" for i in range(90)] + ["g9"] * 30)
    found = intervals.fit(predicted, measured, families, groups, 0.95)
    low, high = found.bounds(np.array([1e5]), np.array(["odd"]))
    assert low[0] < 1e5 / np.e
    assert high[0] > 1e5 * np.e
