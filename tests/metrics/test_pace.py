"""The machine's pace: the reference network, and samples of different minutes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics.models import (
    CostModel,
    Stored,
    data_hash,
    evaluate,
    join,
    load,
    read,
    to_json,
)
from heterolith.metrics.models.paces import OTHER_MACHINE, even_out, reference_ns, warnings
from heterolith.metrics.models.samples import Samples
from heterolith.metrics.pace import READINGS, readings, reference
from heterolith.sw import CpuWorker

from .layers import samples
from .test_read import table, write


def at_pace(part: Samples, pace: float, origin: float = 4e6) -> Samples:
    """Return samples of a machine that takes ``pace`` times as long for everything."""
    targets = {"latency": part.targets["latency"] * pace}
    states = {"reference_ns": np.full(len(part), origin * pace)}
    return replace(part, targets=targets, states=states)


def named(part: Samples, prefix: str) -> Samples:
    """Return samples of networks of other names."""
    networks = np.array([prefix + name for name in part.labels["network"].tolist()])
    return replace(part, labels={**part.labels, "network": networks})


def test_the_reference_network_is_always_the_same() -> None:
    """Of each kind of layers that most networks have; another one makes files incomparable."""
    first, second = reference(), reference()
    assert first.network.fingerprint() == second.network.fingerprint()
    np.testing.assert_array_equal(first.inputs["x"], second.inputs["x"])
    layers = first.network.layers
    assert (len(layers), sum(layer.macs for layer in layers)) == (30, 108_651_696)
    ops = {layer.op for layer in layers}
    assert {"Conv", "Concat", "MaxPool", "AveragePool", "Gemm", "Softmax"} <= ops


def test_readings_are_sums_of_a_run() -> None:
    """As many as said; the first run, which finds other caches, is not among them."""
    worker = CpuWorker(1)
    try:
        found = readings(reference(), worker)
        assert len(found) == READINGS
        assert min(found) > 0
        assert worker.counters()["layers"] == (1 + READINGS) * len(reference().network.layers)
        assert sum(found) < worker.counters()["busy_ns"] * 2
    finally:
        worker.close()


def test_the_hash_of_samples_covers_their_pace() -> None:
    """A fit depends on it."""
    part = samples(20)
    assert data_hash(at_pace(part, 1.0)) != data_hash(at_pace(part, 1.0, origin=5e6))


def test_files_of_different_minutes_give_the_model_of_one() -> None:
    """A third of the rows measured while the machine took 1.2 times as long changes nothing."""
    usual, slow = named(samples(120), "a"), named(samples(60, seed=1), "b")
    alike = CostModel(residual=False).fit(join([at_pace(usual, 1.0), at_pace(slow, 1.0)]))
    mixed = CostModel(residual=False).fit(join([at_pace(usual, 1.0), at_pace(slow, 1.2)]))
    query = samples(50, seed=3)
    np.testing.assert_allclose(mixed.predict(query).value, alike.predict(query).value)
    assert mixed.reference_ns_ == alike.reference_ns_ == 4e6
    assert not any("pace" in line for line in alike.warnings_)
    assert any("took 4 to 4.8 ms; times are brought to 4 ms" in line for line in mixed.warnings_)


def test_rows_without_a_pace_stay_as_they_are_and_are_named() -> None:
    """Of files of earlier versions; all of them leave a model without a pace."""
    known, unknown = at_pace(samples(20), 1.0), samples(10, seed=1)
    both = join([known, unknown])
    evened, pace = even_out(both, "latency")
    assert pace == 4e6
    np.testing.assert_array_equal(evened.targets["latency"], both.targets["latency"])
    (line,) = warnings(both, "latency")
    assert line.startswith("10 rows do not tell")
    same, nothing = even_out(unknown, "latency")
    assert same is unknown
    assert np.isnan(nothing)
    assert warnings(unknown, "latency") == ()


def test_clocks_tell_the_pace_where_they_are_known() -> None:
    """Rows of other clocks are other points, not other minutes; power is not a time."""
    part = at_pace(samples(20), 1.0)
    assert np.isfinite(reference_ns(part, "latency")).all()
    assert np.isnan(reference_ns(part, "power")).all()
    clocked = replace(part, clocks={"core_mhz": np.where(np.arange(20) < 5, 800.0, np.nan)})
    assert np.isnan(reference_ns(clocked, "latency")).sum() == 5


def test_rows_of_another_machine_are_refused() -> None:
    """A pace far off is no other minute: both rows are named, with what to do."""
    part = at_pace(samples(40), 1.0)
    other = at_pace(named(samples(40, seed=1), "b"), 1.01 * OTHER_MACHINE)
    with pytest.raises(InputError, match=r"6\.06 and 4 ms; fit machines, power modes and numbers"):
        CostModel().fit(join([part, other]))
    still = at_pace(named(samples(40, seed=1), "b"), 0.99 * OTHER_MACHINE)
    CostModel(residual=False).fit(join([part, still]))


@pytest.mark.parametrize(("value", "message"), [(0, "is 0; profile again"), (-1, "is negative")])
def test_a_wrong_pace_is_refused(value: int, message: str, tmp_path: Path) -> None:
    """File, row and column are named."""
    rows = [{**row, "reference_ns": 4_000_000} for row in table()]
    rows[2]["reference_ns"] = value
    with pytest.raises(InputError, match=rf"a\.csv, line 4.*column reference_ns.*{message}"):
        CostModel().fit(read([write(tmp_path / "a.csv", rows)], "latency")[0])


def test_evaluation_tells_how_much_slower_the_machine_was() -> None:
    """Errors as predicted, and at the pace of the samples: the law again."""
    model = CostModel(residual=False).fit(at_pace(samples(), 1.0))
    found, _ = evaluate(model, at_pace(samples(50, seed=3), 1.25))
    assert found.slower == pytest.approx(1.25)
    assert found.errors.bias == pytest.approx(-0.2, abs=0.02)
    assert found.paced is not None
    assert abs(found.paced.bias) < 0.02
    assert set(found.paced_networks) == set(found.networks)
    for name, error in found.networks.items():
        assert 1 + found.paced_networks[name] == pytest.approx(1.25 * (1 + error))


@pytest.mark.parametrize("fitted", [True, False])
def test_an_unknown_pace_leaves_an_evaluation_as_it_was(fitted: bool) -> None:
    """Of the model or of the samples: no figures that would rest on a guess."""
    known, unknown = at_pace(samples(), 1.0), samples(50, seed=3)
    fit, other = (known, unknown) if fitted else (unknown, known)
    found, _ = evaluate(CostModel(residual=False).fit(fit), other)
    assert np.isnan(found.slower)
    assert found.paced is None
    assert not found.paced_networks


def test_a_model_file_keeps_the_pace(tmp_path: Path) -> None:
    """It is null where the samples did not tell, and absent from files written before."""
    import json

    path = tmp_path / "m.json"
    for part, pace in ((at_pace(samples(), 1.0), 4e6), (samples(), None)):
        model = CostModel(residual=False).fit(part)
        stored = Stored(model=model, device="cpu", source="fitted", data_sha256="", rows=160)
        content = to_json(stored)
        assert content["reference_ns"] == pace
        path.write_text(json.dumps(content))
        again = load(path).model.reference_ns_
        assert np.isnan(again) if pace is None else again == pace
