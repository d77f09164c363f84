"""Fit, predict, intervals, ranges: on a device whose law is known."""

from dataclasses import replace

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics.models import CostModel, Form, evaluate, make_samples, refuse_outside
from heterolith.metrics.models.samples import Samples

from .layers import CALL_NS, MAC_NS, law, rows, samples


def coefficient(model: CostModel, name: str) -> float:
    """Return the coefficient of a term by name."""
    names = [term.name for term in model.physics_.terms]
    return model.physics_.coefficients[names.index(name)]


def test_coefficients_of_the_law_are_found() -> None:
    """Rates per multiply-accumulate and launch come out within 5 %."""
    model = CostModel(form=Form()).fit(samples(noise=0.01))
    assert coefficient(model, "macs conv fp32") == pytest.approx(MAC_NS, rel=0.05)
    launch = coefficient(model, "one")
    assert launch == pytest.approx(CALL_NS, rel=0.1)


def test_networks_left_out_are_predicted() -> None:
    """Errors on networks and shapes not seen are printed with the model, and are small here."""
    model = CostModel().fit(samples(noise=0.02))
    by = {errors.by: errors for errors in model.errors_}
    assert set(by) == {"network", "shape"}
    assert by["network"].mape < 0.05
    assert by["network"].folds == 8
    assert by["network"].rows == 160


def test_more_work_never_costs_less() -> None:
    """Without a residual learner the prediction is monotone in every kind of work."""
    train = samples(noise=0.05)
    model = CostModel(residual=False).fit(train)
    base = model.predict(train).value
    for name, column in train.work.items():
        more = replace(train, work={**train.work, name: column * 1.5})
        assert (model.predict(more).value >= base * (1 - 1e-12)).all(), name


def test_predict_does_not_change_the_model_and_repeats() -> None:
    """The same samples give the same numbers twice, in any order."""
    train = samples()
    model = CostModel().fit(train)
    first = model.predict(train).value
    backwards = model.predict(train.take(np.arange(len(train))[::-1])).value
    np.testing.assert_array_equal(first, model.predict(train).value)
    np.testing.assert_allclose(first, backwards[::-1], rtol=1e-12)


def test_intervals_hold_about_what_they_claim() -> None:
    """Of fresh rows with the same noise 90 % intervals hold between 85 and 95 %."""
    model = CostModel().fit(samples(800, noise=0.1))
    fresh = samples(2000, seed=1, noise=0.1)
    low, high = model.spread_.bounds(model.physics_.predict(fresh), fresh.labels["family"])
    held = (low <= fresh.targets["latency"]) & (fresh.targets["latency"] <= high)
    assert 0.85 <= held.mean() <= 0.95


def test_one_fit_serves_all_clocks() -> None:
    """Fitted at two clocks, the model predicts a third: arithmetic scales, traffic does not."""

    def at(clock: float, seed: int) -> Samples:
        made = rows(120, seed)
        for row in made:
            row["latency_ns"] = law(row, clock)
            row |= {"core_mhz": 1000 * clock, "memory_mhz": 800.0, "point": f"{clock}"}
        return make_samples(made, f"at {clock}")

    from heterolith.metrics.models import join

    model = CostModel().fit(join([at(1.0, 0), at(0.4, 0)]))
    between = at(0.7, 3)
    error = model.predict(between).value / between.targets["latency"] - 1
    assert np.abs(error).mean() < 0.02


def test_rows_outside_the_fitted_range_are_flagged_and_refused() -> None:
    """A value has no interval there, the reason names column and bound."""
    model = CostModel().fit(samples())
    row = {"family": "conv", "variant": "fp32", "calls": 1, "activation_elements": 5000}
    query = make_samples(
        [
            {**row, "macs": 1e6, "weight_elements": 2000},
            {**row, "macs": 1e12, "weight_elements": 2000},
            {**row, "macs": 1e6, "weight_elements": 2000, "variant": "int8"},
            {**row, "family": "lstm", "macs": 1e6},
        ],
        "query",
    )
    found = model.predict(query)
    assert found.outside[0] == ""
    assert "macs.conv 1e+12 is above" in found.outside[1]
    assert "variant int8 was never fitted" in found.outside[2]
    assert "lstm was never fitted" in found.outside[3]
    assert (found.low[1:] == 0).all()
    assert np.isinf(found.high[1:]).all()
    assert np.isfinite(found.high[0])
    with pytest.raises(InputError, match=r"query, line 2.*3 of 4 rows.*--extrapolate"):
        refuse_outside(found, query)


