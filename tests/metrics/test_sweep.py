"""Designed probes."""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from heterolith.errors import InputError
from heterolith.metrics.models import layer_rows
from heterolith.metrics.models.features import Row
from heterolith.metrics.models.terms import FEWEST_ROWS, STEPWISE
from heterolith.metrics.sweep import KINDS, probes, size, wanted
from heterolith.sw import CpuWorker

ALL = tuple(KINDS)


@cache
def _rows() -> list[Row]:
    """Return the work of two hundred probes."""
    return [row for subject in probes(ALL, 200) for row in layer_rows(subject.network).values()]


def test_probes_are_at_most_as_many_as_asked_and_repeat_by_seed() -> None:
    """The same seed gives the same shapes, another one others."""
    first, again, other = (probes(ALL, 100, seed) for seed in (0, 0, 1))
    shapes = [[s.network.tensors for s in made] for made in (first, again, other)]
    assert 70 <= sum(size(subject) for subject in first) <= 100
    assert shapes[0] == shapes[1] != shapes[2]


def test_two_hundred_probes_have_every_family_and_span_three_decades() -> None:
    """Each family of convolutional networks is there; arithmetic spans a factor of a thousand."""
    rows = _rows()
    macs = np.array([float(str(row.get("macs", 0))) for row in rows])
    assert macs.max() > 1000 * macs[macs > 0].min()
    families = Counter(str(row["family"]) for row in rows)
    for name in ("conv", "pointwise", "depthwise", "grouped", "scale", "fc", "maxpool", "concat"):
        assert families[name] >= 5, name
    assert len({row["layer"] for row in rows}) == len(rows)


def test_every_probe_runs_and_its_shapes_are_right() -> None:
    """The CPU worker computes each probe; activations keep their scale, shapes are as said."""
    worker = CpuWorker(1)
    try:
        for subject in probes(ALL, 60):
            values = dict(subject.inputs)
            for layer in subject.network.layers:
                worker.load(subject.network, layer)
                (values[layer.outputs[0]],) = result = worker.run(layer, values)
                assert result[0].shape == subject.network.tensors[layer.outputs[0]].shape, layer
                assert np.abs(result[0]).max() < 2**20, layer
    finally:
        worker.close()


def test_kinds_name_the_operators_to_keep() -> None:
    """Two kinds have the operators of both."""
    assert wanted(["fc", "conv"]) == {"Gemm", "Conv"}


def test_wrong_requests_are_refused() -> None:
    """Unknown kinds and too few probes."""
    with pytest.raises(InputError, match="unknown kind of probe 'convs'; did you mean conv"):
        probes(["convs"], 100)
    with pytest.raises(InputError, match="10 probes are too few for a network; take 40"):
        probes(ALL, 10)


def test_probes_have_all_that_steps_can_count() -> None:
    """Each stepwise feature stands in several layers of two hundred, or it could not be learnt."""
    rows = _rows()
    for name in (*STEPWISE, "product_macs"):
        seen = sum(float(str(row.get(name, 0))) > 0 for row in rows)
        assert seen >= FEWEST_ROWS, name