def test_a_row_in_another_unit_is_refused() -> None:
    """One latency in milliseconds among nanoseconds is named with its line."""
    made = rows(80)
    made[41]["latency_ns"] = float(made[41]["latency_ns"]) / 1e6
    with pytest.raises(InputError, match=r"line 42 .*1e-6 times.*another unit"):
        CostModel().fit(make_samples(made, "cpu.csv"))


def test_outliers_and_thin_data_are_named_with_a_remedy() -> None:
    """A row five times off is named; two networks are called too few."""
    made = rows(80, noise=0.01)
    made[17]["latency_ns"] = 5 * float(made[17]["latency_ns"])
    for index, row in enumerate(made):
        row["network"] = f"net{index % 2}"
    model = CostModel().fit(make_samples(made, "cpu.csv"))
    text = "\n".join(model.warnings_)
    assert "cpu.csv, line 18" in text
    assert "2 network(s)" in text
    with pytest.raises(InputError, match="7 samples of latency are too few"):
        CostModel().fit(make_samples(rows(7)))


def test_the_residual_learner_is_taken_only_where_it_pays() -> None:
    """On the plain law it is not taken; on a law with a bend in it, it is."""
    plain = CostModel().fit(samples(200, noise=0.02))
    assert not plain.physics_.form.residual
    made = rows(400, noise=0.01)
    for row in made:
        bend = np.sin(3 * np.log10(float(row["activation_elements"])))
        row["latency_ns"] = float(row["latency_ns"]) * float(np.exp(0.5 * bend))
    bent = CostModel().fit(make_samples(made))
    assert bent.physics_.form.residual
    physical = bent.tried_[replace(bent.physics_.form, residual=False)]
    assert bent.tried_[bent.physics_.form] < physical


def test_evaluation_counts_errors_coverage_and_whole_networks() -> None:
    """Fresh samples of the same law: small error, sums per network, nothing outside."""
    model = CostModel().fit(samples(800, noise=0.05))
    fresh = samples(100, seed=5, noise=0.05)
    found, prediction = evaluate(model, fresh)
    assert found.errors.rows == 100
    assert found.errors.mape < 0.08
    assert set(found.networks) == {f"net{i}" for i in range(8)}
    assert max(map(abs, found.networks.values())) < 0.15
    assert found.outside == sum(map(bool, prediction.outside))


def test_power_takes_static_and_dynamic_terms_over_clocks() -> None:
    """P = 2 + 3 f^2.4 + energy per operation x rate is found at a clock not fitted."""

    def at(clock: float) -> Samples:
        made = rows(60, seed=2)
        for row in made:
            latency = law(row, clock)
            rate = float(row.get("macs", 0)) / latency
            row |= {
                "latency_ns": latency,
                "core_mhz": 1000 * clock,
                "power_w": 2 + 3 * clock**2.4 + 0.1 * clock**1.4 * rate,
            }
        return make_samples(made, f"at {clock}")

    from heterolith.metrics.models import join

    model = CostModel(metric="power").fit(join([at(1.0), at(0.8), at(0.5)]))
    query = at(0.65)
    error = model.physics_.predict(query) / query.targets["power"] - 1
    assert np.abs(error).mean() < 0.02
    with pytest.raises(InputError, match="need latency_ns"):
        CostModel(metric="power").fit(replace(query, targets={"power": query.targets["power"]}))


def test_wrong_arguments_are_refused() -> None:
    """Metric and level are checked before any work."""
    with pytest.raises(InputError, match="'speed' is not one of latency"):
        CostModel(metric="speed")
    with pytest.raises(InputError, match="level 90"):
        CostModel(level=90)
